"""`earmark plan`: what a run would do; touches nothing.

A plan is made in this one process, which holds all rows of the manifest and all ids of the output: about 1 kB a row,
1 GB a million of them. `earmark annotate` does not; its stages hold a partition at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.errors import JobError
from schemas.job import JobOptions
from schemas.records import Failure, Recording
from transforms.find_manifests import find_manifests
from transforms.output_store import OutputStore
from transforms.pack_shards import bucket_of, count_buckets, fill_rows, pack_bucket
from transforms.read_manifest import read_manifests
from transforms.skip_annotated import skip_annotated


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
    manifests = find_manifests(manifest)
    found = list(read_manifests(manifests, options.shape(), options.limit))
    ids, failures = _done(output) if output else (set[str](), [])
    rows = (row for row in found if isinstance(row, Recording))
    left = skip_annotated(rows, ids, failures, options.keep_failures)
    durations = [recording.duration_s for recording in left.recordings if recording.duration_s is not None]
    return Plan(
        recordings=len(left.recordings),
        known_s=sum(durations),
        of_known=len(durations),
        already_annotated=left.done.annotated,
        kept_failures=left.done.kept,
        duplicates=len(left.duplicates),
        failures=tuple(row for row in found if isinstance(row, Failure)),
        shards=sum(_shards(left.recordings, options.shard_rows, workers)),
    )


def _done(output: str) -> tuple[set[str], list[Failure]]:
    store = OutputStore(output)
    try:
        parts = [store.read_part(part) for part in store.parts()]
    except OSError as error:
        raise JobError(f"output {output} cannot be read: {error}") from error
    return {id for ids, _ in parts for id in ids}, [failure for _, report in parts for failure in report.failures]


def _shards(recordings: tuple[Recording, ...], shard_rows: int, workers: int) -> Iterator[int]:
    rows = len(recordings)
    count, fill = count_buckets(rows, shard_rows, workers), fill_rows(rows, shard_rows, workers)
    buckets: dict[tuple[bool, int], list[Recording]] = {}
    for recording in recordings:
        buckets.setdefault(bucket_of(recording, count), []).append(recording)
    for (contained, _), bucket in buckets.items():
        yield len(pack_bucket(bucket, shard_rows, fill if contained else shard_rows, ""))
