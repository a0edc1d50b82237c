"""`earmark annotate` with a DescribingEngine, for tests that stop it: gates hold it where they want it, a log says what
it has done. Light: the children that decode import it too.

A gate is a file in the job's folder, called after what it holds up; the number in it is how many go through first.
"""

import functools
import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from earmark.schemas.errors import RowError
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests

LOG = "log"
MODEL = "gated"


def gated_command(folder: Path, *arguments: object) -> list[str]:
    """The command in a process of its own; this module is not its main one, so that children find what is in it."""
    start = "import sys; from tests.support.gated_job import main; sys.exit(main(*sys.argv[1:]))"
    return [sys.executable, "-c", start, str(folder), *map(str, arguments)]


def main(folder: str, *arguments: str) -> int:
    from earmark.pipeline import annotate, cli
    from earmark.schemas.job import JobOptions
    from earmark.schemas.tasks import Task
    from earmark.transforms import read_manifest
    from earmark.transforms.annotate import Assignment
    from tests.support.jobs import DescribingEngine

    calls, read_manifests = itertools.count(1), read_manifest.read_manifests

    class GatedEngine(DescribingEngine):
        def annotate(self, clips, tasks):  # type: ignore[no-untyped-def]
            add(folder, [f"annotating {clip.recording.id}" for clip in clips])
            number = next(calls)
            add(folder, [f"call {number}"])
            wait_at(folder, "annotating", number)
            return super().annotate(clips, tasks)

    def open_engine() -> GatedEngine:
        add(folder, ["loading model"])
        wait_at(folder, "loading")
        return GatedEngine()

    def assign(options: JobOptions, here: bool) -> tuple[list[Assignment], dict[Task, str]]:
        return [Assignment(open_engine, options.tasks())], dict.fromkeys(options.tasks(), MODEL)

    def read(*arguments):  # type: ignore[no-untyped-def]
        add(folder, ["planning manifest"])
        wait_at(folder, "planning")
        return read_manifests(*arguments)

    annotate.assign = assign
    annotate.run_job = functools.partial(annotate.run_job, decode=functools.partial(decode, folder))
    read_manifest.read_manifests = read
    return cli.main(["annotate", *arguments, "--model", MODEL, "--decode_processes", "2"])


def decode(folder: str, requests: Sequence[DecodeRequest]) -> list[DecodedAudio | RowError]:
    add(folder, [f"decoding {request.recording.id}" for request in requests])
    wait_at(folder, "decoding")
    add(folder, [f"decoded {request.recording.id}" for request in requests])
    return decode_requests(requests)


def wait_at(folder: str, gate: str, number: int = 1) -> None:
    path = Path(folder) / gate
    while path.exists() and number > int(path.read_text()):
        time.sleep(0.02)


def add(folder: str, lines: Sequence[str]) -> None:
    file = os.open(Path(folder) / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, "".join(f"{line}\n" for line in lines).encode())  # in one piece, whatever other processes write
    os.close(file)
