"""Tasks as data: the prompt of each, how job files define new ones, and which model answers which."""

import dataclasses

import pytest

from earmark.schemas.errors import JobError
from earmark.schemas.fixed_columns import FIXED_COLUMNS
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import BUILT_IN, LANGUAGE_NAMES, MAX_NEW_TOKENS, new_task

MELD = "neutral, joy, sadness, anger, surprise, fear, disgust"
VOCAL_SOUND = "Laughter, Sigh, Cough, Throat clearing, Sneeze, Sniff"
TARGETS = {
    "en": "English",
    "zh": "Mandarin",
    "yue": "Cantonese",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
    "ru": "Russian",
    "ja": "Japanese",
    "ko": "Korean",
    "ar": "Arabic",
}
ASKED = ("transcribe", "translate", "caption", "emotion", "vocal_sound", "analyze", "chat")  # in words
NAMES = (*ASKED, "embed")


def task_of(name, **options):
    (task,) = JobOptions(task=(name,), **options).tasks()
    return task


def test_these_are_the_tasks_of_earmark():
    assert tuple(task.name for task in BUILT_IN) == NAMES
    assert {task.name: task.answer for task in BUILT_IN} == {
        "transcribe": "transcript",
        "translate": "transcript",
        "caption": "text",
        "emotion": "label",
        "vocal_sound": "label",
        "analyze": "text",
        "chat": "text",
        "embed": "vector",
    }
    assert {task.name: ", ".join(task.labels) for task in BUILT_IN if task.labels} == {
        "emotion": MELD,
        "vocal_sound": VOCAL_SOUND,
    }
    assert [task.name for task in BUILT_IN if task.needs_speech] == ["transcribe", "translate"]
    assert TARGETS == LANGUAGE_NAMES


@pytest.mark.parametrize(
    ("name", "language", "prompt"),
    [
        ("transcribe", "en", "Detect the language and recognize the speech: <|en|>"),
        ("transcribe", None, "Detect the language and recognize the speech: "),
        ("translate", "de", "Detect the language and translate the speech into English: <|de|>"),
        ("translate", None, "Detect the language and translate the speech into English: "),
        ("caption", "en", "Generate the caption in English:"),
        ("emotion", "en", "Recognize the emotion with keywords in English:"),
        ("vocal_sound", "en", "Classify the human vocal sound to VocalSound in English:"),
        ("analyze", "en", "Who speaks?"),
        ("chat", "en", ""),
    ],
)
def test_prompts_for_a_base_checkpoint_are_those_of_its_published_evaluation(name, language, prompt):
    assert task_of(name).prompt(False, language, "Who speaks?") == prompt


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("transcribe", "Transcribe the speech word for word. Answer with the transcript only."),
        ("translate", "Translate the speech into English. Answer with the translation only."),
        ("caption", "Describe the audio in one sentence."),
        ("emotion", f"What is the speaker's emotion? Answer with one word of: {MELD}."),
        ("vocal_sound", f"Which vocal sound is this? Answer with one of: {VOCAL_SOUND}."),
        ("analyze", "Who speaks?"),
        ("chat", ""),
    ],
)
@pytest.mark.parametrize("language", ["en", None])
def test_prompts_for_an_instruct_checkpoint_are_sentences(name, prompt, language):
    assert task_of(name).prompt(True, language, "Who speaks?") == prompt


def test_prompts_have_no_placeholders_and_only_chat_is_for_instruct_checkpoints_alone():
    for task in JobOptions(task=NAMES, prompt="Who?").tasks():
        assert "{" not in task.prompt(True, "en", None) + task.prompt(False, "en", None)
    assert [task.name for task in BUILT_IN if task.base_prompt is None and task.answer != "vector"] == ["chat"]


@pytest.mark.parametrize(("code", "name"), TARGETS.items())
def test_the_prompt_of_translate_names_the_language_of_translate_to(code, name):
    task = task_of("translate", translate_to=code)
    assert task.target_language == code
    assert task.prompt(True, None, None) == f"Translate the speech into {name}. Answer with the translation only."
    base = f"Detect the language and translate the speech into {name}: <|fr|>"
    assert task.prompt(False, "fr", None) == base
    assert task_of("transcribe", translate_to=code) == task_of("transcribe")


@pytest.mark.parametrize("chat", [True, False])
def test_the_prompt_of_analyze_is_the_row_s_or_else_the_job_s(chat):
    task = task_of("analyze", prompt="Is it {loud}? {row_prompt}")
    assert task.prompt(chat, "en", "What of {question}, {row_prompt} and {target} {0}?") == (
        "What of {question}, {row_prompt} and {target} {0}?"
    )
    for none in (None, ""):
        assert task.prompt(chat, "en", none) == "Is it {loud}? {row_prompt}"


