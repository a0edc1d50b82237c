"""What a person sees of benchmarks: the list of them, and measured beside published."""

from collections.abc import Iterable, Iterator

from rich.markup import escape
from rich.table import Table

from earmark.pipeline.console.console import console
from earmark.schemas.text import counted
from earmark.scoring.benchmark_scores import LOWER_IS_BETTER, BenchmarkScores
from earmark.scoring.benchmarks import Benchmark
from earmark.scoring.judge_scores import JudgeScores
from earmark.scoring.pairs import Figure
from earmark.scoring.published import Published

WEIGHTS = {"original": "published with the original weights", "huggingface": "with the weights on the hub"}


def print_benchmarks(benchmarks: Iterable[Benchmark]) -> None:
    """Each with what is asked, how it is scored and what the folder DATA has to hold."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("name", "task", "metric", "DATA holds", "from"):
        table.add_column(heading, overflow="fold")
    for one in benchmarks:
        table.add_row(one.name, one.task, one.metric, escape(one.table[0]), escape(one.source))
    console.print(table)


def print_scores(scores: BenchmarkScores, models: Iterable[str]) -> None:
    """Measured first, then what was published, the best first."""
    metric, of_set = scores.benchmark.metric, scores.recordings
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("system")
    table.add_column(f"{metric}, %" if metric == LOWER_IS_BETTER else metric, justify="right")
    table.add_column("")
    named = escape(", ".join(models))
    table.add_row(f"[bold]{named}[/]", f"[bold]{_number(scores.measured.value, metric)}[/]", _interval(scores, metric))
    for system, value, weights in _rows(scores.published):
        table.add_row(escape(system), _number(value, metric), weights)
    console.print(table)
    scored = "" if scores.scored == of_set else f"{scores.scored} of "
    rows = f"{scored}{counted(of_set, 'recording')}"
    console.print(escape(f"{scores.benchmark.name}: {rows}{''.join(_asides(scores))}"), soft_wrap=True)


def _rows(published: Iterable[Published]) -> Iterator[tuple[str, float, str]]:
    """System, value and with which weights, where that matters."""
    found: dict[tuple[str, float], list[str]] = {}
    for one in published:
        found.setdefault((one.system, one.value), []).append(one.qwen2_audio_weights)
    lower = any(one.metric == LOWER_IS_BETTER for one in published)
    for (system, value), weights in sorted(found.items(), key=lambda row: row[0][1] if lower else -row[0][1]):
        yield system, value, "published" if len(weights) == len(WEIGHTS) else WEIGHTS[weights[0]]


def _number(value: float | None, metric: str) -> str:
    """With the digits that the table has: 1.6 % WER, 35.2 BLEU, 0.553 accuracy, 7.18 of 10."""
    if value is None:
        return "-"
    return f"{value:.4f}" if metric == "ACC" else f"{value:.2f}"


def _interval(scores: BenchmarkScores, metric: str) -> str:
    figure: Figure = scores.measured
    if figure.low is None or figure.high is None:
        return "measured"
    return f"measured, 95 % interval {_number(figure.low, metric)} to {_number(figure.high, metric)}"


def _asides(scores: BenchmarkScores) -> Iterator[str]:
    metric = scores.benchmark.metric
    if scores.failed:
        without = _number(scores.measured.without_failures, metric)
        yield f", {scores.failed} failed (counted as wrong; without them {without})"
    details = scores.details
    if isinstance(details, JudgeScores):
        yield f"; judged by {details.judge}, who gave the references {_number(details.reference, metric)}"
        yield f"; {counted(details.malformed, 'verdict')} without two scores"
        yield f", {counted(details.unjudged, 'recording')} not judged"
    elif details.calibration is not None:
        yield "; the likeliest label counts; with --free_labels, as published, the one that the model writes"
