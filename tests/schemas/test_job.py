"""The options of a job, their checks, and the messages for wrong ones."""

import dataclasses
import json
import math
import subprocess
import sys

import pytest

from earmark.pipeline.cli import build_parser, main
from earmark.pipeline.console.job_flags import merge_options
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task
from earmark.transforms.output.store import OutputStore
from tests.support.outputs.parts import make_part


@pytest.fixture
def manifest(tmp_path):
    rows = [{"audio": f"{name}.wav", "duration": 1800} for name in "abca"] + [{"audio": "d.wav", "duration": "?"}]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def options_of(*flags):
    return merge_options(build_parser().parse_args(["annotate", "m.jsonl", "out", *flags]))


def write_text(path, text):
    path.write_text(text)
    return str(path)


def test_options_that_are_not_set_have_their_defaults():
    assert options_of() == JobOptions()


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("task", (), "choose from transcribe, translate, caption"),
        ("task", ("sing",), "--task=sing does not work: choose from transcribe"),
        ("task", ("transcribe", "transcribe"), "name each task once"),
        ("columns", ("sound=wav",), "--columns=sound=wav .* write NAME=COLUMN, NAME of id, audio"),
        ("columns", ("audio",), "write NAME=COLUMN"),
        ("columns", ("audio=a", "audio=b"), "--columns=audio=a,audio=b .* give one column per role"),
        ("device", "gpu", "--device=gpu .* choose from auto, cpu, cuda"),
        ("compute_type", "int4", "--compute_type=int4 .* choose from default, float32"),
        ("limit", -1, "--limit=-1 .* give 0 or more"),
        ("beam_size", -1, "--beam_size=-1 .* give 0 or more"),
        ("translate_to", "tlh", "--translate_to=tlh .* choose from en, zh, yue"),
        ("shard_rows", 0, "--shard_rows=0 .* give 1 or more"),
        ("endpoint_requests", 0, "--endpoint_requests=0 .* give 1 or more"),
        ("endpoint_timeout_s", math.nan, "--endpoint_timeout_s=nan .* give a number of seconds above 0"),
        ("max_duration_s", 0.0, r"--max_duration_s=0\.0 .* give a number of seconds above 0"),
        ("recording_timeout_s", math.inf, "--recording_timeout_s=inf"),
        ("batch_s", 10.0, r"--batch_s=10\.0 .* give at least 30"),
        ("batch_s", math.nan, "--batch_s=nan"),
        ("max_failure_ratio", 1.5, r"--max_failure_ratio=1\.5 .* from 0 to 1"),
        ("scratch_dir", "/no/where", "--scratch_dir=/no/where .* the folder does not exist; create it"),
        ("scratch_dir", __file__, r"--scratch_dir=.*\.py does not work: the folder does not exist"),
        ("audio_root", "/no/where", "--audio_root=/no/where .* the folder does not exist"),
    ],
)
def test_a_bad_option_is_refused_with_its_value_and_what_to_do(name, value, remedy):
    with pytest.raises(JobError, match=remedy):
        dataclasses.replace(JobOptions(), **{name: value}).check()


def test_folders_that_exist_and_roots_of_other_file_systems_are_accepted(tmp_path):
    JobOptions(scratch_dir=str(tmp_path), audio_root=str(tmp_path)).check()
    JobOptions(audio_root="s3://bucket/corpus").check()


def test_a_job_file_sets_options_and_flags_win(tmp_path):
    text = "model: big\nlimit: 9\nbatch_s: 60\ntask: [transcribe]\ncolumns: {audio: wav, id: key}\ntimestamps: true\n"
    config = write_text(tmp_path / "job.yaml", text)
    options = options_of("--config", config, "--limit=3", "--no-timestamps")
    expected = {"model": ("big",), "limit": 3, "batch_s": 60.0, "columns": ("audio=wav", "id=key"), "timestamps": False}
    assert options == dataclasses.replace(JobOptions(), **expected)
    assert options_of("--columns", "audio=wav, id=key").columns == options.columns


def test_a_flag_of_several_values_takes_them_at_once_or_one_by_one(tmp_path):
    expected = ("big", "caption=small@v1", "emotion=./lr=3")
    assert options_of("--model", "big, caption=small@v1", "--model=emotion=./lr=3").model == expected
    config = write_text(tmp_path / "job.yaml", "model: other\ntask: caption, emotion\n")
    options = options_of("--config", config, "--model", "big", "--model", "caption=small@v1", "--model=emotion=./lr=3")
    assert (options.task, options.model) == (("caption", "emotion"), expected)


def test_a_job_file_may_name_models_by_task(tmp_path):
    options = options_of("--config", write_text(tmp_path / "job.yaml", "model: {transcribe: big, caption: small}"))
    assert options.model == ("transcribe=big", "caption=small")


def test_labels_are_mapped_in_a_job_file_or_by_flags(tmp_path):
    expected = ("emotion.hap=joy", "emotion.very sad=sadness")
    texts = (
        "label_map: {emotion.hap: joy, emotion.very sad: sadness}",
        "label_map: [emotion.hap=joy, emotion.very sad=sadness]",
        "label_map: emotion.hap=joy, emotion.very sad=sadness",
    )
    for text in texts:
        assert options_of("--config", write_text(tmp_path / "job.yaml", text)).label_map == expected
    assert options_of("--label_map", "emotion.hap=joy", "--label_map=emotion.very sad=sadness").label_map == expected


def test_a_job_file_leaves_labels_to_the_model(tmp_path):
    text = "task: [mood]\nnew_tasks: {mood: {labels: checkpoint}}\nlabel_map: {mood.hap: joy}"
    options = options_of("--config", write_text(tmp_path / "job.yaml", text))
    options.check()
    (mood,) = options.tasks()
    assert (mood.labels_of_model, mood.label_map) == (True, (("hap", "joy"),))


