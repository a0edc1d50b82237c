"""The public names of earmark: run a job, write an engine, or use the stages in your own Beam pipeline.

Run a job as `earmark annotate` does:

    >>> import earmark
    >>> scenes, model = "examples/scenes/manifest.jsonl", "examples/tiny-qwen2-audio"
    >>> summary = earmark.annotate(scenes, "labels", task="caption", model=model, limit=2)
    >>> summary.annotated, summary.failed
    (2, 0)

Use the stages in another pipeline; `Annotate` takes clips that `SegmentSpeech` has segmented:

    >>> import apache_beam as beam
    >>> job = earmark.JobOptions(task=("caption",), model=(model,))
    >>> recordings = tuple(earmark.Recording(name, f"examples/scenes/{name}.flac") for name in ("0000", "0001"))
    >>> with beam.Pipeline() as pipeline:
    ...     lines = (
    ...         pipeline
    ...         | beam.Create([earmark.Shard("two scenes", recordings)])
    ...         | earmark.DecodeAudio(job)
    ...         | earmark.SegmentSpeech()
    ...         | earmark.Annotate(earmark.assignments(job))
    ...         | beam.FlatMap(lambda shard: shard.annotations)
    ...         | beam.Map(lambda row: f"{row.recording.id} {row.answers['caption'].text}")
    ...         | beam.io.WriteToText("captions", file_name_suffix=".txt", shard_name_template="")
    ...     )
    >>> with open("captions.txt") as captions:
    ...     sorted(line.split()[0] for line in captions)
    ['0000', '0001']

A name is imported when it is first used, so that `import earmark` loads neither Beam nor torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from earmark.pipeline.python_api import annotate, assignments
    from earmark.schemas.answers.label import LabelAnswer, LabelScore
    from earmark.schemas.answers.spoken import TextSegment
    from earmark.schemas.answers.text import TextAnswer
    from earmark.schemas.answers.transcript import Transcript
    from earmark.schemas.answers.vector import VectorAnswer
    from earmark.schemas.errors import JobError, MachineError, RowError
    from earmark.schemas.job import JobOptions
    from earmark.schemas.records import (
        AnnotatedShard,
        Annotation,
        Answers,
        Clip,
        DecodedShard,
        Failure,
        Recording,
        Segment,
        Shard,
    )
    from earmark.schemas.tasks import Task
    from earmark.transforms.annotate import Annotate, Assignment
    from earmark.transforms.audio.measure_bandwidth import MeasureBandwidth
    from earmark.transforms.decode_audio import DecodeAudio
    from earmark.transforms.segment_speech import SegmentSpeech
    from earmark.transforms.summarize import Summary

__all__ = [
    "Annotate",
    "AnnotatedShard",
    "Annotation",
    "Answers",
    "Assignment",
    "Clip",
    "DecodeAudio",
    "DecodedShard",
    "Failure",
    "JobError",
    "JobOptions",
    "LabelAnswer",
    "LabelScore",
    "MachineError",
    "MeasureBandwidth",
    "Recording",
    "RowError",
    "Segment",
    "SegmentSpeech",
    "Shard",
    "Summary",
    "Task",
    "TextAnswer",
    "TextSegment",
    "Transcript",
    "VectorAnswer",
    "annotate",
    "assignments",
]

_MODULES = {
    "earmark.pipeline.python_api": ("annotate", "assignments"),
    "earmark.schemas.answers.label": ("LabelAnswer", "LabelScore"),
    "earmark.schemas.answers.spoken": ("TextSegment",),
    "earmark.schemas.answers.text": ("TextAnswer",),
    "earmark.schemas.answers.transcript": ("Transcript",),
    "earmark.schemas.answers.vector": ("VectorAnswer",),
    "earmark.schemas.errors": ("JobError", "MachineError", "RowError"),
    "earmark.schemas.job": ("JobOptions",),
    "earmark.schemas.records": (
        *("AnnotatedShard", "Annotation", "Answers", "Clip", "DecodedShard"),
        *("Failure", "Recording", "Segment", "Shard"),
    ),
    "earmark.schemas.tasks": ("Task",),
    "earmark.transforms.annotate": ("Annotate", "Assignment"),
    "earmark.transforms.audio.measure_bandwidth": ("MeasureBandwidth",),
    "earmark.transforms.decode_audio": ("DecodeAudio",),
    "earmark.transforms.segment_speech": ("SegmentSpeech",),
    "earmark.transforms.summarize": ("Summary",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'earmark' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
