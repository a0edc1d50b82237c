"""`earmark plan`: the recordings that a run would annotate; writes nothing.

A plan is made in one process, which holds the location and length of each row of the manifest (about 0.3 kB), and all
ids of the output. In contrast, the stages of `earmark annotate` hold a partition at a time.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from earmark.pipeline.plan.lengths import LengthClass, LengthCounter
from earmark.pipeline.plan.sample import Reservoir
from earmark.schemas.errors import JobError
from earmark.schemas.job import JobOptions
from earmark.schemas.records import Failure, Recording
from earmark.transforms.manifests.find import find_manifests
from earmark.transforms.output.store import OutputStore
from earmark.transforms.pack_shards import MAX_SHARD_S, bucket_of, count_buckets, fill_rows, pack_bucket
from earmark.transforms.read_manifest import read_manifests
from earmark.transforms.skip_annotated import skip_annotated
from earmark.transforms.storage.audio_suffixes import AUDIO_SUFFIXES

SUFFIX_CHARACTERS = 6  # with the dot; a longer one is part of the name
PARTITIONS = 256  # of the ids, compared in turn, so that the memory of a comparison is that of one


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of a run.

    Attributes:
        recordings: Number of recordings to annotate.
        known_s: Seconds of those whose length the manifest has.
        of_known: Number of those.
        already_annotated: Number of recordings that the output has.
        kept_failures: Number of recordings that failed before and are not tried again.
        duplicates: Number of rows whose id an earlier row has.
        failures: Rows of the manifest that cannot be read.
        shards: Number of shards.
        lengths: Recordings to annotate by their length in the manifest.
        alone: Number of recordings so long that each is a shard of its own.
        too_long: Number of recordings longer than --max_duration_s, which will fail.
        odd_suffixes: Suffixes of recordings to annotate that are not those of audio, with their numbers.
        sample: Recordings to annotate, chosen at random.
    """

    recordings: int
    known_s: float
    of_known: int
    already_annotated: int
    kept_failures: int
    duplicates: int
    failures: tuple[Failure, ...]
    shards: int
    lengths: tuple[LengthClass, ...] = ()
    alone: int = 0
    too_long: int = 0
    odd_suffixes: tuple[tuple[str, int], ...] = ()
    sample: tuple[Recording, ...] = ()


def make_plan(
    manifest: str, output: str, options: JobOptions, workers: int, sample_rows: int = 0, seed: int = 0
) -> Plan:
    """Read the manifest and, where an output is named, its content, with the stages' own functions.

    Args:
        sample_rows: Most recordings in the sample; `seed` decides which.

    Raises:
        JobError: There is no such manifest, or the output cannot be read.
    """
    rows: list[list[Recording]] = [[] for _ in range(PARTITIONS)]
    broken: list[Failure] = []
    asks_rows = any(task.takes_row_prompt for task in options.tasks())
    for row in read_manifests(find_manifests(manifest), options.shape(), options.limit):
        if isinstance(row, Failure):
            broken.append(row)
        else:
            # Without the extra columns, which are most of a row.
            prompt = row.prompt if asks_rows else None
            language = sys.intern(row.language) if row.language else None  # one string for a million rows
            bare = Recording(
                row.id, row.uri, row.offset_s, row.duration_s, row.channel, language, prompt, location=row.location
            )
            rows[hash(row.id) % PARTITIONS].append(bare)
    ids, failures = _done(output)
    pending: list[Recording] = []
    reservoir = Reservoir(sample_rows, seed)
    annotated = kept_failures = duplicates = 0
    for number in range(PARTITIONS):
        partition = skip_annotated(rows[number], ids[number], failures[number], options.keep_failures)
        rows[number] = []
        pending += partition.pending
        reservoir.offer(partition.pending)
        annotated += partition.done.annotated
        kept_failures += partition.done.kept_failures
        duplicates += len(partition.duplicates)
    lengths = LengthCounter()
    alone = too_long = 0
    for recording in pending:
        if recording.duration_s is not None:
            lengths.add(recording.duration_s)
            alone += recording.duration_s > MAX_SHARD_S
            too_long += recording.duration_s > options.max_duration_s
    return Plan(
        recordings=len(pending),
        known_s=sum(length.seconds for length in lengths.classes()),
        of_known=sum(length.recordings for length in lengths.classes()),
        already_annotated=annotated,
        kept_failures=kept_failures,
        duplicates=duplicates,
        failures=tuple(broken),
        shards=sum(_shards(pending, options.shard_rows, workers)),
        lengths=lengths.classes(),
        alone=alone,
        too_long=too_long,
        odd_suffixes=_odd_suffixes(pending),
        sample=reservoir.sample(),
    )


def _odd_suffixes(recordings: Sequence[Recording]) -> tuple[tuple[str, int], ...]:
    """Suffixes that are not those of audio, most frequent first; long endings are not suffixes."""
    counts = Counter(map(_suffix, recordings))
    return tuple(
        (suffix, count)
        for suffix, count in counts.most_common()
        if suffix.lower() not in AUDIO_SUFFIXES and 1 < len(suffix) <= SUFFIX_CHARACTERS
    )


def _suffix(recording: Recording) -> str:
    if recording.location is not None:
        return recording.location.suffix
    name = recording.uri[recording.uri.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot:] if dot > 0 else ""


def _done(output: str) -> tuple[list[list[str]], list[list[Failure]]]:
    """Ids and failures in the output, by partition; empty without an output."""
    ids: list[list[str]] = [[] for _ in range(PARTITIONS)]
    failures: list[list[Failure]] = [[] for _ in range(PARTITIONS)]
    store = OutputStore(output)
    try:
        for part in store.parts() if output else ():
            annotated, report = store.read_part(part)
            for id in annotated:
                ids[hash(id) % PARTITIONS].append(id)
            for failure in report.failures:
                failures[hash(failure.id) % PARTITIONS].append(failure)
    except OSError as error:
        raise JobError(f"output {output} cannot be read: {error}") from error
    return ids, failures


def _shards(recordings: Sequence[Recording], shard_rows: int, workers: int) -> Iterator[int]:
    rows = len(recordings)
    count, fill = count_buckets(rows, shard_rows, workers), fill_rows(rows, shard_rows, workers)
    buckets: dict[tuple[bool, int], list[Recording]] = {}
    for recording in recordings:
        buckets.setdefault(bucket_of(recording, count), []).append(recording)
    for (contained, _), bucket in buckets.items():
        yield len(pack_bucket(bucket, shard_rows, fill if contained else shard_rows, ""))
