"""ReadManifest: reads manifests to recordings, and failures for rows that cannot be read."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from earmark.schemas.manifest import ManifestShape, parse_row
from earmark.schemas.records import Failure, Recording
from earmark.transforms.counters import Counters
from earmark.transforms.failure_limit import check_failures
from earmark.transforms.manifests.files import manifest_rows, shape_for
from earmark.transforms.output.store import OutputStore


def read_manifests(
    manifests: Sequence[str], shape: ManifestShape, limit: int = 0, store: OutputStore | None = None
) -> Iterator[Recording | Failure]:
    """Read the rows of the manifests, in order; only the first `limit` rows unless that is 0.

    Args:
        store: Output that keeps indexes of containers for the next run; None to read the containers themselves.

    Raises:
        JobError: A manifest cannot be read to its end.
    """
    rows = itertools.chain.from_iterable(_read_manifest(manifest, shape, store) for manifest in manifests)
    return itertools.islice(rows, limit or None)


def _read_manifest(manifest: str, shape: ManifestShape, store: OutputStore | None) -> Iterator[Recording | Failure]:
    shape = shape_for(manifest, shape)
    return (parse_row(row, shape) for row in manifest_rows(manifest, shape, store))


@beam.typehints.with_input_types(list[str])
@beam.typehints.with_output_types(Recording)
class _ReadManifests(beam.DoFn):
    def __init__(
        self, shape: ManifestShape, limit: int, store: OutputStore, max_failure_ratio: float, counters: Counters
    ):
        self._shape, self._limit, self._store = shape, limit, store
        self._max_failure_ratio, self._counters = max_failure_ratio, counters

    def process(self, manifests: list[str]) -> Iterator[Recording | TaggedOutput[Literal["failures"], Failure]]:
        bad = 0
        for rows, row in enumerate(read_manifests(manifests, self._shape, self._limit, self._store), 1):
            if isinstance(row, Failure):
                bad += 1
                check_failures(bad, rows, self._max_failure_ratio)
                self._counters.add("bad_manifest_rows")
                yield TaggedOutput("failures", row)
            else:
                self._counters.add("manifest_rows")
                yield row


class ReadManifest(beam.PTransform):
    """`recordings` (the main output) and `failures`; manifests are read in parallel unless a limit counts all rows."""

    def __init__(
        self,
        manifests: Sequence[str],
        shape: ManifestShape,
        limit: int,
        store: OutputStore,
        max_failure_ratio: float,
        counters: Counters,
    ):
        super().__init__()
        self._manifests, self._limit = list(manifests), limit
        self._read = _ReadManifests(shape, limit, store, max_failure_ratio, counters)

    def expand(self, pipeline: beam.Pipeline) -> Any:
        groups = [self._manifests] if self._limit else [[manifest] for manifest in self._manifests]
        read = beam.ParDo(self._read).with_outputs("failures", main="recordings")
        return pipeline | beam.Create(groups) | beam.Reshuffle() | read
