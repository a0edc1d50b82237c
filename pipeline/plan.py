"""`earmark plan`: what a run would do; touches nothing.

A plan is made in this one process, which holds of each row of the manifest where it is and how long (about 0.3 kB), and
all ids of the output. `earmark annotate` does not; its stages hold a partition at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.errors import JobError
from schemas.job import JobOptions
from schemas.records import Failure, Recording
from transforms.find_manifests import find_manifests
from transforms.output_store import OutputStore
from transforms.pack_shards import bucket_of, count_buckets, fill_rows, pack_bucket
from transforms.read_manifest import read_manifests
from transforms.skip_annotated import skip_annotated

PARTITIONS = 256  # of the ids, compared one after the other: what a comparison needs is held of one


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do.

    Attributes:
        recordings: to annotate. known_s: their audio, as far as the manifest says it; of_known of them have it.
        failures: rows of the manifest that cannot be read.
    """

    recordings: int
    known_s: float
    of_known: int
    already_annotated: int
    kept_failures: int
    duplicates: int
    failures: tuple[Failure, ...]
    shards: int


def make_plan(manifest: str, output: str, options: JobOptions, workers: int) -> Plan:
    """Reads the manifest and, where an output is named, what it holds, with the stages' own functions.

    Raises:
        JobError: there is no such manifest, or the output cannot be read.
    """
    rows: list[list[Recording]] = [[] for _ in range(PARTITIONS)]
    broken: list[Failure] = []
    for row in read_manifests(find_manifests(manifest), options.shape(), options.limit):
        if isinstance(row, Failure):
            broken.append(row)
        else:
            # Without what is carried along, which is most of a row.
            bare = Recording(row.id, row.uri, row.offset_s, row.duration_s, row.channel, place=row.place)
            rows[hash(row.id) % PARTITIONS].append(bare)
    ids, failures = _done(output)
    to_do: list[Recording] = []
    annotated = kept = duplicates = 0
    for number in range(PARTITIONS):
        left = skip_annotated(rows[number], ids[number], failures[number], options.keep_failures)
        rows[number] = []
        to_do += left.recordings
        annotated, kept = annotated + left.done.annotated, kept + left.done.kept
        duplicates += len(left.duplicates)
    durations = [recording.duration_s for recording in to_do if recording.duration_s is not None]
    return Plan(
        recordings=len(to_do),
        known_s=sum(durations),
        of_known=len(durations),
        already_annotated=annotated,
        kept_failures=kept,
        duplicates=duplicates,
        failures=tuple(broken),
        shards=sum(_shards(to_do, options.shard_rows, workers)),
    )


def _done(output: str) -> tuple[list[list[str]], list[list[Failure]]]:
    """Ids and failures that the output holds, by partition; none where no output is named."""
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
