"""The whole job on one screen."""

from collections.abc import Sequence

import apache_beam as beam

from earmark.pipeline.launch import Run
from earmark.transforms.annotate import Assignment
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.counters import Counters
from earmark.transforms.decode_shard import Decode
from earmark.transforms.pack_shards import PackShards
from earmark.transforms.read_manifest import ReadManifest
from earmark.transforms.shard_stages import shard_stages
from earmark.transforms.skip_annotated import SkipAnnotated
from earmark.transforms.skip_written import SkipWritten
from earmark.transforms.stop_gate import StopGate
from earmark.transforms.stop_request import StopRequest
from earmark.transforms.summarize import RunCounts, Summarize
from earmark.transforms.write_part import WritePart


def build_graph(
    pipeline: beam.Pipeline, run: Run, assignments: Sequence[Assignment], decode: Decode = decode_requests
) -> beam.PCollection:
    """Add the job to a pipeline; the result holds one Summary.

    A stage that the runner restarts makes the same shards again, because `run` was written to the output at launch.
    """
    options, store, counters, stop = run.options, run.store, Counters(run.run_id), StopRequest(run.run_id)
    manifest = pipeline | ReadManifest(
        run.manifests, options.shape(), options.limit, store, options.max_failure_ratio, counters
    )
    sorted_rows = manifest.recordings | SkipAnnotated(store, run.snapshot, options.keep_failures, counters)
    packed = sorted_rows.pending | PackShards(options.shard_rows, run.target.workers, run.run_id, counters)
    admitted = packed | StopGate(stop)
    shards = admitted.shards | SkipWritten(store, counters)
    annotated = shards.pending
    for stage in shard_stages(options, assignments, counters, stop, decode):
        annotated |= stage
    written = annotated | WritePart(store, run.tasks, run.fingerprint, options.max_failure_ratio, counters)
    return RunCounts(
        pending=sorted_rows.pending | "CountToDo" >> beam.combiners.Count.Globally(),
        done=sorted_rows.done,
        reports=(written, shards.written) | "GatherReports" >> beam.Flatten(),
        unreadable=manifest.failures,
        unresolved=sorted_rows.unresolved,
        retried=sorted_rows.retried,
        not_started=admitted.not_started,
        duplicates=sorted_rows.duplicates,
    ) | Summarize(store, run.snapshot, run.folder, run.run_id)