@pytest.mark.parametrize("chat", [True, False])
def test_placeholders_in_the_prompt_of_a_job_file_are_not_filled_in(chat):
    question = "Fill in {language_tag}, {target}, {row_prompt}, {question}, {} and {x!r:>{width}}."
    task = new_task("form", {"prompt": question})
    assert task.prompt(chat, "en", "not this") == question
    (filled,) = JobOptions(task=("form",), new_tasks=(task,), prompt="nor this", translate_to="de").tasks()
    assert filled.prompt(chat, "en", "not this") == question


def test_free_labels_make_label_tasks_answer_in_text_and_leave_other_tasks():
    noise = new_task("noise", {"prompt": "Noise?", "labels": ["yes", "no"]})
    closed = JobOptions(task=(*NAMES, "noise"), new_tasks=(noise,)).tasks()
    free = JobOptions(task=(*NAMES, "noise"), new_tasks=(noise,), free_labels=True).tasks()
    for task, free_task in zip(closed, free, strict=True):
        assert free_task == (dataclasses.replace(task, answer="text", labels=()) if task.labels else task)
    assert [task.answer for task in free if task.name in ("emotion", "vocal_sound", "noise")] == ["text"] * 3


def test_a_new_task_answers_in_text_or_with_one_of_its_labels():
    text = new_task("summary_2", {"prompt": "Sum it up."})
    assert (text.answer, text.labels, text.max_new_tokens) == ("text", (), MAX_NEW_TOKENS)
    label = new_task("noise", {"prompt": "Noise?", "labels": ["a lot", "none"], "max_new_tokens": 3})
    assert (label.answer, label.labels, label.max_new_tokens) == ("label", ("a lot", "none"), 3)
    assert not label.needs_speech and not label.takes_row_prompt
    assert new_task("noise", {"prompt": "Noise?", "labels": []}).answer == "text"


@pytest.mark.parametrize("name", ["Noise", "my noise", "9lives", "_noise", "noise-level", "é", "", "a" * 64, "noise\n"])
def test_a_name_that_cannot_be_a_column_s_is_refused(name):
    with pytest.raises(JobError, match=r"of the job file: use a name of lowercase letters, digits and _"):
        new_task(name, {"prompt": "Noise?"})


@pytest.mark.parametrize("name", [*NAMES, *FIXED_COLUMNS])
def test_a_name_that_is_taken_is_refused(name):
    with pytest.raises(JobError, match=f"task '{name}' of the job file: that name is taken"):
        new_task(name, {"prompt": "Noise?"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "has no prompt; give the question as text"),
        ({"labels": ["yes", "no"]}, "has no prompt"),
        ({"prompt": " \n"}, "has no prompt"),
        ({"prompt": ["Noise?"]}, "has no prompt"),
        ({"prompt": True}, "has no prompt"),
        ("Noise?", "holds 'Noise[?]'; give prompt, labels, max_new_tokens"),
        (None, "holds None; give prompt, labels, max_new_tokens"),
        ({"prompt": "Noise?", "label": ["a", "b"]}, "holds 'label'; give prompt, labels, max_new_tokens"),
        ({"prompt": "Noise?", 3: "x"}, "holds 3; give prompt"),
        ({"prompt": "Noise?", "labels": "yes"}, "labels is 'yes'; give a list of texts"),
        ({"prompt": "Noise?", "labels": None}, "labels is None; give a list of texts"),
        ({"prompt": "Noise?", "labels": [True, False]}, r"labels is \[True, False\]; .*quote yes, no, on, off"),
        ({"prompt": "Noise?", "labels": ["one", 2]}, r"labels is \['one', 2\]; give a list of texts"),
        ({"prompt": "Noise?", "labels": ["one", " "]}, ".*give a list of texts"),
        ({"prompt": "Noise?", "labels": ["one"]}, r"labels is \['one'\]; give at least two different labels"),
        ({"prompt": "Noise?", "labels": ["a", "b", "a"]}, ".*give at least two different labels"),
        ({"prompt": "Noise?", "max_new_tokens": 0}, "max_new_tokens is 0; give a whole number above 0"),
        ({"prompt": "Noise?", "max_new_tokens": True}, "max_new_tokens is True; give a whole number"),
        ({"prompt": "Noise?", "max_new_tokens": 1.5}, r"max_new_tokens is 1\.5; give a whole number"),
        ({"prompt": "Noise?", "max_new_tokens": None}, "max_new_tokens is None; give a whole number"),
    ],
)
def test_an_invalid_task_is_refused_with_the_reason(fields, message):
    with pytest.raises(JobError, match=f"task 'noise' of the job file:? {message}"):
        new_task("noise", fields)


