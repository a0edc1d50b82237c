"""The published table and the benchmarks match each other, prompts included."""

import csv
import dataclasses
from collections import Counter

import pytest

from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import MELD_EMOTIONS, VOCAL_SOUNDS
from earmark.scoring import layouts
from earmark.scoring.benchmarks import benchmarks, find_benchmark
from earmark.scoring.published import published, published_for
from tests.support.paths import ROOT

TABLE = ROOT / "scoring" / "published-results.csv"
SPLITS = {
    "Librispeech": {"dev-clean", "dev-other", "test-clean", "test-other"},
    "Common Voice 15": {"en", "zh", "yue", "fr"},
    "Fleurs": {"zh"},
    "Aishell2": {"Mic", "iOS", "Android"},
    "CoVoST2": {"en-de", "de-en", "en-zh", "zh-en", "es-en", "fr-en", "it-en"},
    "Meld": {"test"},
    "VocalSound": {"test"},
    "AIR-Bench": {"Speech", "Sound", "Music", "Mixed-Audio"},
}


def test_every_set_and_split_of_the_table_is_defined():
    splits: dict[str, set[str]] = {}
    for benchmark in benchmarks().values():
        splits.setdefault(benchmark.dataset, set()).add(benchmark.split)
    assert splits == SPLITS


def test_every_figure_of_the_table_belongs_to_one_benchmark():
    with TABLE.open() as file:
        rows = list(csv.DictReader(file))
    reached = Counter(figure for benchmark in benchmarks().values() for figure in published_for(benchmark))
    assert len(rows) == len(published()) == len(reached) == reached.total() == 208
    figures = [{**dataclasses.asdict(figure), "value": str(figure.value)} for figure in published()]
    assert figures == [{**row, "value": str(float(row["value"]))} for row in rows]


@pytest.mark.parametrize("name", benchmarks())
def test_a_benchmark_has_figures_of_qwen2_audio_with_both_weights(name):
    figures = [figure for figure in published_for(benchmarks()[name]) if figure.system == "Qwen2-Audio"]
    assert [figure.qwen2_audio_weights for figure in figures] == ["original", "huggingface"]


def test_figures_come_in_the_unit_of_the_table():
    (first, second) = [
        figure for figure in published_for(benchmarks()["librispeech-test-clean"]) if figure.system == "Qwen2-Audio"
    ]
    assert (first.value, second.value, first.metric) == (1.6, 1.7, "WER")


@pytest.mark.parametrize("benchmark", benchmarks().values(), ids=lambda benchmark: benchmark.name)
def test_base_checkpoints_get_the_published_prompt(benchmark):
    options = JobOptions(task=(benchmark.task,), translate_to=benchmark.translate_to or "en")
    (task,) = options.tasks()
    question = "Is it raining?" if task.takes_row_prompt else None
    prompt = task.prompt(False, benchmark.language or None, question)
    assert prompt == benchmark.prompt.replace("{row_prompt}", question or "")


def test_labels_of_the_sets_are_labels_of_the_tasks():
    assert set(layouts.VOCAL_SOUNDS.values()) == set(VOCAL_SOUNDS)
    assert {"neutral", "joy", "sadness", "anger", "surprise", "fear", "disgust"} == set(MELD_EMOTIONS)


def test_a_name_may_be_in_any_case_and_a_wrong_one_gets_a_suggestion():
    assert find_benchmark("Aishell2-iOS").split == "iOS"
    with pytest.raises(JobError, match=r"no benchmark 'librispeech-clean' \(did you mean librispeech-(dev|test)-clean"):
        find_benchmark("librispeech-clean")
    with pytest.raises(JobError, match="no benchmark 'xyzzy'; `earmark benchmark --list` lists all 25"):
        find_benchmark("xyzzy")
