"""`earmark tasks`, and the tasks of a job file in the Parquet."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from earmark.pipeline.annotate import assign, run_job
from earmark.pipeline.cli import build_parser, main
from earmark.pipeline.console.job_flags import merge_options
from earmark.pipeline.runner import embedded_options
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import BUILT_IN, new_task
from tests.support.jobs import annotations, fake_assignments, launched_here, run_here, write_manifest, write_tones

JOB_FILE = """
task: [transcribe, emotion, noise, who]
model: {transcribe: ears, noise: nose}
new_tasks:
  noise: {prompt: "Is there [noise]?", labels: ["yes", "no"]}
  who:
    prompt: Who speaks to {whom}?
    max_new_tokens: 20
"""


@pytest.fixture
def job_file(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text(JOB_FILE)
    return path


def test_tasks_are_listed_with_their_prompts(capsys):
    assert main(["tasks"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line[:1].strip()] == [task.name for task in BUILT_IN]
    printed = " ".join(" ".join(lines).split())
    for task in BUILT_IN:
        assert task.about in printed
        assert f"Instruct checkpoints: {task.chat_prompt or '(the audio alone)'}" in printed
        assert task.base_prompt is None or f"base checkpoints: {task.base_prompt}" in printed
    assert "answer: one of Laughter, Sigh, Cough, Throat clearing, Sneeze, Sniff, with scores" in printed


def test_tasks_of_the_job_file_are_listed_after_the_built_in_ones(job_file, capsys):
    assert main(["tasks", "--config", str(job_file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line[:1].strip()]
    assert names == [*(task.name for task in BUILT_IN), "noise", "who"]
    printed = " ".join(" ".join(lines).split())
    assert (
        "noise defined by the job file; answer: one of yes, no, with scores base checkpoints: Is there [noise]?"
        in printed
    )
    assert "who defined by the job file; answer: text base checkpoints: Who speaks to {whom}?" in printed


def test_tasks_refuses_other_arguments(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["tasks", "extra"])
    assert ended.value.code == 2
    assert "unexpected argument: extra" in capsys.readouterr().err


def test_an_invalid_task_of_a_job_file_is_one_line_and_status_1(tmp_path, capsys):
    config = tmp_path / "job.yaml"
    config.write_text("new_tasks: {noise: {labels: [a, b]}}")
    assert main(["tasks", "--config", str(config)]) == 1
    assert capsys.readouterr().err == "earmark: task 'noise' of the job file has no prompt; give the question as text\n"


@pytest.mark.model
def test_answers_of_every_kind_have_their_columns_in_the_parquet(tmp_path, job_file):
    rows = write_tones(tmp_path / "audio", 6)
    manifest = write_manifest(tmp_path / "m.jsonl", rows)
    command = ["annotate", str(manifest), "out", "--config", str(job_file), "--model=ears", "--model", "noise=nose"]
    options = merge_options(build_parser().parse_args(command))
    options.check()
    with launched_here(manifest, tmp_path / "out", options, workers=2) as run:
        assert run_job(run, fake_assignments(options), embedded_options(["--direct_num_workers=2"])).adds_up
    for part in (tmp_path / "out").glob("annotations/*/*.parquet"):
        schema = pq.read_schema(part)
        assert schema.names[-4:] == ["transcribe", "emotion", "noise", "who"]
        kinds = [schema.field(name).type for name in schema.names[-4:]]
        assert kinds == [task.answer_kind.arrow_type(task) for task in options.tasks()]
        assert schema.field("noise").type.field("score").type == pa.float32()
        assert schema.field("noise").type.field("scores").type.value_type == pa.struct(
            [("label", pa.string()), ("score", pa.float32())]
        )
    rows_written = annotations(tmp_path / "out")
    assert [row["id"] for row in rows_written] == [row["id"] for row in rows]
    for row, source in zip(rows_written, rows, strict=True):
        assert row["transcribe"]["text"] == row["who"]["text"] == source["text"]
        assert row["who"]["prompt"] == "Who speaks to {whom}?"
        assert (row["emotion"]["label"], row["noise"]["label"], row["noise"]["score"]) == ("neutral", "yes", 1.0)
        assert row["noise"]["scores"] == [{"label": "yes", "score": 1.0}, {"label": "no", "score": 0.0}]


@pytest.mark.model
def test_an_additional_task_makes_a_different_job(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 2))
    run_here(manifest, tmp_path / "out", task=("transcribe",))
    message = r"tasks was \['transcribe'\], now \['transcribe', 'caption'\].*another output folder"
    with pytest.raises(JobError, match=message):
        run_here(manifest, tmp_path / "out", task=("transcribe", "caption"))


@pytest.mark.model
def test_another_model_for_one_task_makes_a_different_job(tmp_path):
    manifest = write_manifest(tmp_path / "m.jsonl", write_tones(tmp_path / "audio", 2))
    run_here(manifest, tmp_path / "out", task=("transcribe", "caption"), model=("a",))
    with pytest.raises(JobError, match=r"another job: caption\.model was 'a', now 'b'\. Give the same options"):
        run_here(manifest, tmp_path / "out", task=("transcribe", "caption"), model=("a", "caption=b"))


def test_each_model_gets_the_tasks_that_name_it(tmp_path):
    new = new_task("noise", {"prompt": "Noise?"})
    options = JobOptions(task=("transcribe",), model=("whisper-tiny.en",), new_tasks=(new,))
    (assignment,), models = assign(options, here=True)
    assert assignment.tasks == options.tasks()
    assert [identity.startswith("sha256:") for identity in models.values()] == [True]
    with pytest.raises(JobError, match="no model is named"):
        assign(JobOptions(task=("transcribe", "noise"), model=("transcribe=whisper-tiny.en",), new_tasks=(new,)), True)
