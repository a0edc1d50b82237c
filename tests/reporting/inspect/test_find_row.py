"""Finding a row among many parts on any store, and the messages for an id that the output does not have."""

import uuid

import pyarrow.parquet as pq
import pytest

from earmark.pipeline import compact
from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store
from earmark.reporting.inspect.find_row import find_row, similar_ids
from earmark.reporting.inspect.row import inspect_row
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from earmark.schemas.records import Failure, PartReport
from earmark.schemas.tables import annotations_table
from earmark.transforms.output.store import JOB_PATH, OutputStore, encode_part
from tests.support.outputs.builder import Row, write_output


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(compact, "LISTING_S", 0.0)


def test_an_annotation_is_preferred_to_a_failure_and_a_later_failure_to_an_earlier(tmp_path):
    write_output(tmp_path / "out", [Row("a", None), Row("b", None)])
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}), Row("c", {"transcribe": "x"})])
    assert inspect_row(store.root, "a").annotation is not None
    later = Failure("b", "/b.wav", "Annotate", "label", "none of the labels; ask again", "run2")
    report = PartReport("ab" * 16, 0, (later,))
    store.create(store.part_path(report.key), encode_part(annotations_table([], ()), report, "run2", "another"))
    inspected = inspect_row(store.root, "b").failure
    assert inspected is not None and inspected.failure == later
    assert (inspected.provenance.run_id, inspected.provenance.is_of_this_job) == ("run2", False)


def test_an_output_without_parts_has_no_recording_and_a_compaction_meanwhile_is_an_error(tmp_path, monkeypatch):
    store = OutputStore(str(tmp_path / "out"))
    store.create(JOB_PATH, JobDescription.of(JobOptions(), {}, "none").to_json().encode())
    with pytest.raises(JobError, match=r"out has no recording a$"):
        inspect_row(store.root, "a")
    monkeypatch.setattr(OutputStore, "parts", lambda self: ["annotations/ab/part-gone.parquet"])
    with pytest.raises(
        JobError, match=r"part-gone.parquet.* a compaction has removed the file meanwhile; run inspect again"
    ):
        inspect_row(store.root, "a")


@pytest.fixture(scope="module", params=["local", "memory"])
def many(request, tmp_path_factory):
    """300 rows in 43 parts; every thirtieth row is a failure."""
    local = request.param == "local"
    root = str(tmp_path_factory.mktemp("many") / "out") if local else f"memory://many-{uuid.uuid4().hex}"
    rows = [
        Row(f"corpus/failed-{number:06d}", None)
        if number % 30 == 0
        else Row(f"corpus/clip-{number:06d}", {"transcribe": f"number {number}"}, f"number {number}")
        for number in range(300)
    ]
    return write_output(root, rows, rows_a_part=7)


@pytest.mark.parametrize(
    ("id", "similar"),
    [
        ("corpus/clip_000012", "corpus/clip-000012"),
        ("corpsu/clip-000012", "corpus/clip-000012"),
        ("clip-000012", "corpus/clip-000012"),
        ("corpus/clip-000021x", "corpus/clip-000021"),
        ("CLIP-000021", "corpus/clip-000021"),
        ("corpus/fialed-000060", "corpus/failed-000060"),
    ],
)
def test_similar_ids_are_suggested_for_an_unknown_id(many, id, similar):
    with pytest.raises(JobError, match=f"has no recording {id}; did you mean {similar}"):
        inspect_row(many.root, id)


def test_an_id_unlike_all_others_has_no_suggestion_and_status_1(many, capsys):
    assert similar_ids(many, "something else") == []
    assert main(["inspect", many.root, "something else"]) == 1
    assert capsys.readouterr().err == f"earmark: {many.root} has no recording something else\n"


def test_every_id_is_found_on_any_store(many):
    assert len(many.parts()) == 43
    for number in range(1, 300, 13):
        annotation = inspect_row(many.root, f"corpus/clip-{number:06d}").annotation
        assert annotation is not None and annotation.answers[0].reference == f"number {number}"


def test_the_part_that_a_run_wrote_is_named_after_a_compaction(tmp_path):
    rows = [Row(f"r{number:02d}", {"transcribe": "x"} if number % 5 else None) for number in range(20)]
    store = write_output(tmp_path / "out", rows, rows_a_part=3)
    before = {row.id: inspect_row(store.root, row.id) for row in rows}
    done = compact_store(store, 2**20)
    assert len(store.parts()) == 1
    for id, inspection in before.items():
        earlier, later = provenance_of(inspection), provenance_of(inspect_row(store.root, id))
        assert (earlier.run_id, earlier.part_key) == (later.run_id, later.part_key)
        assert (earlier.compaction, later.compaction) == ("", done.run_id)
        assert later.part == store.parts()[0]


def provenance_of(inspection):
    return (inspection.annotation or inspection.failure).provenance


def test_parts_whose_statistics_exclude_an_id_are_not_read(tmp_path, monkeypatch):
    store = write_output(tmp_path / "out", [Row(f"r{n:02d}", {"transcribe": "x"}) for n in range(40)], rows_a_part=4)
    read = []
    original = pq.ParquetFile.read_row_group

    def counted(self, index, columns=None, **options):
        read.append(columns)
        return original(self, index, columns=columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    assert find_row(store, "r17") is not None
    assert read == [["id"], None], "the ids of one part, and then its rows"


def test_two_annotations_of_an_id_are_refused_with_both_parts(tmp_path):
    write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}), Row("b", {"transcribe": "x"})])
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "y"})])
    first, second = store.parts()
    with pytest.raises(JobError, match=f"several annotations of a, in {first} and {second}"):
        inspect_row(store.root, "a")


def test_a_file_that_is_not_a_part_and_a_folder_that_is_not_an_output_are_named(tmp_path):
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "x"})])
    (tmp_path / "out" / "annotations" / "zz.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(JobError, match=r"zz.parquet is not a part that earmark wrote"):
        inspect_row(store.root, "a")
    with pytest.raises(JobError, match=f"{tmp_path} is not an output of earmark: it has no {JOB_PATH}"):
        inspect_row(str(tmp_path), "a")
