"""A job for tests on a cluster, with the tiny Qwen2-Audio.

Like `earmark annotate`, but for the log: workers add a line for each recording that they decode and each model that
they load. While there is a file beside the log that `hold` names, nothing is decoded. `--take_over` is its only option.
"""

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from earmark.pipeline.annotate import assign, run_job
from earmark.pipeline.launch import launched_run
from earmark.pipeline.runner import embedded_options, find_target
from earmark.schemas.job import JobOptions
from earmark.transforms.annotate import Assignment
from tests.support.clusters.flink_log import decode_and_log, open_and_log
from tests.support.jobs import TINY

SHARD_ROWS = 8


def job_command(manifest: Path, output: Path, log: Path, flags: Sequence[str]) -> list[str]:
    """The job in a process of its own; this module is not its main one, so that workers find what is in it."""
    start = "import sys; from tests.support.clusters.flink_job import main; sys.exit(main(*sys.argv[1:]))"
    return [sys.executable, "-c", start, str(manifest), str(output), str(log), *flags]


def main(manifest: str, output: str, log: str, *flags: str) -> int:
    take_over = "--take_over" in flags
    options = JobOptions(
        task=("transcribe", "emotion"),
        model=(str(TINY),),
        shard_rows=SHARD_ROWS,
        decode_processes=1,
        model_threads=1,
        take_over=take_over,
    )
    beam_options = embedded_options([flag for flag in flags if flag != "--take_over"])
    assignments, models = assign(options, here=False)
    logging = [Assignment(functools.partial(open_and_log, log, one.open_engine), one.tasks) for one in assignments]
    with launched_run(manifest, output, options, models, find_target(beam_options)) as run:
        summary = run_job(run, logging, beam_options, functools.partial(decode_and_log, log))
    return 0 if summary.adds_up else 1
