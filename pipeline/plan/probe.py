"""Facts and failures of a random sample: fetched and decoded as in DecodeAudio, and searched for speech."""

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

LIMIT_S = 60.0  # for all; a group that has begun is finished
RECORDING_LIMIT_S = 15.0  # for one; a run gives it --recording_timeout_s
SPEECH_SAMPLES = 300 * SAMPLE_RATE_HZ  # the start of a long recording is enough to estimate its speech
TIMEOUTS = frozenset({"timeout", "fetch_timeout"})


@dataclass(frozen=True, slots=True)
class Probed:
    """Facts of one recording, or the failure that a run would write.

    Attributes:
        said_s: Seconds according to the manifest.
        facts: Facts of the audio; None where it cannot be decoded.
        error, message: Code and message of the failure; "" for none.
    """

    id: str
    uri: str
    said_s: float | None
    facts: AudioFacts | None
    error: str = ""
    message: str = ""

    @property
    def decoded_s(self) -> float:
        """Seconds of audio that a run would annotate."""
        return self.facts.duration_s if self.facts else 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """Results of a random sample.

    Attributes:
        asked: Number of recordings in the sample.
        found: Results, without the recordings for which there was no time.
        took_s: Seconds that the probe took.
    """

    asked: int
    found: tuple[Probed, ...]
    took_s: float = 0.0


def probe(
    sample: Sequence[Recording], options: JobOptions, limit_s: float = LIMIT_S, decode: Decode = decode_requests
) -> Probe:
    """Decode the recordings and detect speech in them, in order, until the time is over.

    Only a folder in --scratch_dir is written, which is removed.

    Raises:
        MachineError: As in DecodeAudio.
    """
    began = time.perf_counter()
    limited = dataclasses.replace(options, recording_timeout_s=min(options.recording_timeout_s, RECORDING_LIMIT_S))
    results: list[Probed] = []
    if sample:
        children = options.decode_processes or os.cpu_count() or 1
        pool, detector = child_processes(children), SpeechDetector()
        for start in range(0, len(sample), 2 * children):
            if time.perf_counter() - began > limit_s:
                break
            results += _probe_group(sample[start : start + 2 * children], limited, pool, detector, decode)
    in_time = [result for result in results if result.error not in TIMEOUTS or limited == options]
    return Probe(len(sample), tuple(in_time), time.perf_counter() - began)


def _probe_group(
    group: Sequence[Recording],
    options: JobOptions,
    pool: ProcessPool,
    detector: SpeechDetector,
    decode: Decode,
) -> Iterator[Probed]:
    with scratch_folder(options.scratch_dir) as scratch:
        # One recording a child, so that one that hangs delays no other.
        decoded = decode_shard(Shard("", tuple(group)), options, pool, scratch, decode, chunk_recordings=1)
        manifest_s = {recording.id: recording.duration_s for recording in group}
        for failure in decoded.failures:
            yield Probed(failure.id, failure.uri, manifest_s.get(failure.id), None, failure.error, failure.message)
        for clip in decoded.clips:
            recording = clip.recording
            yield Probed(recording.id, recording.uri, recording.duration_s, _facts(clip, detector))


def _facts(clip: Clip, detector: SpeechDetector) -> AudioFacts:
    _, speech_ratio, snr_db = segment_clip(clip.samples[:SPEECH_SAMPLES], detector)
    return dataclasses.replace(clip.facts, speech_ratio=speech_ratio, snr_db=snr_db)
