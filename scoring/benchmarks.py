"""The benchmarks of the published table, as benchmarks.yaml defines them."""

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import yaml

from earmark.schemas.errors import JobError

# Options of a job that a benchmark sets.
FIXED_OPTIONS = ("task", "translate_to", "columns", "audio_root", "language", "prompt")


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One split of a data set, and how it is run and scored; benchmarks.yaml describes the fields."""

    name: str
    dataset: str
    split: str
    task: str
    prompt: str
    metric: str
    layout: str
    source: str
    table: tuple[str, ...]
    audio: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    normalizer: str = ""
    tokenizer: str = ""
    language: str = ""
    translate_to: str = ""


@functools.cache
def benchmarks() -> Mapping[str, Benchmark]:
    """All benchmarks by name, in the order of the published table."""
    sets = yaml.safe_load(resources.files("earmark.scoring").joinpath("benchmarks.yaml").read_text(encoding="utf-8"))
    splits = [
        _benchmark(f"{name}-{split}".lower(), split, {**common, **of_split})
        for name, common in sets.items()
        for split, of_split in common.pop("splits").items()
    ]
    return {benchmark.name: benchmark for benchmark in splits}


def _benchmark(name: str, split: str, fields: Mapping[str, str | list[str]]) -> Benchmark:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    return Benchmark(name=name, split=split, **values)  # type: ignore[arg-type]  # a file of earmark's own, tested whole


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of a name, which may be in any case.

    Raises:
        JobError: There is no benchmark of that name.
    """
    by_name = benchmarks()
    if name.lower() in by_name:
        return by_name[name.lower()]
    close = difflib.get_close_matches(name.lower(), by_name, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    raise JobError(f"there is no benchmark {name!r}{hint}; `earmark benchmark --list` lists all {len(by_name)}")
