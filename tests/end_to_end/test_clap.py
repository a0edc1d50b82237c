"""Whole jobs with CLAP: labels and vectors in Parquet, as users read them."""

import json

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from earmark.model.clap.engine import Clap
from earmark.pipeline import compact as compaction
from earmark.pipeline.annotate import assign, run_job
from earmark.pipeline.compact import compact, part_urls
from earmark.pipeline.launch import ExecutionTarget, launched_run
from earmark.pipeline.runner import embedded_options
from earmark.schemas.answers.vector import VectorAnswer
from earmark.schemas.job import JobOptions
from tests.support.audio.glides import cut_clip
from tests.support.checkpoints.small_clap import write_clap
from tests.support.jobs import annotations, run_command, write_manifest, write_tones

pytestmark = pytest.mark.model

DIMENSIONS = 16
COUNT = 12


def run_clap(folder, manifest, output, shard_rows=4, batch_s=240.0):
    """A run of the whole graph in this process."""
    job = JobOptions(
        task=("embed", "vocal_sound"), model=(str(folder),), shard_rows=shard_rows, batch_s=batch_s, model_threads=1
    )
    assignments, models = assign(job, here=True)
    with launched_run(str(manifest), str(output), job, models, ExecutionTarget(2)) as run:
        return run_job(run, assignments, embedded_options(["--direct_num_workers=2"]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clap(tmp_path_factory.mktemp("clap"))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    return write_manifest(folder / "m.jsonl", write_tones(folder, COUNT))


@pytest.fixture(scope="module")
def output(folder, manifest, tmp_path_factory):
    """Output of the command as a user types it."""
    output = tmp_path_factory.mktemp("out") / "labels"
    done = run_command(
        *("annotate", manifest, output, "--task", "embed,vocal_sound", "--model", folder),
        *("--shard_rows", 4, "--model_threads", 1, "--device", "cpu", "--verbose"),
    )
    assert done.returncode == 0, done.stderr
    assert "it gets nothing above 8000 Hz" in done.stderr
    return output


def expected_vectors(folder, manifest):
    """Vectors of the engine by id, of each recording alone."""
    engine = Clap(str(folder), JobOptions(device="cpu", model_threads=1))
    (task,) = JobOptions(task=("embed",)).tasks()
    vectors = {}
    for line in manifest.read_text().splitlines():
        row = json.loads(line)
        samples = soundfile.read(row["audio_filepath"], dtype="float32")[0]
        (answers,) = engine.annotate([cut_clip(samples)], [task])
        assert isinstance(answers, dict) and isinstance(answers["embed"], VectorAnswer)
        vectors[row["id"]] = np.array(answers["embed"].vector)
    return vectors


@pytest.mark.process
def test_every_row_has_its_vector_in_a_column_of_a_fixed_size(folder, manifest, output):
    for part in part_urls(str(output)):
        assert pq.read_schema(part).field("embed").type == pa.list_(pa.float32(), DIMENSIONS)
    vectors = expected_vectors(folder, manifest)
    rows = annotations(output)
    assert [row["id"] for row in rows] == sorted(vectors)
    for row in rows:
        assert row["embed"] == pytest.approx(vectors[row["id"]], abs=1e-4)
        assert sum(score["score"] for score in row["vocal_sound"]["scores"]) == pytest.approx(1, abs=1e-5)


def test_pandas_makes_a_matrix_of_the_column(output):
    table = pd.read_parquet(output / "annotations")
    matrix = np.stack(list(table["embed"]))
    assert (matrix.shape, matrix.dtype) == ((COUNT, DIMENSIONS), np.float32)
    assert np.linalg.norm(matrix, axis=1) == pytest.approx(np.ones(COUNT), abs=1e-5)


def test_duckdb_searches_by_similarity(output):
    query = f"""
        WITH vectors AS (SELECT id, embed::FLOAT[{DIMENSIONS}] AS vector FROM '{output}/annotations/*/*.parquet')
        SELECT one.id, arg_max(other.id, array_cosine_similarity(one.vector, other.vector)),
            typeof(any_value(one.vector))
        FROM vectors one, vectors other GROUP BY one.id
    """
    rows = duckdb.sql(query).fetchall()
    assert len(rows) == COUNT
    assert all(id == nearest and kind == f"FLOAT[{DIMENSIONS}]" for id, nearest, kind in rows)


def test_job_json_holds_the_tasks_and_their_prompts(output):
    embed, vocal_sound = json.loads((output / "_earmark" / "job.json").read_text())["tasks"]
    assert (embed["answer"], embed["dimensions"]) == ("vector", DIMENSIONS)
    assert (vocal_sound["question"], vocal_sound["base_prompt"]) == ("This is a sound of {label}.", None)


def test_other_shards_and_batches_give_the_same(folder, manifest, output, tmp_path):
    run_clap(folder, manifest, tmp_path / "other", shard_rows=256, batch_s=30.0)
    for expected, row in zip(annotations(output), annotations(tmp_path / "other"), strict=True):
        assert row["id"] == expected["id"]
        assert row["embed"] == pytest.approx(expected["embed"], abs=1e-4)
        assert row["vocal_sound"]["label"] == expected["vocal_sound"]["label"]


def test_compaction_keeps_vectors_as_they_are(folder, manifest, tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "LISTING_S", 0.0)
    run_clap(folder, manifest, tmp_path)
    before = annotations(tmp_path)
    done = compact(str(tmp_path), 1, False)
    assert (done.replaced, done.merged, done.parts_after) == (done.parts_before, 1, 1)
    (part,) = part_urls(str(tmp_path))
    assert pq.read_schema(part).field("embed").type == pa.list_(pa.float32(), DIMENSIONS)
    assert annotations(tmp_path) == before
    assert run_clap(folder, manifest, tmp_path).annotated == 0  # a merged part is one of the same job
