"""A shard before several engines, none of which needs weights."""

import dataclasses

import numpy as np
import pytest

from earmark.schemas.errors import JobError, RowError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, DecodedShard, Failure, Recording, Segment
from earmark.transforms.annotate import annotate_shard
from tests.support.jobs import DescribingEngine, describe_samples

FACTS = AudioFacts(1.0, SAMPLE_RATE_HZ, 1, "flac", 0.0, 0.0, 0.0)
TRANSCRIBE, CAPTION, EMOTION = ((task,) for task in JobOptions(task=("transcribe", "caption", "emotion")).tasks())
UNDECODED = Failure("bad", "bad.wav", "DecodeAudio", "not_found", "there is none")


class Choosy(DescribingEngine):
    """Has no answer for some clips, and remembers which it was shown and what it was asked."""

    def __init__(self, *refused):
        self.refused, self.shown, self.asked = refused, [], []

    def annotate(self, clips, tasks):
        self.shown += [clip.recording.id for clip in clips]
        self.asked += [task.name for task in tasks]
        answers = super().annotate(clips, tasks)
        return [
            RowError("language", "an unknown language") if clip.recording.id in self.refused else answer
            for clip, answer in zip(clips, answers, strict=True)
        ]


def shard(*ids):
    clips = tuple(
        Clip(Recording(id, f"{id}.wav"), np.full(100 + number, 0.5, np.float32), FACTS, (Segment(0, 100 + number, 9),))
        for number, id in enumerate(ids)
    )
    return DecodedShard("key", clips, (UNDECODED,))


def test_the_answers_of_all_engines_are_one_row():
    first, second = Choosy(), Choosy()
    decoded = shard("a", "b")
    annotated = annotate_shard(decoded, [(first, TRANSCRIBE + EMOTION), (second, CAPTION)])
    assert (annotated.key, annotated.failures) == ("key", (UNDECODED,))
    assert (first.asked, second.asked) == (["transcribe", "emotion"], ["caption"])
    for annotation, clip in zip(annotated.annotations, decoded.clips, strict=True):
        assert (annotation.recording, annotation.facts) == (clip.recording, FACTS)
        assert list(annotation.answers) == ["transcribe", "emotion", "caption"]
        assert (
            annotation.answers["transcribe"].text
            == annotation.answers["caption"].text
            == describe_samples(clip.samples)
        )
        assert annotation.answers["emotion"].label == "neutral"


def test_a_clip_that_one_engine_refuses_is_one_failure_and_not_passed_to_the_next():
    first, second = Choosy("b"), Choosy("b", "c")
    annotated = annotate_shard(shard("a", "b", "c", "d"), [(first, TRANSCRIBE), (second, CAPTION)])
    assert first.shown == ["a", "b", "c", "d"]
    assert second.shown == ["a", "c", "d"]
    assert [annotation.recording.id for annotation in annotated.annotations] == ["a", "d"]
    assert all(list(annotation.answers) == ["transcribe", "caption"] for annotation in annotated.annotations)
    assert annotated.failures == (
        UNDECODED,
        Failure("b", "b.wav", "Annotate", "language", "an unknown language"),
        Failure("c", "c.wav", "Annotate", "language", "an unknown language"),
    )


def test_a_shard_in_which_every_clip_is_refused_has_failures_only():
    annotated = annotate_shard(shard("a", "b"), [(Choosy("a", "b"), TRANSCRIBE), (Choosy(), CAPTION)])
    assert annotated.annotations == ()
    assert [failure.id for failure in annotated.failures] == ["bad", "a", "b"]


def test_a_clip_that_was_not_segmented_is_an_error_and_no_empty_answer():
    decoded = shard("a", "b")
    unsegmented = dataclasses.replace(
        decoded, clips=(decoded.clips[0], dataclasses.replace(decoded.clips[1], segments=None))
    )
    engine = Choosy()
    with pytest.raises(JobError, match=r"recording 'b' has no segments; put SegmentSpeech between DecodeAudio and Ann"):
        annotate_shard(unsegmented, [(engine, TRANSCRIBE)])
    assert engine.shown == []