def test_a_new_task_may_leave_its_labels_to_the_model():
    task = new_task("mood", {"labels": "checkpoint"})
    assert (task.answer, task.labels, task.labels_of_model, task.base_prompt) == ("label", (), True, None)
    with pytest.raises(JobError, match="task 'mood' of the job file: a classifier takes no prompt; leave out prompt"):
        new_task("mood", {"labels": "checkpoint", "prompt": "Mood?"})


def test_labels_are_mapped_for_the_task_that_they_name():
    entries = ("emotion.hap=joy", "emotion.Very sad.=sadness", "vocal_sound.ha ha=Laughter")
    emotion, sound, caption = JobOptions(task=("emotion", "vocal_sound", "caption"), label_map=entries).tasks()
    assert emotion.label_map == (("hap", "joy"), ("Very sad.", "sadness"))
    assert (sound.label_map, caption.label_map) == ((("ha ha", "Laughter"),), ())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ((), {"": ["transcribe", "caption", "noise"]}),
        (("big",), {"big": ["transcribe", "caption", "noise"]}),
        (("transcribe=w", "caption=q", "noise=q"), {"w": ["transcribe"], "q": ["caption", "noise"]}),
        (("big", "caption=small"), {"big": ["transcribe", "noise"], "small": ["caption"]}),
        (("noise=small", "big"), {"big": ["transcribe", "caption"], "small": ["noise"]}),
        (("caption=small",), {"": ["transcribe", "noise"], "small": ["caption"]}),
        (("./runs/lr=3",), {"./runs/lr=3": ["transcribe", "caption", "noise"]}),
        (("caption=./runs/lr=3", "a=b"), {"./runs/lr=3": ["caption"], "a=b": ["transcribe", "noise"]}),
    ],
    ids=str,
)
def test_models_answer_all_tasks_or_those_that_they_are_named_for(model, expected):
    noise = new_task("noise", {"prompt": "Noise?"})
    options = JobOptions(task=("transcribe", "caption", "noise"), new_tasks=(noise,), model=model)
    options.check_tasks()
    assert {name: [task.name for task in tasks] for name, tasks in options.models().items()} == expected
    assert sorted(task.name for tasks in options.models().values() for task in tasks) == sorted(options.task)


def test_models_get_tasks_with_the_options_filled_in():
    (tasks,) = JobOptions(task=("translate", "analyze"), translate_to="zh", prompt="Who?").models().values()
    assert [(task.target_language, task.question) for task in tasks] == [("zh", ""), ("", "Who?")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": ()}, "--task= does not work: choose from transcribe, translate, caption"),
        ({"task": ("transcibe",)}, r"--task=transcibe .*choose from .*noise; did you mean transcribe\?$"),
        ({"task": ("nois",)}, r"; did you mean noise\?$"),
        ({"task": ("xyz",)}, "choose from transcribe, .*, chat, embed, noise$"),
        ({"task": ("caption", "caption")}, "--task=caption,caption .*name each task once"),
        ({"model": ("caption=x",)}, "--model=caption=… .*caption is not in --task; add it there"),
        ({"model": ("noise=x",)}, "noise is not in --task"),
        (
            {"model": ("one", "two")},
            "--model=one,two .*give at most one model for all tasks, and one TASK=MODEL per task",
        ),
        ({"model": ("transcribe=one", "transcribe=two")}, "give at most one model for all tasks"),
        ({"prompt": "Who?"}, "--prompt is the question of analyze, which is not in --task; add it there"),
        ({"task": ("noise",), "prompt": "Who?"}, "--prompt is the question of analyze"),
        ({"label_map": ("hap=joy",)}, "--label_map=hap=joy .* write TASK.LABEL_OF_THE_MODEL=LABEL_OF_THE_TASK"),
        ({"label_map": ("emotion.hap",)}, "write TASK.LABEL_OF_THE_MODEL=LABEL_OF_THE_TASK"),
        ({"label_map": ("emotion.hap=joy",)}, "emotion is not in --task; add it there"),
        ({"label_map": ("transcribe.hap=joy",)}, "transcribe has no labels"),
        ({"task": ("emotion",), "label_map": ("emotion.hap=glee",)}, "emotion has the labels neutral, joy, sadness"),
    ],
    ids=str,
)
def test_tasks_and_models_that_do_not_go_together_are_refused(options, message):
    noise = new_task("noise", {"prompt": "Noise?"})
    with pytest.raises(JobError, match=message):
        dataclasses.replace(JobOptions(new_tasks=(noise,)), **options).check()


def test_a_prompt_goes_with_analyze():
    JobOptions(task=("transcribe", "analyze"), prompt="Who?").check()
