"""Provenance of an output, read from the files that its runs have written."""

import pytest

from earmark.reporting.provenance import RUNS, read_provenance, read_run
from earmark.schemas.errors import JobError
from tests.support.outputs.builder import write_output
from tests.support.outputs.run_info import write_run_info


@pytest.fixture
def store(tmp_path):
    return write_output(tmp_path / "out", [], task=("transcribe", "emotion"))


def test_an_output_without_a_description_of_a_run_has_its_job_alone(store):
    provenance = read_provenance(store)
    assert [task.name for task in provenance.job.tasks] == ["transcribe", "emotion"]
    assert (provenance.run, provenance.runs) == (None, 0)
    assert read_run(store, "r1") is None


def test_the_latest_run_with_a_description_is_the_one_that_counts(store):
    write_run_info(store, "r1", columns=["audio=wav"])
    write_run_info(store, "r2", columns=["audio=path"], audio_root="/data")
    store.create(f"{RUNS}/r3/parts.txt", b"")  # as a compaction leaves it
    provenance = read_provenance(store)
    assert provenance.run == read_run(store, "r2")
    assert (provenance.run.columns, provenance.run.audio_root) == (("audio=path",), "/data")
    assert provenance.runs == 3


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"run_id": "r1"}', b'{"run_id": "r1", "options": []}'])
def test_a_damaged_description_is_named_and_an_error(store, content):
    store.create(f"{RUNS}/r1/run.json", content)
    for read in (lambda: read_run(store, "r1"), lambda: read_provenance(store)):
        with pytest.raises(JobError, match=r"runs/r1/run\.json is damaged or of another version of earmark"):
            read()
