"""The whole job on one screen."""

from collections.abc import Sequence

import apache_beam as beam

from earmark.pipeline.launch import Run
from earmark.transforms.annotate import Annotate, Assignment
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.audio.measure_bandwidth import MeasureBandwidth
from earmark.transforms.counters import Counters
from earmark.transforms.decode_audio import DecodeAudio
from earmark.transforms.decode_shard import Decode
from earmark.transforms.pack_shards import PackShards
from earmark.transforms.read_manifest import ReadManifest
from earmark.transforms.segment_speech import SegmentSpeech
from earmark.transforms.skip_annotated import SkipAnnotated
from earmark.transforms.skip_written import SkipWritten
from earmark.transforms.stop_gate import StopGate
from earmark.transforms.stop_request import StopRequest
from earmark.transforms.summarize import Summarize
from earmark.transforms.write_part import WritePart


def build_graph(
    pipeline: beam.Pipeline, run: Run, assignments: Sequence[Assignment], decode: Decode = decode_requests
) -> beam.PCollection:
    """Adds the job to a pipeline; the result holds one Summary.

    What a runner starts over gives the same shards: everything hangs on `run`, which was written down at launch.
    """
    options, store, counters, stop = run.options, run.store, Counters(run.run_id), StopRequest(run.run_id)
    manifest = pipeline | ReadManifest(
        run.manifests, options.shape(), options.limit, store, options.max_failure_ratio, counters
    )
    left = manifest.recordings | SkipAnnotated(store, run.snapshot, options.keep_failures, counters)
    packed = left.to_do | PackShards(options.shard_rows, run.target.workers, run.run_id, counters)
    in_flight = packed | StopGate(stop)
    planned = in_flight.shards | SkipWritten(store, counters)
    written = (
        planned.to_do
        | DecodeAudio(options, counters, decode)
        | MeasureBandwidth()
        | SegmentSpeech(counters)
        | Annotate(assignments, counters, stop)
        | WritePart(store, run.tasks, run.fingerprint, options.max_failure_ratio, counters)
    )
    return {
        "to_do": left.to_do | "CountToDo" >> beam.combiners.Count.Globally(),
        "done": left.done,
        "reports": (written, planned.written) | "GatherReports" >> beam.Flatten(),
        "manifest": manifest.failures,
        "standing": left.failures,
        "retried": left.retried,
        "left": in_flight.left,
        "duplicates": left.duplicates,
    } | Summarize(store, run.snapshot, run.folder, run.run_id)