def test_a_job_file_defines_tasks(tmp_path):
    text = """
task: [noise]
new_tasks:
  noise: {prompt: "Is there noise in {place}?", labels: ["yes", "no"]}
  summary:
    prompt: Sum up what is said.
    max_new_tokens: 64
"""
    noise, summary = options_of("--config", write_text(tmp_path / "job.yaml", text)).new_tasks
    assert (noise.name, noise.question, noise.answer, noise.labels) == (
        "noise",
        "Is there noise in {place}?",
        "label",
        ("yes", "no"),
    )
    assert (summary.name, summary.question, summary.answer, summary.max_new_tokens) == (
        "summary",
        "Sum up what is said.",
        "text",
        64,
    )
    assert isinstance(noise, Task)


def test_an_empty_job_file_sets_nothing(tmp_path):
    assert options_of("--config", write_text(tmp_path / "job.yaml", "# nothing yet\n")) == JobOptions()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: big", r"job\.yaml: there is no option 'modle'; did you mean model\?"),
        ("3: x", "there is no option 3"),
        ("limit: many", "limit is 'many'; give a whole number"),
        ("limit: true", "limit is True; give a whole number"),
        ("language: no", "language is False; give text in quotes"),
        ("timestamps: 1", "timestamps is 1; give true or false"),
        ("batch_s: fast", "batch_s is 'fast'; give a number"),
        ("new_tasks: [noise]", r"new_tasks is \['noise'\]; give tasks by name, each with a prompt"),
        ("new_tasks: {noise: {prompt: Noise, labels: [yes, no]}}", r"labels is \[True, False\]; .*quote yes, no"),
        ("new_tasks: {caption: {prompt: Noise}}", "task 'caption' of the job file: that name is taken"),
        ("[]", "must be a mapping of option names to values"),
        ("just words", "must be a mapping of option names to values"),
        ("a: [", "cannot be read"),
    ],
)
def test_a_mistake_in_a_job_file_is_named(tmp_path, text, message):
    with pytest.raises(JobError, match=message):
        options_of("--config", write_text(tmp_path / "job.yaml", text))


def test_a_job_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(JobError, match=r"--config=.*none\.yaml cannot be read"):
        options_of("--config", str(tmp_path / "none.yaml"))


def rows_of(table):
    """The rows of a printed table, by their names."""
    pairs = (line.strip().split("  ") for line in table.splitlines())
    return {pair[0]: pair[-1].strip() for pair in pairs if len(pair) > 1}


@pytest.mark.process
@pytest.mark.model
def test_plan_previews_a_run_and_writes_nothing(manifest, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert main(["plan", manifest]) == 0
    printed = capsys.readouterr().out
    rows = rows_of(printed)
    assert (rows["recordings to annotate"], rows["hours of audio"]) == ("3", "1.500")
    assert (rows["duplicates skipped"], rows["unreadable rows"]) == ("1", "1")
    assert "m.jsonl:5: duration is '?'" in printed.replace("\n", "")
    assert main(["plan", manifest, str(tmp_path / "none yet")]) == 0
    assert rows_of(capsys.readouterr().out) == rows
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.process
def test_plan_leaves_out_what_the_output_has(manifest, tmp_path, capsys):
    store = OutputStore(str(tmp_path / "out"))
    store.create(store.part_path("k1"), make_part("k1", [(str(tmp_path / "a.wav"), {})]))
    assert main(["plan", manifest, store.root]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert (rows["recordings to annotate"], rows["already annotated"]) == ("2", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--modle=x"], "there is no option --modle; did you mean --model?"),
        (["--modle=x", "--runner=FlinkRunner"], "there is no option --modle; did you mean --model?"),
        (["--direct_num_worker", "3"], "did you mean --direct_num_workers?"),
        (["second.jsonl"], "unexpected argument: second.jsonl"),
        (["--limit=many"], "argument --limit: invalid int value: 'many'"),
    ],
)
def test_a_command_that_cannot_be_meant_ends_with_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["annotate", "m.jsonl", "out", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_plan_refuses_options_of_runners(manifest, capsys):
    with pytest.raises(SystemExit):
        main(["plan", manifest, "--runner=FlinkRunner"])
    assert "there is no option --runner" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "none.jsonl"], "earmark: there is no manifest none.jsonl"),
        (["plan", "m.jsonl", "--limit=-1"], "earmark: --limit=-1 does not work"),
        (["annotate", "m.jsonl", "out"], "earmark: no model is named"),
        (["annotate", "m.jsonl", "out", "--runner=FlinkRunner", "--flink_thing=1"], "earmark: no model is named"),
    ],
)
def test_a_users_mistake_is_one_line_and_status_1(arguments, message, capsys):
    assert main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(message)


def test_an_output_that_cannot_be_reached_is_one_line_and_status_1(manifest, capsys):
    assert main(["plan", manifest, "nowhere://out"]) == 1
    assert capsys.readouterr().err.startswith("earmark: output nowhere://out cannot be read")


def test_verbose_shows_where_a_mistake_was_noticed():
    with pytest.raises(JobError, match="no manifest"):
        main(["plan", "none.jsonl", "--verbose"])


@pytest.mark.process
def test_help_does_not_load_what_is_heavy():
    code = (
        "import sys, earmark.pipeline.cli\n"
        "try: earmark.pipeline.cli.main(['--help'])\n"
        "except SystemExit as end: print('heavy:', {'apache_beam', 'torch', 'librosa'} & set(sys.modules), end.code)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "annotate" in ended.stdout
    assert ended.stdout.endswith("heavy: set() 0\n")
