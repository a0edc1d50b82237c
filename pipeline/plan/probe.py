"""What a run would find of a random sample: fetched and decoded as DecodeAudio does it, heard by the detector."""

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pebble import ProcessPool

from earmark.model.segments.speech_detector import SpeechDetector
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts, Clip, Recording, Shard
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.audio.isolation import child_processes
from earmark.transforms.decode_audio import scratch_folder
from earmark.transforms.decode_shard import Decode, decode_shard
from earmark.transforms.segment_speech import segment_clip

LIMIT_S = 60.0  # for all of them; what is at hand then is finished
RECORDING_LIMIT_S = 15.0  # for one; a run gives it --recording_timeout_s
HEARD_SAMPLES = 300 * SAMPLE_RATE_HZ  # the start of a long recording says how much speech to expect
TIMEOUTS = frozenset({"timeout", "fetch_timeout"})


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found of one recording: its facts, or the failure that a run would write down.

    Attributes:
        said_s: how long the manifest says it is.
        facts: None where it cannot be decoded.
        error, message: of the failure; "" where there is none.
    """

    id: str
    uri: str
    said_s: float | None
    facts: AudioFacts | None
    error: str = ""
    message: str = ""

    @property
    def found_s(self) -> float:
        """Seconds of audio that a run would annotate."""
        return self.facts.duration_s if self.facts else 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """A random sample as it was found.

    Attributes:
        asked: recordings in the sample; as many are missing in `found` as there was no time for.
        took_s: how long all of it took.
    """

    asked: int
    found: tuple[Probed, ...]
    took_s: float = 0.0


def probe(
    sample: Sequence[Recording], options: JobOptions, limit_s: float = LIMIT_S, decode: Decode = decode_requests
) -> Probe:
    """Decodes the recordings and listens to them, in order, until the time is over.

    Nothing is written but into a folder in --scratch_dir, which is removed.

    Raises:
        MachineError: as DecodeAudio.
    """
    began = time.perf_counter()
    limited = dataclasses.replace(options, recording_timeout_s=min(options.recording_timeout_s, RECORDING_LIMIT_S))
    found: list[Probed] = []
    if sample:
        children = options.decode_processes or os.cpu_count() or 1
        pool, detector = child_processes(children), SpeechDetector()
        for start in range(0, len(sample), 2 * children):
            if time.perf_counter() - began > limit_s:
                break
            found += _probe_group(sample[start : start + 2 * children], limited, pool, detector, decode)
    in_time = [one for one in found if one.error not in TIMEOUTS or limited == options]
    return Probe(len(sample), tuple(in_time), time.perf_counter() - began)


def _probe_group(
    group: Sequence[Recording],
    options: JobOptions,
    pool: ProcessPool,
    detector: SpeechDetector,
    decode: Decode,
) -> Iterator[Probed]:
    with scratch_folder(options.scratch_dir) as scratch:
        # One recording a child, so that what hangs holds up nothing else.
        decoded = decode_shard(Shard("", tuple(group)), options, pool, scratch, decode, chunk_recordings=1)
        said = {recording.id: recording.duration_s for recording in group}
        for failure in decoded.failures:
            yield Probed(failure.id, failure.uri, said.get(failure.id), None, failure.error, failure.message)
        for clip in decoded.clips:
            recording = clip.recording
            yield Probed(recording.id, recording.uri, recording.duration_s, _facts(clip, detector))


def _facts(clip: Clip, detector: SpeechDetector) -> AudioFacts:
    _, speech_ratio, snr_db = segment_clip(clip.samples[:HEARD_SAMPLES], detector)
    return dataclasses.replace(clip.facts, speech_ratio=speech_ratio, snr_db=snr_db)
