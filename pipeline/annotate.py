"""Run an annotation job, in this process or on the runner that the Beam options name."""

import contextlib
import functools
import json
import re
import threading
from collections.abc import Callable, Sequence

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from earmark.model.source import check_options, check_source, find_source, open_source
from earmark.pipeline.graph import build_graph
from earmark.pipeline.launch import Run, check_manifest_and_output, launched_run
from earmark.pipeline.progress import print_cancelled, print_summary, show_progress
from earmark.pipeline.runner import embedded_options, find_target, is_embedded, new_pipeline
from earmark.pipeline.shutdown import graceful_shutdown, interrupt_if_stopped
from earmark.reporting.card.write_card_after_run import write_card_after_run
from earmark.schemas.errors import JobError, MachineError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task
from earmark.transforms.annotate import Assignment
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.decode_shard import Decode
from earmark.transforms.stop_request import StopRequest
from earmark.transforms.summarize import Summary

STAGE = re.compile(r" \[while running .*$")  # suffix that Beam adds to error messages


def annotate(
    manifest: str,
    output: str,
    options: JobOptions,
    beam_args: Sequence[str],
    show: Callable[[Summary, Run], None] = print_summary,
) -> int:
    """Run the job to its end, show its summary and return the exit status: 1 if recordings are missing.

    Raises:
        JobError, MachineError: The job cannot run.
        KeyboardInterrupt: A signal stopped it.
    """
    summary = annotate_manifest(manifest, output, options, beam_args, show)
    return 0 if summary is None or summary.adds_up else 1


def annotate_manifest(
    manifest: str,
    output: str,
    options: JobOptions,
    beam_args: Sequence[str] = (),
    show: Callable[[Summary, Run], None] = lambda summary, run: None,
) -> Summary | None:
    """Run the job to its end and return its summary; None for a Flex Template, which Dataflow starts later.

    Raises:
        JobError, MachineError: The job cannot run.
        KeyboardInterrupt: A signal stopped it.
    """
    options.check()
    pipeline_options = embedded_options(beam_args)
    check_models_are_named(options)
    check_manifest_and_output(manifest, output)
    target = find_target(pipeline_options)
    assignments, models = assign(options, is_embedded(pipeline_options))
    with launched_run(manifest, output, options, models, target) as run:
        if target.starts_later:
            start_job(run, assignments, pipeline_options)
            print(f"run {run.run_id} is prepared; Dataflow now starts its job {run.job_name}")
            return None
        stop = StopRequest(run.run_id)
        # A cluster's workers do not see this process's signals; there the job is cancelled instead.
        with graceful_shutdown(stop, "shards") if _handles_signals(pipeline_options) else contextlib.nullcontext():
            summary = run_job(run, assignments, pipeline_options)
    show(summary, run)
    write_card_after_run(run.output)
    interrupt_if_stopped(stop)
    return summary


def _handles_signals(options: PipelineOptions) -> bool:
    """Whether the job runs in this process and this is the main thread, which alone may handle signals."""
    return is_embedded(options) and threading.current_thread() is threading.main_thread()


def check_models_are_named(options: JobOptions) -> None:
    """Raise JobError if a task has no model."""
    if tasks := options.models().get(""):
        names = ", ".join(task.name for task in tasks)
        raise JobError(f"no model is named for {names}: give --model a folder, a URL or a hub id (README.md, A model)")


def assign(options: JobOptions, here: bool) -> tuple[list[Assignment], dict[Task, str]]:
    """Assign the tasks to their models.

    Args:
        here: Whether the models run on this machine.

    Returns:
        One assignment per model, and the identity of each task's model, in the order of --task.

    Raises:
        JobError: A model cannot be found, or does not support one of its tasks.
    """
    assignments: list[Assignment] = []
    models: dict[Task, str] = {}
    tasks_of = options.models()
    check_models_are_named(options)
    sources = {name: find_source(name) for name in tasks_of}
    check_options(list(sources.values()), options)
    for name, source in sources.items():
        tasks = check_source(source, options, tasks_of[name], here)
        assignments.append(Assignment(functools.partial(open_source, source, options), tasks))
        models |= dict.fromkeys(tasks, source.identity)
    return assignments, dict(sorted(models.items(), key=lambda pair: options.task.index(pair[0].name)))


def run_job(
    run: Run, assignments: Sequence[Assignment], pipeline_options: PipelineOptions, decode: Decode = decode_requests
) -> Summary:
    """Run the graph of a launched run to its end and return its summary; raises as start_job does."""
    start_job(run, assignments, pipeline_options, decode)
    return read_summary(run)


def start_job(
    run: Run, assignments: Sequence[Assignment], pipeline_options: PipelineOptions, decode: Decode = decode_requests
) -> None:
    """Run the graph of a launched run to its end, or only submit it if the job starts later.

    An interrupt cancels the job on its cluster.

    Raises:
        JobError, MachineError: The error that a stage raised.
        KeyboardInterrupt: A signal stopped the job.
    """
    pipeline_options.view_as(GoogleCloudOptions).job_name = run.job_name
    pipeline = new_pipeline(pipeline_options)
    build_graph(pipeline, run, assignments, decode)
    try:
        with show_progress(run, is_embedded(pipeline_options)):
            pipeline.run().wait_until_finish()
    except KeyboardInterrupt:
        _cancel(run)
        raise
    except Exception as error:
        raise _cause(error) from error


def _cancel(run: Run) -> None:
    if run.job is None:
        return
    print_cancelled(run.job)
    try:
        run.job.cancel()
    except OSError as error:
        raise JobError(f"stopped, but job {run.job.name} on {run.job.address} may still be running: {error}") from error


def read_summary(run: Run) -> Summary:
    """Read the summary that Summarize wrote."""
    fields = json.loads(run.store.read(f"{run.folder}/summary.json"))
    fields.pop("adds_up")
    lists = {name: tuple(fields[name]) for name in ("foreign_parts", "doubled_ids")}
    return Summary(**{**fields, **lists})


def _cause(error: Exception) -> Exception:
    """Return the JobError or MachineError that a worker raised; runners pass on only the text of its traceback."""
    for kind in (JobError, MachineError):
        if isinstance(error, kind):
            return kind(STAGE.sub("", str(error)))
        messages = re.findall(rf"^(?:[\w.]*\.)?{kind.__name__}: (.+?)$", str(error), re.MULTILINE)
        if messages:
            return kind(STAGE.sub("", messages[-1]))
    return error
