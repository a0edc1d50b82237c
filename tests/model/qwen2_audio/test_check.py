"""Checks of a job for Qwen2-Audio, before any work."""

import json

import pytest

from earmark.model.checkpoints.checkpoint import Checkpoint, find_checkpoint
from earmark.model.qwen2_audio.check import check_qwen2_audio_job
from earmark.pipeline.annotate import assign
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import new_task
from tests.support.checkpoints.small_qwen2_audio import CHAT_TEMPLATE, edit_json, write_checkpoint

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("base"), chat=False)


@pytest.fixture
def chat(tmp_path):
    return write_checkpoint(tmp_path / "chat")


def check(folder, **options):
    job = JobOptions(**options)
    check_qwen2_audio_job(Checkpoint("m", str(folder), ""), job, job.tasks(), here=True)


def test_supported_jobs_pass(base, chat):
    check(base, task=("transcribe", "emotion", "analyze"), language="de-DE", compute_type="bfloat16")
    check(chat, task=("translate", "chat", "analyze"), prompt="Why?", language="cy")
    check(base, task=("caption",), language="cy")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": ("caption", "chat")}, "base checkpoint, which does not chat; for chat name an Instruct one"),
        ({"language": "klingon"}, "model m cannot do task transcribe: 'klingon' is not a language code"),
        ({"language": "cy"}, "no tag for the language 'cy'"),
        (
            {"compute_type": "int8"},
            "int8 is not supported by cpu here: choose from bfloat16, float16, float32, default",
        ),
        (
            {"task": ("long",), "new_tasks": (new_task("long", {"prompt": "Why?", "max_new_tokens": 100_000}),)},
            "an answer of up to 100000 do not fit into the .* tokens",
        ),
        ({"task": ("analyze",), "prompt": "why " * 5000}, "cannot do task analyze: .* do not fit"),
    ],
)
def test_jobs_that_a_checkpoint_does_not_support_are_refused(base, options, message):
    with pytest.raises(JobError, match=message):
        check(base, **({"device": "cpu"} | options))


def test_a_template_with_the_prompt_before_the_audio_is_refused(chat):
    turned = CHAT_TEMPLATE.replace(
        "{% for content in message['content'] %}", "{% for content in message['content'][::-1] %}"
    )
    (chat / "chat_template.jinja").write_text(turned)
    with pytest.raises(JobError, match="does not put one audio before the question"):
        check(chat)


@pytest.mark.parametrize("key", ["use_sliding_window", "layer_types"])
def test_sliding_window_attention_is_refused(chat, key):
    config = json.loads((chat / "config.json").read_text())
    value = True if key == "use_sliding_window" else ["sliding_attention", "full_attention"]
    edit_json(chat / "config.json", text_config=config["text_config"] | {key: value})
    with pytest.raises(JobError, match="sliding-window attention"):
        check(chat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_size": 5}, "--beam_size=5 does not work: .*chat answers greedily; leave it out"),
        ({"timestamps": True}, "--timestamps does not work"),
        (
            {"task": ("transcribe", "caption"), "model": ("transcribe=whisper-tiny.en",)},
            "no model is named for caption",
        ),
    ],
)
def test_a_job_that_no_model_can_do_is_refused(chat, options, message):
    with pytest.raises(JobError, match=message):
        assign(JobOptions(**({"model": (str(chat),)} | options)), here=True)


def test_an_option_that_one_of_several_models_supports_is_accepted(chat):
    models = (str(chat), "transcribe=whisper-tiny.en")
    job = JobOptions(task=("transcribe", "caption"), model=models, timestamps=True, beam_size=2)
    assignments, identities = assign(job, here=True)
    assert [[task.name for task in assignment.tasks] for assignment in assignments] == [["transcribe"], ["caption"]]
    assert {task.name: identity for task, identity in identities.items()} == {
        "transcribe": find_checkpoint("whisper-tiny.en").identity,
        "caption": find_checkpoint(str(chat)).identity,
    }


@pytest.mark.parametrize("url", ["s3://KEY:SECRET@bucket/model", "https://host/model?token=SECRET"])
def test_a_url_with_a_secret_is_refused_without_showing_it(url):
    with pytest.raises(JobError, match="leave user, key and query out of the URL") as refused:
        find_checkpoint(url)
    assert "SECRET" not in str(refused.value)


def test_a_model_without_a_task_is_refused():
    with pytest.raises(JobError, match="every task has a model of its own"):
        JobOptions(task=("caption",), model=("a", "caption=b")).check()


def test_a_folder_named_like_a_task_is_a_model():
    job = JobOptions(task=("caption",), model=("caption",))
    job.check()
    assert list(job.models()) == ["caption"]
