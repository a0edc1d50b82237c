"""The commands that say how good answers are: their arguments, and what runs them. Imports nothing heavy."""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from earmark.pipeline.console.job_file import split_names
from earmark.pipeline.console.json_output import print_json
from earmark.pipeline.console.parser import CommandParser, Commands

if TYPE_CHECKING:
    from earmark.scoring.options import EvaluateOptions

SELDOM = ("columns", "audio_root", "language", "score_as", "bootstrap", "seed", "verbose")


def add_scoring_commands(commands: Commands) -> None:
    """Adds the commands to those of `earmark`."""
    evaluate = commands.add_parser(
        "evaluate",
        help="score the answers of an output by their references",
        description="Scores answers: word errors of transcripts, BLEU and chrF of translations and other texts,"
        " accuracy and F1 of labels. Recordings that failed count as empty answers and as wrong labels.",
        epilog="example: earmark evaluate labels --by language --worst 10",
    )
    evaluate.set_defaults(run=_evaluate, for_beam=False)
    evaluate.add_argument("output", help="folder or URL that annotate has written to")
    _add_names(
        evaluate, "by", "columns to break figures down by: language, duration, snr, rms_dbfs, any of the manifest"
    )
    _add_options(evaluate)

    compare = commands.add_parser(
        "compare",
        help="compare outputs on the same recordings",
        description="Compares two or more outputs, called A, B, C …, recording by recording: by their references, with"
        " paired intervals of the differences, and by each other. --keep writes the manifest of what they agree on:"
        " --keep 'wer(A, B) < 0.1'.",
        epilog="example: earmark compare small large --worst 10",
    )
    compare.set_defaults(run=_compare, for_beam=False)
    compare.add_argument("outputs", nargs="+", metavar="OUTPUT", help="folders or URLs that annotate has written to")
    compare.add_argument(
        "--keep",
        default="",
        metavar="CONDITION",
        help="expression of DuckDB's SQL; it has wer(A, B), cer(A, B), the answers A, B …, A_avg_logprob, A_score of"
        " labels, A_flags of texts, id, reference, language, duration_s, audio.rms_dbfs … and extra['a column']",
    )
    compare.add_argument("--to", default="", metavar="FILE", help="JSONL manifest of what --keep lets pass")
    _add_options(compare)


def _add_options(command: CommandParser) -> None:
    """What evaluate and compare have in common; the seldom used are in --help_all."""
    _add_names(command, "task", "tasks to score (default: all that have references)")
    command.add_argument(
        "--references", default="", help="manifest, or another file of its formats, that has them (default: the output)"
    )
    _add_names(
        command,
        "reference_column",
        "column that has the references, or TASK=COLUMN for one task (default: one that is called like the task, or"
        " the manifest's reference)",
    )
    _add_names(command, "columns", "which column of the file of references holds what, as in annotate: id=key")
    command.add_argument("--audio_root", default="", help="what relative paths in that file are relative to")
    command.add_argument(
        "--normalizer", default="", help="of transcripts: whisper-english, basic, chinese, cantonese, none …"
    )
    command.add_argument(
        "--language", default="", help="of the references (default: as the manifest or the model says)"
    )
    command.add_argument("--score_as", default="", help="transcript, translation, text or label, whatever the task is")
    command.add_argument("--worst", type=int, default=0, metavar="N", help="show the N worst rows")
    command.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="resamples of the intervals (default: 1000; 0: none)",
    )
    command.add_argument("--seed", type=int, default=0, help="of the resamples")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.hide(SELDOM)


def _add_names(command: argparse.ArgumentParser, name: str, help: str) -> None:
    command.add_argument(
        f"--{name}", type=split_names, action="extend", default=[], metavar=name.upper(), help=f"{help}; by commas"
    )


def _evaluate(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.views.scores import print_evaluation
    from earmark.scoring.evaluate import evaluate

    found = evaluate(known.output, evaluate_options(known))
    if known.json:
        print_json(found)
    else:
        print_evaluation(found)
    return 0


def _compare(known: argparse.Namespace, rest: Sequence[str]) -> int:
    from earmark.pipeline.views.comparison import print_comparison
    from earmark.schemas.errors import JobError
    from earmark.scoring.compare import compare
    from earmark.scoring.keep import KeepOptions

    if known.to and not known.keep:
        raise JobError(f"--to={known.to} does not work alone: say what to write with --keep")
    keep = KeepOptions(known.keep, known.to) if known.keep else None
    found = compare(known.outputs, evaluate_options(known), keep)
    if known.json:
        print_json(found)
    else:
        print_comparison(found)
    return 0


def evaluate_options(known: argparse.Namespace) -> "EvaluateOptions":
    """Raises JobError where --columns makes no sense."""
    from earmark.schemas.job import JobOptions
    from earmark.scoring.options import EvaluateOptions

    job = JobOptions(columns=tuple(known.columns), audio_root=known.audio_root)
    job.check()
    given = {field.name: getattr(known, field.name, None) for field in dataclasses.fields(EvaluateOptions)}
    values: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return EvaluateOptions(**values, shape=job.shape())
