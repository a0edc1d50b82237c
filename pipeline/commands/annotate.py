"""The command `earmark annotate`. Imports nothing heavy at module level."""

import argparse
import contextlib
import functools
import sys
from collections.abc import Sequence

from earmark.pipeline.console.job_flags import add_config, add_job_flags, merge_options
from earmark.pipeline.console.logging_setup import set_up_logging, stop_on_sigterm
from earmark.pipeline.console.parser import Commands

DESCRIPTION = "Label the recordings of a manifest and write Parquet. Run it again to resume."
EXAMPLES = """\
examples:
  earmark annotate calls.jsonl labels --model openai/whisper-large-v3 --limit 9
  earmark annotate 'calls/*.wav' labels --task caption --model ./qwen2-audio
  earmark annotate calls.csv gs://b/out --config job.yaml --runner=FlinkRunner

Options of Beam, such as --runner, are passed through to it."""


def add_annotate_command(commands: Commands) -> None:
    """Add the subcommand to the parser of `earmark`."""
    command = commands.add_parser(
        "annotate",
        help="label the recordings of a manifest",
        description=DESCRIPTION,
        epilog=EXAMPLES,
    )
    command.set_defaults(run=_annotate, for_beam=True)
    command.add_argument("manifest", help="JSONL, CSV, Parquet, tar, or a folder or glob of audio")
    command.add_argument("output", help="folder or URL to write Parquet to")
    add_config(command)
    command.add_argument("--json", action="store_true", help="print the summary as JSON")
    add_job_flags(command)


def _annotate(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    options = merge_options(args)
    set_up_logging(args.verbose)
    from earmark.pipeline.annotate import annotate
    from earmark.pipeline.progress import print_summary_as_json

    stop_on_sigterm()
    if not args.json:
        return annotate(args.manifest, args.output, options, beam_args)
    show = functools.partial(print_summary_as_json, file=sys.stdout)
    with contextlib.redirect_stdout(sys.stderr):
        return annotate(args.manifest, args.output, options, beam_args, show)
