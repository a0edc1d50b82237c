"""The score of a run over a benchmark, in the unit of the published table, and the published figures."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from earmark.scoring.answers import load_answers, open_database, open_output
from earmark.scoring.benchmarks import Benchmark
from earmark.scoring.evaluate import evaluate
from earmark.scoring.judge import Case, Judge, judge_all
from earmark.scoring.judge_scores import JudgeScores, judge_scores
from earmark.scoring.layouts import Entry
from earmark.scoring.options import EvaluateOptions
from earmark.scoring.pairs import Figure
from earmark.scoring.published import Published, published_for
from earmark.scoring.scores import TaskScores

# Figure and factor for each metric of the published table, which has error rates in percent.
FIGURES: Mapping[str, tuple[str, float]] = {"WER": ("wer", 100.0), "BLEU": ("bleu", 1.0), "ACC": ("accuracy", 1.0)}
JUDGED = "GPT-4"  # name of the judged metric in the table, for any judge
LOWER_IS_BETTER = "WER"


@dataclass(frozen=True, slots=True)
class Resampling:
    """Options of the intervals, as in EvaluateOptions."""

    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """A measured figure and the published ones.

    Attributes:
        recordings: Number of recordings in the data set.
        scored: Number of recordings that were annotated or failed.
        measured: The figure, in the unit of the table.
        published: Published figures, in the order of the table.
        details: All scores of the run.
    """

    benchmark: Benchmark
    model: str
    recordings: int
    scored: int
    failed: int
    measured: Figure
    published: tuple[Published, ...]
    details: TaskScores | JudgeScores

    def to_json(self) -> str:
        named = ("name", "dataset", "split", "task", "metric", "normalizer", "tokenizer", "language", "translate_to")
        about = {name: getattr(self.benchmark, name) for name in named if getattr(self.benchmark, name)}
        columns = ("system", "value", "qwen2_audio_weights")
        values = {
            "benchmark": about,
            "model": self.model,
            "recordings": self.recordings,
            "scored": self.scored,
            "failed": self.failed,
            "measured": dataclasses.asdict(self.measured),
            "published": [{name: getattr(figure, name) for name in columns} for figure in self.published],
            "details": dataclasses.asdict(self.details),
        }
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def score_answers(
    benchmark: Benchmark, entries: Sequence[Entry], output: str, manifest: str, resampling: Resampling
) -> BenchmarkScores:
    """Score a finished output with the metric of the benchmark. Raises JobError as evaluate does."""
    options = EvaluateOptions(
        task=(benchmark.task,),
        references=manifest,
        normalizer=benchmark.normalizer,
        language=benchmark.translate_to or benchmark.language,
        bootstrap=resampling.bootstrap,
        seed=resampling.seed,
    )
    scores = evaluate(output, options).task(benchmark.task)
    name, factor = FIGURES[benchmark.metric]
    measured = _scaled(scores.figure(name), factor)
    return _scores(benchmark, entries, scores.model, scores.rows, scores.failed, measured, scores)


def score_by_judge(
    benchmark: Benchmark,
    entries: Sequence[Entry],
    output: str,
    judge: Judge,
    judge_name: str,
    resampling: Resampling,
) -> BenchmarkScores:
    """Score a finished output with a judge. Raises JobError where the output cannot be read, and as judge_all does."""
    opened = open_output(output)
    task = opened.task(benchmark.task)
    with open_database() as database:
        load_answers(database, opened, [task], "answers")
        answers = dict(database.execute(f"SELECT r.id, r.{task.name}.text FROM answers AS r").fetchall())
        failed = {id for (id,) in database.execute("SELECT id FROM answers_failures").fetchall()}
    cases = [
        Case(entry.id, dict(entry.about).get("meta_info", ""), entry.prompt, entry.reference, answers[entry.id])
        for entry in entries
        if entry.id in answers
    ]
    judged = judge_all(cases, judge, judge_name, opened.store)
    scores = judge_scores(judge_name, judged, len(failed), resampling.bootstrap, resampling.seed)
    return _scores(benchmark, entries, task.model, len(cases) + len(failed), len(failed), scores.score, scores)


def _scores(
    benchmark: Benchmark,
    entries: Sequence[Entry],
    model: str,
    scored: int,
    failed: int,
    measured: Figure,
    details: TaskScores | JudgeScores,
) -> BenchmarkScores:
    published = published_for(benchmark)
    return BenchmarkScores(benchmark, model, len(entries), scored, failed, measured, published, details)


def _scaled(figure: Figure, factor: float) -> Figure:
    numbers = ("value", "low", "high", "without_failures")
    scaled = {name: getattr(figure, name) for name in numbers}
    return Figure(figure.name, **{name: None if value is None else value * factor for name, value in scaled.items()})
