"""Warnings before a run: of the whole manifest where they can be counted, else of the random sample."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from earmark.pipeline.plan.plan import Plan
from earmark.pipeline.plan.probe import Probe, Probed
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts
from earmark.transforms.pack_shards import MAX_SHARD_S

LITTLE_SPEECH = 0.1  # share of the recording
SILENT_DBFS = -60.0  # of the loudest sample: below the noise of any room
CLIPPED_SHARE = 0.001  # of the samples: a thousandth at full scale is audible
SHORTER_SHARE = 0.9  # of the length in the manifest, which may be rounded
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning.

    Attributes:
        kind: Short code: "low_sample_rate", or "failure:" and the error that a run would write.
        recordings: Number of recordings with the problem, out of `looked_at`.
        looked_at: Number of recordings that were examined.
        sampled: Whether those are a random sample; else they are all that are to be annotated.
        low, high: 95 % interval of the share in the manifest, 0 to 1 (Wilson); the share itself without sampling.
        message: Meaning and remedy.
        examples: Uris of some of the recordings.
    """

    kind: str
    recordings: int
    looked_at: int
    sampled: bool
    low: float
    high: float
    message: str
    examples: tuple[str, ...] = ()


def warnings_of(plan: Plan, probe: Probe, options: JobOptions) -> tuple[Warned, ...]:
    """All warnings: failures first, then those of the manifest, then those of the audio."""
    return (*_failures(plan, probe, options), *_of_manifest(plan, options), *_of_audio(plan, probe, options))


def _failures(plan: Plan, probe: Probe, options: JobOptions) -> Iterator[Warned]:
    failed: dict[str, list[Probed]] = {}
    for result in probe.found:
        if result.error:
            failed.setdefault(result.error, []).append(result)
    for error, results in sorted(failed.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        yield _sampled(f"failure:{error}", results, plan, probe, f"will fail: {results[0].message}")
    all_failed = [result for results in failed.values() for result in results]
    if probe.found and len(all_failed) / len(probe.found) > options.max_failure_ratio:
        message = (
            "this share of failures stops a run of more than a thousand recordings"
            f" (--max_failure_ratio={options.max_failure_ratio:g})"
        )
        yield _sampled("too_many_failures", all_failed, plan, probe, message)


def _of_manifest(plan: Plan, options: JobOptions) -> Iterator[Warned]:
    if plan.too_long:
        message = (
            f"longer than --max_duration_s={options.max_duration_s:g}, and will fail: cut them, or raise the limit"
        )
        yield _counted("too_long", plan.too_long, plan, message)
    if plan.alone:
        message = f"longer than {MAX_SHARD_S / 60:g} min: each takes one worker, for which the others may wait"
        yield _counted("very_long", plan.alone, plan, message)
    if odd := sum(count for _, count in plan.odd_suffixes):
        names = ", ".join(f"{suffix} ({count})" for suffix, count in plan.odd_suffixes[:EXAMPLES])
        message = f"names without a suffix of audio: {names}; a run tries them, and those that are not audio fail"
        yield _counted("odd_suffix", odd, plan, message)


def _of_audio(plan: Plan, probe: Probe, options: JobOptions) -> Iterator[Warned]:
    def about(kind: str, holds: Callable[[AudioFacts], bool], message: str) -> Iterator[Warned]:
        if results := [result for result in probe.found if result.facts is not None and holds(result.facts)]:
            yield _sampled(kind, results, plan, probe, message)

    yield from about(
        "low_sample_rate",
        lambda facts: facts.sample_rate < SAMPLE_RATE_HZ,
        f"sampled below the models' {SAMPLE_RATE_HZ} Hz: frequencies above half of their rate are lost, and answers are"
        " worse than published; if there are better originals, use them",
    )
    yield from about(
        "silent",
        lambda facts: facts.peak_dbfs < SILENT_DBFS,
        f"silent (no sample above {SILENT_DBFS:g} dBFS): check whether the right file or channel was recorded",
    )
    if any(task.needs_speech for task in options.tasks()):
        yield from about(
            "little_speech",
            lambda facts: facts.peak_dbfs >= SILENT_DBFS and (facts.speech_ratio or 0.0) < LITTLE_SPEECH,
            f"mostly without speech (less than {LITTLE_SPEECH:.0%}): there is little to transcribe, but decoding"
            " takes as long",
        )
    yield from about(
        "clipped",
        lambda facts: facts.clipped_ratio > CLIPPED_SHARE,
        f"clipped (more than {CLIPPED_SHARE:.1%} of the samples at full scale): was it recorded too loud?",
    )
    unlisted = [result for result in probe.found if result.said_s is None and result.decoded_s > MAX_SHARD_S]
    if unlisted:
        yield _sampled(
            "very_long",
            unlisted,
            plan,
            probe,
            f"longer than {MAX_SHARD_S / 60:g} min, and without a length in the manifest",
        )
    shorter = [
        result
        for result in probe.found
        if result.facts and result.said_s and result.decoded_s < SHORTER_SHARE * result.said_s
    ]
    if shorter:
        yield _sampled(
            "shorter_than_said",
            shorter,
            plan,
            probe,
            "shorter than in the manifest; hours and estimates are too high",
        )


def _sampled(kind: str, results: Sequence[Probed], plan: Plan, probe: Probe, message: str) -> Warned:
    from scipy.stats import binomtest

    looked_at = len(probe.found)
    low = high = len(results) / looked_at
    if looked_at < plan.recordings:
        low, high = map(float, binomtest(len(results), looked_at).proportion_ci(method="wilson"))
    examples = tuple(result.uri for result in results[:EXAMPLES])
    return Warned(kind, len(results), looked_at, looked_at < plan.recordings, low, high, message, examples)


def _counted(kind: str, count: int, plan: Plan, message: str) -> Warned:
    share = count / plan.recordings
    return Warned(kind, count, plan.recordings, False, share, share, message)
