"""Printed output of `earmark benchmark`: the list of benchmarks and the measured next to the published scores."""

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
    """Print each benchmark with its task, its metric and a file or folder that its data must hold."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("name", "task", "metric", "data holds", "source"):
        table.add_column(heading, overflow="fold")
    for benchmark in benchmarks:
        cells = (benchmark.name, benchmark.task, benchmark.metric, benchmark.table[0], benchmark.source)
        table.add_row(*map(escape, cells))
    console.print(table)


def print_scores(scores: BenchmarkScores, models: Iterable[str]) -> None:
    """Print the measured score, then the published ones, best first."""
    metric = scores.benchmark.metric
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("system")
    table.add_column(f"{metric}, %" if metric == LOWER_IS_BETTER else metric, justify="right")
    table.add_column("")
    names = escape(", ".join(models))
    table.add_row(f"[bold]{names}[/]", f"[bold]{_number(scores.measured.value, metric)}[/]", _interval(scores, metric))
    for system, value, weights in _rows(scores.published):
        table.add_row(escape(system), _number(value, metric), weights)
    console.print(table)
    scored = "" if scores.scored == scores.recordings else f"{scores.scored} of "
    rows = f"{scored}{counted(scores.recordings, 'recording')}"
    console.print(escape(f"{scores.benchmark.name}: {rows}{''.join(_asides(scores))}"), soft_wrap=True)


def _rows(published: Iterable[Published]) -> Iterator[tuple[str, float, str]]:
    """Yield system, score and, where it matters, the weights behind the score."""
    weights_of: dict[tuple[str, float], list[str]] = {}
    for score in published:
        weights_of.setdefault((score.system, score.value), []).append(score.qwen2_audio_weights)
    lower = any(score.metric == LOWER_IS_BETTER for score in published)
    for (system, value), weights in sorted(weights_of.items(), key=lambda row: row[0][1] if lower else -row[0][1]):
        yield system, value, "published" if len(weights) == len(WEIGHTS) else WEIGHTS[weights[0]]


def _number(value: float | None, metric: str) -> str:
    """Format a score with as many digits as published: 1.6 % WER, 35.2 BLEU, 0.553 accuracy, 7.18 of 10."""
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
        yield f"; judged by {details.judge}, which scored the references {_number(details.reference, metric)}"
        yield f"; {counted(details.malformed, 'verdict')} without two scores"
        yield f", {counted(details.unjudged, 'recording')} not judged"
    elif details.calibration is not None:
        yield "; scored by the most likely label; with --free_labels, as published, by the label that the model writes"
