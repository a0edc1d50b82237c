"""Published figures, to compare measured ones with."""

import csv
import functools
import io
from dataclasses import dataclass
from importlib import resources

from earmark.scoring.benchmarks import Benchmark


@dataclass(frozen=True, slots=True)
class Published:
    """One figure of the published table, in the table's own unit: percent for WER, shares for ACC.

    Attributes:
        qwen2_audio_weights: "original" or "huggingface": the table was published twice, with Qwen2-Audio's original
            weights and with those on Hugging Face. The figures of other systems are the same in both.
    """

    task: str
    dataset: str
    split: str
    system: str
    metric: str
    value: float
    qwen2_audio_weights: str


@functools.cache
def published() -> tuple[Published, ...]:
    """All figures, in the order of the table."""
    text = resources.files("earmark.scoring").joinpath("published-results.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(io.StringIO(text))
    return tuple(
        Published(
            row["task"],
            row["dataset"],
            row["split"],
            row["system"],
            row["metric"],
            float(row["value"]),
            row["qwen2_audio_weights"],
        )
        for row in rows
    )


def published_for(benchmark: Benchmark) -> tuple[Published, ...]:
    """The published figures of a benchmark."""
    row = (benchmark.dataset, benchmark.split, benchmark.metric)
    return tuple(figure for figure in published() if (figure.dataset, figure.split, figure.metric) == row)
