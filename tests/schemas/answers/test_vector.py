"""Vectors: joined from parts, and as a column of the output."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from earmark.schemas.answers.transcript import Transcript
from earmark.schemas.answers.vector import VectorAnswer, VectorPart, join_vectors
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Annotation, AudioFacts, PartReport, Recording
from earmark.schemas.tables import annotations_schema, annotations_table
from earmark.transforms.output.merge import merge_parts, read_small
from earmark.transforms.output.store import encode_part

FACTS = AudioFacts(1.5, 8000, 2, "flac", -20.0, -3.0, 0.0)
WIDTH = 3
VECTORS = arrays.arrays(np.float32, WIDTH, elements=st.floats(-1000, 1000, width=32))
WEIGHTS = st.floats(1, 480_000)
ROWS = [(1.0, 2.5, -3.0), (0.1, -1e-30, 0.0), (3e38, 1 / 3, 1e-45)]


def parts_of(*pairs):
    return [VectorPart(weight, np.array(vector, np.float32)) for weight, vector in pairs]


def tasks_of(dimensions):
    transcribe, embed = JobOptions(task=("transcribe", "embed")).tasks()
    return transcribe, dataclasses.replace(embed, dimensions=dimensions)


def table_of(rows, dimensions=WIDTH):
    return annotations_table(
        [
            Annotation(
                Recording(f"r{number}", "r.wav"),
                FACTS,
                {"transcribe": Transcript("", None, None), "embed": VectorAnswer(tuple(row))},
            )
            for number, row in enumerate(rows)
        ],
        tasks_of(dimensions),
    )


def floats(rows):
    return np.array(rows, np.float32).tolist()


def test_parts_of_a_vector_count_by_their_weights():
    assert join_vectors(parts_of((1.0, (1, 0)), (3.0, (5, -4)))) == VectorAnswer((4.0, -3.0))


@given(WEIGHTS, VECTORS)
def test_a_single_part_is_the_answer_to_the_bit(weight, vector):
    assert join_vectors([VectorPart(weight, vector)]) == VectorAnswer(tuple(vector.tolist()))


@given(st.lists(st.builds(VectorPart, WEIGHTS, VECTORS), min_size=1, max_size=5), st.floats(0.01, 100))
def test_a_mean_lies_between_its_parts_and_does_not_depend_on_the_unit_of_weight(parts, scale):
    mean = np.array(join_vectors(parts).vector)
    vectors = np.array([part.vector for part in parts])
    assert (vectors.min(axis=0) - 1e-3 <= mean).all() and (mean <= vectors.max(axis=0) + 1e-3).all()
    scaled = join_vectors([VectorPart(part.weight * scale, part.vector) for part in parts])
    assert scaled.vector == pytest.approx(mean, abs=1e-3)


def test_the_column_is_a_list_of_a_fixed_size_without_rows_too():
    embed = tasks_of(WIDTH)[1]
    assert embed.answer_kind.arrow_type(embed) == pa.list_(pa.float32(), WIDTH)
    assert table_of([]).schema == table_of(ROWS).schema == annotations_schema(tasks_of(WIDTH))


def test_a_vector_of_another_size_is_an_error():
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        table_of([(1.0, 2.0)])


def test_vectors_come_back_from_parquet_as_they_were(tmp_path):
    pq.write_table(table_of(ROWS), tmp_path / "part.parquet", compression="zstd")
    table = pq.read_table(tmp_path / "part.parquet")
    assert table.schema.field("embed").type == pa.list_(pa.float32(), WIDTH)
    assert table["embed"].to_pylist() == floats(ROWS)


def small(key, rows, dimensions=WIDTH):
    return encode_part(table_of(rows, dimensions), PartReport(key, len(rows), ()), "run", "f00d")


def test_merged_parts_keep_vectors_as_they_were():
    contents = {"a": small("a", ROWS[:1]), "b": small("b", []), "c": small("c", ROWS[1:])}
    merged = merge_parts([read_small(path, content) for path, content in contents.items()], "compaction")
    table = pq.read_table(pa.BufferReader(merged.content))
    assert table.schema.field("embed").type == pa.list_(pa.float32(), WIDTH)
    assert table["embed"].to_pylist() == floats(ROWS)
    remerged = merge_parts(
        [read_small("merged/000001-a.parquet", merged.content), read_small("d", small("d", ROWS))], "c"
    )
    assert pq.read_table(pa.BufferReader(remerged.content))["embed"].to_pylist() == floats([*ROWS, *ROWS])


def test_vectors_of_different_sizes_are_not_merged():
    parts = [read_small("a", small("a", ROWS)), read_small("b", small("b", [(1.0, 2.0)], 2))]
    with pytest.raises(JobError, match="b has other columns than a; they cannot be merged"):
        merge_parts(parts, "compaction")
