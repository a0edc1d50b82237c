"""Handle Ctrl-C and SIGTERM: the first finishes the work in flight, the second stops at once.

Imports nothing heavy: `earmark compact` uses it too.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType

from earmark.transforms.stop_request import StopRequest


@contextlib.contextmanager
def graceful_shutdown(stop: StopRequest, pieces: str) -> Iterator[None]:
    """Turn the first signal into a stop request with a message, and the second into KeyboardInterrupt.

    Before there is any progress to save, the first signal raises KeyboardInterrupt too. Only for the main thread.

    Args:
        pieces: Units of work in the message, such as "shards".
    """
    counts: SimpleQueue[int | None] = SimpleQueue()  # the one queue whose put() a signal handler may call

    def handle(signal_number: int, frame: FrameType | None) -> None:
        is_second = stop.signal_number is not None
        stop.request(signal_number)
        if is_second or not stop.has_progress:
            raise KeyboardInterrupt(signal_number)
        counts.put(stop.count_in_flight())

    def print_messages() -> None:  # in a thread, as the signal may have interrupted another print
        while (count := counts.get()) is not None:
            print(
                f"earmark: stopping after the {pieces} in flight (about {count}); press Ctrl-C again to stop at once;"
                " run the same command again to resume",
                file=sys.stderr,
                flush=True,
            )

    # A shell that starts a command in the background makes it ignore Ctrl-C; that stays so.
    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    printer = threading.Thread(target=print_messages, daemon=True)
    printer.start()
    handlers = {number: signal.signal(number, handle) for number in handled}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        counts.put(None)
        printer.join()


def interrupt_if_stopped(stop: StopRequest) -> None:
    """Raise KeyboardInterrupt if the work ended early because of a signal."""
    if stop.signal_number is not None:
        raise KeyboardInterrupt(stop.signal_number)
