"""The commands `earmark evaluate` and `earmark compare`. Import nothing heavy at module level."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from earmark.pipeline.console.job_file import split_names
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import CommandParser, Commands

if TYPE_CHECKING:
    from earmark.scoring.options import EvaluateOptions

ADVANCED = ("columns", "audio_root", "language", "score_as", "bootstrap", "seed", "verbose")


def add_scoring_commands(commands: Commands) -> None:
    """Add the subcommands to the parser of `earmark`."""
    evaluate = commands.add_parser(
        "evaluate",
        help="score answers against references",
        description="Score answers against references: word error rate of transcripts, BLEU and chrF of translations"
        " and other texts, accuracy and F1 of labels. Failed recordings count as empty answers and wrong labels.",
        epilog="example: earmark evaluate labels --by language --worst 10",
    )
    evaluate.set_defaults(run=_evaluate, for_beam=False)
    evaluate.add_argument("output", help="folder or URL written by annotate")
    _add_names(
        evaluate,
        "by",
        "COLUMN,…",
        "columns to break the scores down by: language, duration, snr, rms_dbfs, or any column of the manifest",
    )
    _add_options(evaluate)

    compare = commands.add_parser(
        "compare",
        help="compare outputs on the same recordings",
        description="Compare two or more outputs, called A, B, C …, on the recordings they share: against references,"
        " with paired intervals for the differences, and against each other. --keep writes a manifest of the"
        " recordings that meet a condition, such as --keep 'wer(A, B) < 0.1'.",
        epilog="example: earmark compare small large --worst 10",
    )
    compare.set_defaults(run=_compare, for_beam=False)
    compare.add_argument("outputs", nargs="+", metavar="OUTPUT", help="folders or URLs written by annotate")
    compare.add_argument(
        "--keep",
        default="",
        metavar="CONDITION",
        help="DuckDB SQL expression over wer(A, B), cer(A, B), the answers A, B …, A_avg_logprob, A_score (labels),"
        " A_flags (texts), id, reference, language, duration_s, audio.rms_dbfs … and extra['NAME']",
    )
    compare.add_argument("--to", default="", metavar="FILE", help="JSONL manifest of the recordings that meet --keep")
    _add_options(compare)


def _add_options(command: CommandParser) -> None:
    """Add the options that evaluate and compare share; --help_all also shows the advanced ones."""
    _add_names(command, "task", "TASK,…", "tasks to score (default: every task that has references)")
    _add_reference_options(command)
    _add_score_options(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.hide(ADVANCED)


def _add_reference_options(command: CommandParser) -> None:
    command.add_argument(
        "--references",
        default="",
        metavar="FILE",
        help="manifest or another table that holds the references (default: the output itself)",
    )
    _add_names(
        command,
        "reference_column",
        "COLUMN,…",
        "column of the references, or TASK=COLUMN for one task (default: a column with the task's name, else"
        " reference)",
    )
    _add_names(command, "columns", "NAME=COLUMN,…", "columns of the references file by role, as in annotate: id=key")
    command.add_argument(
        "--audio_root", default="", metavar="FOLDER", help="base of relative paths in the references file"
    )


def _add_score_options(command: CommandParser) -> None:
    command.add_argument(
        "--normalizer",
        default="",
        metavar="NAME",
        help="text normalizer for transcripts: whisper-english, basic, chinese, cantonese, none …",
    )
    command.add_argument(
        "--language",
        default="",
        metavar="LANGUAGE",
        help="language of the references (default: from the manifest, else as detected by the model)",
    )
    command.add_argument(
        "--score_as",
        default="",
        metavar="KIND",
        help="score every task as this kind: transcript, translation, text or label",
    )
    command.add_argument("--worst", type=int, default=0, metavar="N", help="show the N worst rows")
    command.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="bootstrap resamples for the intervals; 0 for none (default: 1000)",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="random seed of the bootstrap")


def _add_names(command: argparse.ArgumentParser, name: str, metavar: str, help: str) -> None:
    command.add_argument(
        f"--{name}",
        type=split_names,
        action="extend",
        default=[],
        metavar=metavar,
        help=f"{help}; comma-separated",
    )


def _evaluate(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.views.scores import print_evaluation
    from earmark.scoring.evaluate import evaluate

    evaluation = evaluate(args.output, evaluate_options(args))
    if args.json:
        print_json(evaluation)
    else:
        print_evaluation(evaluation)
    return 0


def _compare(args: argparse.Namespace, beam_args: Sequence[str]) -> int:
    from earmark.pipeline.views.comparison import print_comparison
    from earmark.schemas.errors import JobError
    from earmark.scoring.compare import compare
    from earmark.scoring.keep import KeepOptions

    if args.to and not args.keep:
        raise JobError(f"--to={args.to} does not work alone: add --keep with the condition for what to write")
    keep = KeepOptions(args.keep, args.to) if args.keep else None
    comparison = compare(args.outputs, evaluate_options(args), keep)
    if args.json:
        print_json(comparison)
    else:
        print_comparison(comparison)
    return 0


def evaluate_options(args: argparse.Namespace) -> "EvaluateOptions":
    """Return the scoring options of evaluate or compare; raises JobError for invalid --columns."""
    from earmark.schemas.job import JobOptions
    from earmark.scoring.options import EvaluateOptions

    job = JobOptions(columns=tuple(args.columns), audio_root=args.audio_root)
    job.check()
    fields = {field.name: getattr(args, field.name, None) for field in dataclasses.fields(EvaluateOptions)}
    values: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return EvaluateOptions(**values, shape=job.shape())
