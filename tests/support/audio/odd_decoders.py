"""Decoders that misbehave where a file's name says so; children import them by name."""

import os
import signal
import threading
from collections.abc import Sequence

from earmark.schemas.errors import RowError
from earmark.transforms.audio.decode_recordings import DecodedAudio, DecodeRequest, decode_requests
from earmark.transforms.containers.unpack_containers import UnpackRequest, unpack_containers


def crash_or_hang(requests: Sequence[DecodeRequest]) -> list[DecodedAudio | RowError]:
    for request in requests:
        if "segfault" in request.recording.uri:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in request.recording.uri:
            threading.Event().wait()
    return decode_requests(requests)


def refuse(requests: Sequence[DecodeRequest]) -> list[DecodedAudio | RowError]:
    raise AssertionError(f"{len(requests)} recordings were decoded that should not have been")


def crash_unpacking(requests: Sequence[UnpackRequest]) -> list[list[str | RowError] | RowError]:
    for request in requests:
        if "segfault" in request.container:
            os.kill(os.getpid(), signal.SIGSEGV)
    return unpack_containers(requests)
