"""`earmark annotate`: runs the job, here or wherever Beam's options say."""

import functools
import json
import re
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import EmbeddedPythonGrpcEnvironment

from model.checkpoint import find_checkpoint
from model.engine import check_checkpoint, check_options, open_engine
from pipeline.graph import build_graph
from pipeline.launch import Run, default_workers, launched_run
from pipeline.terminal import print_summary, show_progress
from schemas.errors import JobError, MachineError
from schemas.job import JobOptions
from transforms.annotate import Assignment
from transforms.decode_audio import Decode
from transforms.decode_recordings import decode_requests
from transforms.summarize import Summary

NO_TIMED_FLUSH = -1
EMBEDDED_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


def annotate(manifest: str, output: str, options: JobOptions, beam_flags: Sequence[str]) -> int:
    """Runs the job to its end, prints how it went, and returns the exit status.

    Raises:
        JobError, MachineError: it could not run.
    """
    options.check()
    pipeline_options = embedded_options(beam_flags)
    assignments, models = assign(options, is_embedded(pipeline_options))
    workers = pipeline_options.view_as(DirectOptions).direct_num_workers or default_workers()
    with launched_run(manifest, output, options, models, workers) as run:
        summary = run_job(run, assignments, pipeline_options)
    print_summary(summary, run)
    return 0 if summary.adds_up else 1


def assign(options: JobOptions, here: bool) -> tuple[list[Assignment], dict[str, str]]:
    """Who answers what, and for each task's name the identity of its checkpoint.

    Raises:
        JobError: a model cannot be had, or cannot do what is asked of it.
    """
    assignments: list[Assignment] = []
    models: dict[str, str] = {}
    asked = options.models()
    if unanswered := asked.get(""):
        names = ", ".join(task.name for task in unanswered)
        raise JobError(f"no model is named for {names}: give --model a folder, a URL or a hub id (README.md, A model)")
    checkpoints = {name: find_checkpoint(name) for name in asked}
    check_options(list(checkpoints.values()), options)
    for name, tasks in asked.items():
        checkpoint = checkpoints[name]
        check_checkpoint(checkpoint, options, tasks, here)
        assignments.append(Assignment(functools.partial(open_engine, checkpoint, options), tasks))
        models |= {task.name: checkpoint.identity for task in tasks}
    return assignments, models


def embedded_options(beam_flags: Sequence[str]) -> PipelineOptions:
    """Beam's options; without a runner, the job runs in this process, in several threads."""
    options = PipelineOptions(list(beam_flags))
    if options.view_as(StandardOptions).runner is None:
        options.view_as(StandardOptions).runner = EMBEDDED_RUNNER
        direct = options.view_as(DirectOptions)
        if not any(flag.startswith("--direct_num_workers") for flag in beam_flags):
            direct.direct_num_workers = default_workers()
        if direct.direct_running_mode == "multi_threading":
            direct.direct_running_mode = "in_memory"  # new_pipeline makes threads of it
    return options


def is_embedded(pipeline_options: PipelineOptions) -> bool:
    """Whether the job runs in this process, so that its device is this machine's."""
    return bool(pipeline_options.view_as(StandardOptions).runner == EMBEDDED_RUNNER)


def new_pipeline(options: PipelineOptions) -> beam.Pipeline:
    """An empty pipeline; an embedded one runs in threads.

    Beam's own multi_threading flushes its data once a second from another thread, in the middle of an element as
    likely as not: 100,000 rows came out garbled. Without that flush its threads are sound.
    """
    direct = options.view_as(DirectOptions)
    if not is_embedded(options) or direct.direct_running_mode != "in_memory" or direct.direct_num_workers == 1:
        return beam.Pipeline(options=options)
    threads = EmbeddedPythonGrpcEnvironment(data_buffer_time_limit_ms=NO_TIMED_FLUSH)
    return beam.Pipeline(runner=FnApiRunner(default_environment=threads), options=options)


def run_job(
    run: Run, assignments: Sequence[Assignment], pipeline_options: PipelineOptions, decode: Decode = decode_requests
) -> Summary:
    """Runs the graph of a launched run and returns its summary.

    Raises:
        JobError, MachineError: as the stage that raised it said it.
    """
    pipeline = new_pipeline(pipeline_options)
    build_graph(pipeline, run, assignments, decode)
    try:
        with show_progress(run, is_embedded(pipeline_options)):
            pipeline.run().wait_until_finish()
    except Exception as error:
        raise _cause(error) from error
    return read_summary(run)


def read_summary(run: Run) -> Summary:
    """The summary that Summarize has written."""
    found = json.loads(run.store.read(f"{run.folder}/summary.json"))
    found.pop("adds_up")
    lists = {name: tuple(found[name]) for name in ("foreign_parts", "doubled_ids")}
    return Summary(**{**found, **lists})


def _cause(error: Exception) -> Exception:
    """The JobError or MachineError that a worker raised; runners hand on no more than the text of a traceback."""
    for kind in (JobError, MachineError):
        if isinstance(error, kind):
            return error
        named = re.findall(rf"^(?:[\w.]*\.)?{kind.__name__}: (.+?)(?: \[while running .*)?$", str(error), re.MULTILINE)
        if named:
            return kind(named[-1])
    return error
