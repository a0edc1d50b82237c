"""Log of the workers of tests/support/clusters/flink_job.py. Light: the children that decode import it too."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from earmark.model.engine import Engine
from earmark.schemas.errors import RowError
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests


def hold(log: Path) -> Path:
    return log.with_suffix(".hold")


def decode_and_log(log: str, requests: Sequence[DecodeRequest]) -> list[DecodedAudio | RowError]:
    while hold(Path(log)).exists():
        time.sleep(0.05)
    _add(log, "".join(f"decoded {request.recording.id}\n" for request in requests))
    return decode_requests(requests)


def open_and_log(log: str, open_engine: Callable[[], Engine]) -> Engine:
    _add(log, f"loaded {os.getpid()}\n")
    return open_engine()


def _add(log: str, lines: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, lines.encode())  # in one piece, whatever other processes write
    os.close(file)


def logged(log: Path, what: str) -> list[str]:
    """Recordings decoded and models loaded according to the log, in order."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [name for kind, name in lines if kind == what]
