"""`earmark inspect`: one row found among many parts, wherever they lie, and what is said where it is not there."""

import uuid

import pyarrow.parquet as pq
import pytest

from earmark.pipeline import compact
from earmark.pipeline.cli import main
from earmark.pipeline.compact import compact_store
from earmark.reporting.inspect.find_row import find_row, near_ids
from earmark.reporting.inspect.row import inspect_row
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import JobDescription
from earmark.schemas.records import Failure, PartReport
from earmark.schemas.tables import annotations_table
from earmark.transforms.output.store import JOB_PATH, OutputStore, encode_part
from tests.support.outputs.made_outputs import Row, write_output


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(compact, "LISTING_S", 0.0)


def test_an_annotation_stands_above_a_failure_and_a_later_failure_above_an_earlier(tmp_path):
    write_output(tmp_path / "out", [Row("a", None), Row("b", None)])
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "x"}), Row("c", {"transcribe": "x"})])
    assert inspect_row(store.root, "a").annotation is not None
    later = Failure("b", "/b.wav", "Annotate", "label", "none of the labels; ask again", "run2")
    report = PartReport("ab" * 16, 0, (later,))
    store.create(store.part_path(report.key), encode_part(annotations_table([], ()), report, "run2", "another"))
    found = inspect_row(store.root, "b").failure
    assert found is not None and found.failure == later
    assert (found.provenance.run_id, found.provenance.is_of_this_job) == ("run2", False)


def test_an_output_without_parts_has_no_recording_and_one_that_is_compacted_meanwhile_says_so(tmp_path, monkeypatch):
    store = OutputStore(str(tmp_path / "out"))
    store.create(JOB_PATH, JobDescription.of(JobOptions(), {}, "none").to_json().encode())
    with pytest.raises(JobError, match=r"out has no recording a$"):
        inspect_row(store.root, "a")
    monkeypatch.setattr(OutputStore, "parts", lambda self: ["annotations/ab/part-gone.parquet"])
    with pytest.raises(JobError, match=r"part-gone.parquet.* it went while it was read.*; start again"):
        inspect_row(store.root, "a")


@pytest.fixture(scope="module", params=["local", "memory"])
def many(request, tmp_path_factory):
    """300 rows in 43 parts, every thirtieth of them a failure."""
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
    ("asked", "meant"),
    [
        ("corpus/clip_000012", "corpus/clip-000012"),
        ("corpsu/clip-000012", "corpus/clip-000012"),
        ("clip-000012", "corpus/clip-000012"),
        ("corpus/clip-000021x", "corpus/clip-000021"),
        ("CLIP-000021", "corpus/clip-000021"),
        ("corpus/fialed-000060", "corpus/failed-000060"),
    ],
)
def test_an_id_that_is_not_there_leads_to_those_that_are_near(many, asked, meant):
    with pytest.raises(JobError, match=f"has no recording {asked}; did you mean {meant}"):
        inspect_row(many.root, asked)


def test_an_id_unlike_all_others_leads_nowhere_and_is_status_1(many, capsys):
    assert near_ids(many, "something else") == []
    assert main(["inspect", many.root, "something else"]) == 1
    assert capsys.readouterr().err == f"earmark: {many.root} has no recording something else\n"


def test_every_id_is_found_on_any_store(many):
    assert len(many.parts()) == 43
    for number in range(1, 300, 13):
        found = inspect_row(many.root, f"corpus/clip-{number:06d}").annotation
        assert found is not None and found.answers[0].reference == f"number {number}"


def test_after_a_compaction_a_row_still_knows_the_part_that_its_run_wrote(tmp_path):
    rows = [Row(f"r{number:02d}", {"transcribe": "x"} if number % 5 else None) for number in range(20)]
    store = write_output(tmp_path / "out", rows, rows_a_part=3)
    before = {row.id: inspect_row(store.root, row.id) for row in rows}
    done = compact_store(store, 2**20)
    assert len(store.parts()) == 1
    for id, was in before.items():
        now = inspect_row(store.root, id)
        one, other = was.annotation or was.failure, now.annotation or now.failure
        assert one is not None and other is not None
        assert (one.provenance.run_id, one.provenance.part_key) == (other.provenance.run_id, other.provenance.part_key)
        assert (one.provenance.compaction, other.provenance.compaction) == ("", done.run_id)
        assert other.provenance.part == store.parts()[0]


def test_statistics_spare_the_parts_that_cannot_hold_an_id(tmp_path, monkeypatch):
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
    one, other = store.parts()
    with pytest.raises(JobError, match=f"several annotations of a, in {one} and {other}"):
        inspect_row(store.root, "a")


def test_a_file_that_is_no_part_and_a_folder_that_is_no_output_are_named(tmp_path):
    store = write_output(tmp_path / "out", [Row("a", {"transcribe": "x"})])
    (tmp_path / "out" / "annotations" / "zz.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(JobError, match=r"zz.parquet is not a part that earmark wrote"):
        inspect_row(store.root, "a")
    with pytest.raises(JobError, match=f"{tmp_path} is not an output of earmark: it has no {JOB_PATH}"):
        inspect_row(str(tmp_path), "a")
