"""The description of a job: its fingerprint, and the differences between two jobs."""

import dataclasses
import json

import pytest

from earmark.schemas.job import JobOptions
from earmark.schemas.job_description import SCHEMA_VERSION, JobDescription
from earmark.schemas.tasks import new_task

EVERY_TASK = ("transcribe", "translate", "caption", "emotion", "analyze", "noise")
NOISE = new_task("noise", {"prompt": "Is there noise?", "labels": ["yes", "no"]})
# What earmark wrote before tasks were data.
OLD_JOB = {
    "tasks": ["transcribe"],
    "model": "m@1",
    "language": "",
    "timestamps": False,
    "beam_size": 5,
    "compute_type": "default",
    "segmentation": "v1",
    "schema_version": 1,
    "fingerprint": "f00d",
}


def description(models=(), segmentation="v1", **options):
    options = dataclasses.replace(JobOptions(task=EVERY_TASK, new_tasks=(NOISE,)), **options)
    identities = {**dict.fromkeys(options.task, "m@1"), **dict(models)}
    return JobDescription.of(options, {task: identities[task.name] for task in options.tasks()}, segmentation)


def differences(before, now):
    return now.differences(json.loads(before.to_json()))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"models": {"caption": "m@2"}}, "caption.model was 'm@1', now 'm@2'"),
        ({"segmentation": "v2"}, "segmentation was 'v1', now 'v2'"),
        ({"language": "en"}, "language was '', now 'en'"),
        ({"timestamps": True}, "timestamps was False, now True"),
        ({"beam_size": 1}, "beam_size was 0, now 1"),
        ({"compute_type": "int8"}, "compute_type was 'default', now 'int8'"),
        ({"translate_to": "de"}, "translate.target_language was 'en', now 'de'"),
        ({"prompt": "Who speaks?"}, "analyze.question was '', now 'Who speaks?'"),
        (
            {"new_tasks": (dataclasses.replace(NOISE, question="Any noise?"),)},
            "noise.question was 'Is there noise?', now 'Any noise?'",
        ),
        (
            {"new_tasks": (dataclasses.replace(NOISE, labels=("no", "yes")),)},
            "noise.labels was ['yes', 'no'], now ['no', 'yes']",
        ),
        (
            {"new_tasks": (dataclasses.replace(NOISE, max_new_tokens=9),)},
            "noise.max_new_tokens was 256, now 9",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_that_change_answers_change_the_fingerprint_and_are_named(change, difference):
    assert description(**change).fingerprint != description().fingerprint
    assert differences(description(), description(**change)) == [difference]


def test_free_labels_are_in_the_fingerprint():
    free = description(free_labels=True)
    assert free.fingerprint != description().fingerprint
    assert "emotion.answer was 'label', now 'text'" in differences(description(), free)
    assert "noise.labels was ['yes', 'no'], now []" in differences(description(), free)


def test_the_tasks_and_their_order_which_is_that_of_the_columns_are_in_the_fingerprint():
    before, now = description(task=("caption", "emotion")), description(task=("emotion", "caption"))
    assert now.fingerprint != before.fingerprint
    assert differences(before, now) == ["tasks was ['caption', 'emotion'], now ['emotion', 'caption']"]
    more = differences(before, description(task=("caption", "emotion", "noise")))
    assert "tasks was ['caption', 'emotion'], now ['caption', 'emotion', 'noise']" in more
    assert not [difference for difference in more if not difference.startswith(("tasks ", "noise."))]


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 5},
        {"batch_s": 60.0},
        {"device": "cpu"},
        {"shard_rows": 9},
        {"take_over": True},
        {"audio_root": "/d"},
        {"model": ("./another/path/to/the/same",)},
        {"new_tasks": (dataclasses.replace(NOISE, about="what a person reads"),)},
        {"new_tasks": (NOISE, new_task("unasked", {"prompt": "?"}))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_how_a_job_is_run_is_not_in_the_fingerprint(change):
    assert description(**change).fingerprint == description().fingerprint
    assert differences(description(), description(**change)) == []


@pytest.mark.parametrize("change", [{"translate_to": "de"}, {"prompt": "Who speaks?"}, {"free_labels": True}], ids=str)
def test_options_of_tasks_outside_the_job_are_not_in_the_fingerprint(change):
    assert description(task=("transcribe",), **change).fingerprint == description(task=("transcribe",)).fingerprint


def test_differences_are_listed_as_text():
    listed = differences(description(), description(beam_size=1, language="de"))
    assert listed == ["beam_size was 0, now 1", "language was '', now 'de'"]


def test_a_job_of_an_earlier_version_of_earmark_is_another_job():
    listed = description(task=("transcribe",), beam_size=5).differences(OLD_JOB)
    assert f"schema_version was 1, now {SCHEMA_VERSION}" in listed
    assert not [
        difference
        for difference in listed
        if difference.startswith(("beam_size", "language", "timestamps", "compute_type"))
    ]


def test_the_tasks_of_a_job_of_an_earlier_version_are_named():
    assert not [
        difference
        for difference in description(task=("transcribe",)).differences(OLD_JOB)
        if difference.startswith("tasks ")
    ]
    assert "tasks was ['transcribe'], now ['caption']" in description(task=("caption",)).differences(OLD_JOB)


@pytest.mark.parametrize("tasks", [None, "transcribe", 3, [None, 4], {"transcribe": {}}], ids=str)
def test_an_edited_description_is_another_job(tasks):
    listed = description(task=("transcribe",)).differences(OLD_JOB | {"schema_version": 2, "tasks": tasks})
    assert f"tasks was {tasks!r}, now ['transcribe']" in listed
