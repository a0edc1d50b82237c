"""What is worth knowing before a run: of the whole manifest where that can be counted, else of the random sample."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from earmark.pipeline.plan.plan import Plan
from earmark.pipeline.plan.probe import Probe, Probed
from earmark.schemas.job import JobOptions
from earmark.schemas.records import SAMPLE_RATE_HZ, AudioFacts
from earmark.transforms.pack_shards import MAX_SHARD_S

LITTLE_SPEECH = 0.1  # of the recording
SILENT_DBFS = -60.0  # of the loudest sample: below the noise of any room
CLIPPED_SHARE = 0.001  # of the samples: a thousandth at full scale is heard
SHORTER_SHARE = 0.9  # of what the manifest says; it may round
EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning.

    Attributes:
        kind: a short code: "low_sample_rate", or "failure:" and the error that a run would write down.
        recordings: that it is about, of `looked_at`.
        sampled: whether those are a random sample; else they are all that are to be annotated.
        low, high: 95 % interval of the share in the manifest, 0 to 1 (Wilson); the share itself where all were seen.
        message: what it means and what to do.
        examples: some of the recordings' uris.
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
    """All warnings: first what fails, then what is odd, then what takes long."""
    return (*_failures(plan, probe, options), *_of_manifest(plan, options), *_of_sound(plan, probe, options))


def _failures(plan: Plan, probe: Probe, options: JobOptions) -> Iterator[Warned]:
    failed: dict[str, list[Probed]] = {}
    for one in probe.found:
        if one.error:
            failed.setdefault(one.error, []).append(one)
    for error, those in sorted(failed.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        yield _sampled(f"failure:{error}", those, plan, probe, f"will fail: {those[0].message}")
    together = [one for those in failed.values() for one in those]
    if probe.found and len(together) / len(probe.found) > options.max_failure_ratio:
        message = (
            f"so many failures stop a run of more than a thousand (--max_failure_ratio={options.max_failure_ratio:g})"
        )
        yield _sampled("too_many_failures", together, plan, probe, message)


def _of_manifest(plan: Plan, options: JobOptions) -> Iterator[Warned]:
    if plan.too_long:
        message = f"longer than --max_duration_s={options.max_duration_s:g}, and will fail: cut them, or raise it"
        yield _counted("too_long", plan.too_long, plan, message)
    if plan.alone:
        message = f"longer than {MAX_SHARD_S / 60:g} min: one worker does each alone, and the others may wait for it"
        yield _counted("very_long", plan.alone, plan, message)
    if odd := sum(count for _, count in plan.odd_suffixes):
        names = ", ".join(f"{suffix} ({count})" for suffix, count in plan.odd_suffixes[:EXAMPLES])
        message = f"not called like audio: {names}; a run tries them, and those that are none fail"
        yield _counted("odd_suffix", odd, plan, message)


def _of_sound(plan: Plan, probe: Probe, options: JobOptions) -> Iterator[Warned]:
    def about(kind: str, holds: Callable[[AudioFacts], bool], message: str) -> Iterator[Warned]:
        if those := [one for one in probe.found if one.facts is not None and holds(one.facts)]:
            yield _sampled(kind, those, plan, probe, message)

    yield from about(
        "low_sample_rate",
        lambda facts: facts.sample_rate < SAMPLE_RATE_HZ,
        f"sampled below the models' {SAMPLE_RATE_HZ} Hz: what is above half of their own rate is lost, and answers are"
        " worse than published; if there are better originals, take them",
    )
    yield from about(
        "silent",
        lambda facts: facts.peak_dbfs < SILENT_DBFS,
        f"silent (no sample above {SILENT_DBFS:g} dBFS): look whether the right file or channel was recorded",
    )
    if any(task.needs_speech for task in options.tasks()):
        yield from about(
            "little_speech",
            lambda facts: facts.peak_dbfs >= SILENT_DBFS and (facts.speech_ratio or 0.0) < LITTLE_SPEECH,
            f"mostly without speech (less than {LITTLE_SPEECH:.0%}): there is little to transcribe, and it is decoded"
            " all the same",
        )
    yield from about(
        "clipped",
        lambda facts: facts.clipped_ratio > CLIPPED_SHARE,
        f"clipped (more than {CLIPPED_SHARE:.1%} of the samples at full scale): was it recorded too loud?",
    )
    unsaid = [one for one in probe.found if one.said_s is None and one.found_s > MAX_SHARD_S]
    if unsaid:
        yield _sampled(
            "very_long", unsaid, plan, probe, f"longer than {MAX_SHARD_S / 60:g} min, which the manifest does not say"
        )
    shorter = [one for one in probe.found if one.facts and one.said_s and one.found_s < SHORTER_SHARE * one.said_s]
    if shorter:
        yield _sampled(
            "shorter_than_said",
            shorter,
            plan,
            probe,
            "shorter than the manifest says; hours and estimates are too high",
        )


def _sampled(kind: str, those: Sequence[Probed], plan: Plan, probe: Probe, message: str) -> Warned:
    from scipy.stats import binomtest

    looked_at = len(probe.found)
    low = high = len(those) / looked_at
    if looked_at < plan.recordings:
        low, high = map(float, binomtest(len(those), looked_at).proportion_ci(method="wilson"))
    examples = tuple(one.uri for one in those[:EXAMPLES])
    return Warned(kind, len(those), looked_at, looked_at < plan.recordings, low, high, message, examples)


def _counted(kind: str, count: int, plan: Plan, message: str) -> Warned:
    share = count / plan.recordings
    return Warned(kind, count, plan.recordings, False, share, share, message)
