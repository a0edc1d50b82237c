"""The records that flow from the manifest to the Parquet."""

import dataclasses
import hashlib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from earmark.schemas.answers.kind import Answer
from earmark.schemas.errors import JobError, RowError
from earmark.schemas.locations import AudioLocation

SAMPLE_RATE_HZ = 16_000  # of all audio in memory; positions in audio count these samples
MAX_SEGMENT_S = 30  # the longest segment: what most speech models take at once
MESSAGE_CHARACTERS = 500  # a failure is read by a person; longer messages of libraries are cut


@dataclass(frozen=True, slots=True)
class Recording:
    """One row of a manifest: a file, or a part of one, that ends as one annotation or one failure.

    Attributes:
        uri: Path or URL of the audio, also for people and other programs.
        extra: Columns of the manifest that earmark does not use, as text.
        location: Location of the audio in its container; None for audio in a file of its own.
    """

    id: str
    uri: str
    offset_s: float = 0.0
    duration_s: float | None = None
    channel: int | None = None
    language: str | None = None
    prompt: str | None = None
    reference: str | None = None
    extra: tuple[tuple[str, str], ...] = ()
    location: AudioLocation | None = None

    def __reduce__(self) -> tuple[type["Recording"], tuple[object, ...]]:
        """Runners pickle every recording several times; the dataclass default for slots takes three times as long."""
        return Recording, _values_of_recording(self)


_values_of_recording = operator.attrgetter(*(field.name for field in dataclasses.fields(Recording)))


@dataclass(frozen=True, slots=True)
class Failure:
    """Reason why a recording has no annotation.

    Attributes:
        stage: Name of the stage that failed.
        error: Short code by which failures are grouped, such as "not_found".
        message: Sentence with the problem and the remedy.
        run_id: Id of the run in which it failed.
    """

    id: str
    uri: str
    stage: str
    error: str
    message: str
    run_id: str = ""

    @classmethod
    def of(cls, recording: Recording, stage: str, error: RowError) -> "Failure":
        message = error.message[:MESSAGE_CHARACTERS]
        return cls(_writable(recording.id), _writable(recording.uri), stage, error.error, _writable(message))


@dataclass(frozen=True, slots=True)
class Shard:
    """Recordings that are fetched, annotated and written together, ordered by container and location, else by id."""

    key: str
    recordings: tuple[Recording, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a clip, `[start, end)` in samples; `speech` is the number of samples with speech."""

    start: int
    end: int
    speech: int


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """Measurements of a recording's audio. Levels are of the source, before resampling.

    Attributes:
        clipped_ratio: Share of samples at full scale, 0 to 1.
        speech_ratio: Share of the audio with speech, 0 to 1; None until SegmentSpeech has measured it.
        bandwidth_hz: Frequency below which nearly all energy lies; None until MeasureBandwidth has measured it.
        snr_db: Level of speech over that of the pauses; None until SegmentSpeech, and where there is too little of
            either.
    """

    duration_s: float
    sample_rate: int
    channels: int
    codec: str
    rms_dbfs: float
    peak_dbfs: float
    clipped_ratio: float
    speech_ratio: float | None = None
    bandwidth_hz: float | None = None
    snr_db: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A decoded recording.

    Attributes:
        samples: float32 mono at SAMPLE_RATE_HZ, in memory or memory-mapped.
        segments: Consecutive pieces that cover the clip; None until SegmentSpeech has found them.
    """

    recording: Recording
    samples: np.ndarray
    facts: AudioFacts
    segments: tuple[Segment, ...] | None = None

    def require_segments(self) -> tuple[Segment, ...]:
        """Return `segments`.

        Raises:
            JobError: The clip has not been segmented.
        """
        if self.segments is None:
            raise JobError(
                f"recording {self.recording.id!r} has no segments; put SegmentSpeech between DecodeAudio and Annotate"
            )
        return self.segments


Answers: TypeAlias = Mapping[str, Answer]  # by task


@dataclass(frozen=True, slots=True, eq=False)
class DecodedShard:
    """A shard with its audio in memory; it never leaves the worker that decoded it."""

    key: str
    clips: tuple[Clip, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """A row of the output."""

    recording: Recording
    facts: AudioFacts
    answers: Answers


@dataclass(frozen=True, slots=True)
class AnnotatedShard:
    """A shard whose recordings are annotated or failed."""

    key: str
    annotations: tuple[Annotation, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class PartReport:
    """Number of annotations and all failures of one part of the output."""

    key: str
    annotated: int
    failures: tuple[Failure, ...]


def _writable(text: str) -> str:
    """`text` with lone surrogates escaped, so that text that broke a row does not break the table of failures."""
    return text.encode("utf-8", "backslashreplace").decode()


def stable_hash(*texts: str) -> str:
    """Hash of the texts in 32 hexadecimal digits, the same in every process; their order and boundaries count."""
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    return digest.hexdigest()


def partition_of(recording_id: str, partitions: int) -> int:
    """Number of the partition that an id belongs to; ids are spread evenly, and never change their partition."""
    return int(stable_hash(recording_id), 16) % partitions


def pick_canonical_row(rows: Sequence[Recording]) -> Recording:
    """Choose the row to annotate from several manifest rows of one id, independently of their order.

    Of several members of a tar with one name, it is the last, which replaces those before it.
    """

    def rank(row: Recording) -> tuple[str, float, int, int, int, str]:
        channel = -1 if row.channel is None else row.channel
        piece, start = row.location.position if row.location else (0, 0)
        return (row.uri, row.offset_s, channel, -piece, -start, stable_hash(repr(dataclasses.astuple(row))))

    return rows[0] if len(rows) == 1 else min(rows, key=rank)  # nearly all ids have one row, and a rank is expensive
