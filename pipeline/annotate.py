"""`earmark annotate`: runs the job, here or wherever Beam's options say."""

import contextlib
import functools
import json
import re
import threading
from collections.abc import Callable, Sequence

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from earmark.model.source import check_options, check_source, find_source, open_source
from earmark.pipeline.graph import build_graph
from earmark.pipeline.launch import Run, check_places, launched_run
from earmark.pipeline.progress import print_summary, show_progress, tell_cancelled
from earmark.pipeline.runner import embedded_options, find_target, is_embedded, new_pipeline
from earmark.pipeline.shutdown import graceful_shutdown, interrupt_if_asked
from earmark.reporting.card.write_card_after_run import write_card_after_run
from earmark.schemas.errors import JobError, MachineError
from earmark.schemas.job import JobOptions
from earmark.schemas.tasks import Task
from earmark.transforms.annotate import Assignment
from earmark.transforms.audio.decode_recordings import decode_requests
from earmark.transforms.decode_shard import Decode
from earmark.transforms.stop_request import StopRequest
from earmark.transforms.summarize import Summary

STAGE = re.compile(r" \[while running .*$")  # what Beam adds to an error's words


def annotate(
    manifest: str,
    output: str,
    options: JobOptions,
    beam_flags: Sequence[str],
    show: Callable[[Summary, Run], None] = print_summary,
) -> int:
    """Runs the job to its end, shows how it went, and returns the exit status: 1 where rows are missing.

    Raises:
        JobError, MachineError: the job cannot run.
        KeyboardInterrupt: a signal stopped it.
    """
    summary = annotate_manifest(manifest, output, options, beam_flags, show)
    return 0 if summary is None or summary.adds_up else 1


def annotate_manifest(
    manifest: str,
    output: str,
    options: JobOptions,
    beam_flags: Sequence[str] = (),
    show: Callable[[Summary, Run], None] = lambda summary, run: None,
) -> Summary | None:
    """Runs the job to its end and returns its summary; None where Dataflow starts the job later, as a Flex Template.

    Raises:
        JobError, MachineError: the job cannot run.
        KeyboardInterrupt: a signal stopped it.
    """
    options.check()
    pipeline_options = embedded_options(beam_flags)
    check_models_are_named(options)
    check_places(manifest, output)
    place = find_target(pipeline_options)
    assignments, models = assign(options, is_embedded(pipeline_options))
    with launched_run(manifest, output, options, models, place) as run:
        if place.starts_later:
            start_job(run, assignments, pipeline_options)
            print(f"run {run.run_id} is planned; Dataflow starts its job {run.job_name} now")
            return None
        stop = StopRequest(run.run_id)
        # Elsewhere the shards are in the hands of others, who are not told: the job is cancelled.
        with graceful_shutdown(stop, "shards") if _takes_signals(pipeline_options) else contextlib.nullcontext():
            summary = run_job(run, assignments, pipeline_options)
    show(summary, run)
    write_card_after_run(run.output)
    interrupt_if_asked(stop)
    return summary


def _takes_signals(options: PipelineOptions) -> bool:
    """Whether the work is done in this process, whose main thread alone may handle signals."""
    return is_embedded(options) and threading.current_thread() is threading.main_thread()


def check_models_are_named(options: JobOptions) -> None:
    """Raises JobError where a task has no model."""
    if unanswered := options.models().get(""):
        names = ", ".join(task.name for task in unanswered)
        raise JobError(f"no model is named for {names}: give --model a folder, a URL or a hub id (README.md, A model)")


def assign(options: JobOptions, here: bool) -> tuple[list[Assignment], dict[Task, str]]:
    """Who answers what, and for each task, in the order of --task, the identity of its model.

    Raises:
        JobError: a model cannot be had, or cannot do what is asked of it.
    """
    assignments: list[Assignment] = []
    models: dict[Task, str] = {}
    asked = options.models()
    check_models_are_named(options)
    sources = {name: find_source(name) for name in asked}
    check_options(list(sources.values()), options)
    for name, asked_tasks in asked.items():
        source = sources[name]
        tasks = check_source(source, options, asked_tasks, here)
        assignments.append(Assignment(functools.partial(open_source, source, options), tasks))
        models |= dict.fromkeys(tasks, source.identity)
    return assignments, dict(sorted(models.items(), key=lambda pair: options.task.index(pair[0].name)))


def run_job(
    run: Run, assignments: Sequence[Assignment], pipeline_options: PipelineOptions, decode: Decode = decode_requests
) -> Summary:
    """Runs the graph of a launched run and returns its summary, as start_job does."""
    start_job(run, assignments, pipeline_options, decode)
    return read_summary(run)


def start_job(
    run: Run, assignments: Sequence[Assignment], pipeline_options: PipelineOptions, decode: Decode = decode_requests
) -> None:
    """Runs the graph of a launched run to its end, unless that starts later; who interrupts it ends its job, too.

    Raises:
        JobError, MachineError: as the stage that raised it said it.
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
    tell_cancelled(run.job)
    try:
        run.job.cancel()
    except OSError as error:
        raise JobError(f"stopped, but job {run.job.name} on {run.job.address} may go on: {error}") from error


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
            return kind(STAGE.sub("", str(error)))
        named = re.findall(rf"^(?:[\w.]*\.)?{kind.__name__}: (.+?)$", str(error), re.MULTILINE)
        if named:
            return kind(STAGE.sub("", named[-1]))
    return error
