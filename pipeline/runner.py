"""Choose the runner from the Beam options: this process, a Flink cluster or Dataflow."""

import os
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
    WorkerOptions,
)
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES, FlinkRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment

from earmark.pipeline.launch import ExecutionTarget
from earmark.schemas.errors import JobError
from earmark.transforms.clusters.dataflow import jobs_address
from earmark.transforms.clusters.flink import check_restarts, count_slots

NO_TIMED_FLUSH = -1
EMBEDDED_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
MAX_EMBEDDED_THREADS = 4


def default_workers() -> int:
    """Return the number of threads of an embedded run: one runs the model, the others fetch and decode.

    More threads would only hold more audio in memory.
    """
    return max(2, min(MAX_EMBEDDED_THREADS, os.cpu_count() or 1))


def embedded_options(beam_args: Sequence[str]) -> PipelineOptions:
    """Parse the Beam options; without --runner, the job runs in this process, in several threads."""
    options = PipelineOptions(list(beam_args))
    if options.view_as(StandardOptions).runner is None:
        options.view_as(StandardOptions).runner = EMBEDDED_RUNNER
        direct = options.view_as(DirectOptions)
        if not any(flag.startswith("--direct_num_workers") for flag in beam_args):
            direct.direct_num_workers = default_workers()
        if direct.direct_running_mode == "multi_threading":
            direct.direct_running_mode = "in_memory"  # new_pipeline runs it in threads
    return options


def is_embedded(options: PipelineOptions) -> bool:
    """Whether the job runs in this process, so that its device is this machine's."""
    return bool(options.view_as(StandardOptions).runner == EMBEDDED_RUNNER)


def find_target(options: PipelineOptions) -> ExecutionTarget:
    """Return the target of a job; a Flink job without --parallelism gets all slots of its cluster.

    Raises:
        JobError: The Flink cluster does not answer, has no free slots or is not set to restart jobs; or an option that
            Dataflow needs is missing.
    """
    name = options.view_as(GoogleCloudOptions).job_name or ExecutionTarget.job_name
    if str(options.view_as(StandardOptions).runner).endswith("DataflowRunner"):
        return _dataflow(options, name)
    flink = options.view_as(FlinkRunnerOptions)
    if flink.flink_master in MAGIC_HOST_NAMES:
        workers = options.view_as(DirectOptions).direct_num_workers or default_workers()
        return ExecutionTarget(workers, job_name=name)
    master = FlinkRunner.add_http_scheme(flink.flink_master).rstrip("/")
    check_restarts(master)
    if flink.parallelism <= 0:
        flink.parallelism = count_slots(master)
    if flink.parallelism <= 0:
        raise JobError(f"the Flink cluster at {master} has no task slots now: give --parallelism")
    return ExecutionTarget(flink.parallelism, "flink", master, name)


def _dataflow(options: PipelineOptions, name: str) -> ExecutionTarget:
    google = options.view_as(GoogleCloudOptions)
    for option in ("project", "region", "temp_location"):
        if not getattr(google, option):
            raise JobError(f"Dataflow needs --{option} (docs/deploy.md)")
    machines = options.view_as(WorkerOptions).max_num_workers or options.view_as(WorkerOptions).num_workers or 1
    threads = options.view_as(DebugOptions).number_of_worker_harness_threads or 1
    address = jobs_address(google.dataflow_endpoint, google.project, google.region)
    return ExecutionTarget(machines * threads, "dataflow", address, name, starts_later=bool(google.template_location))


def new_pipeline(options: PipelineOptions) -> beam.Pipeline:
    """Return an empty pipeline; an embedded one runs in threads.

    Beam's own multi_threading flushes buffers once a second from another thread, often in the middle of an element:
    100,000 rows came out corrupted. Without the timed flush its threads are safe.
    """
    direct = options.view_as(DirectOptions)
    if not is_embedded(options) or direct.direct_running_mode != "in_memory" or direct.direct_num_workers == 1:
        return beam.Pipeline(options=options)
    threads = EmbeddedPythonGrpcEnvironment(data_buffer_time_limit_ms=NO_TIMED_FLUSH)
    return beam.Pipeline(runner=FnApiRunner(default_environment=threads), options=options)
