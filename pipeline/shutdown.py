"""What Ctrl-C and SIGTERM do to work in this process: the first lets it end in order, the second ends it at once.

Imports nothing heavy: `earmark compact` uses it, too.
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
    """While the context lasts, the first signal asks for a stop, and says so; the next is a KeyboardInterrupt.

    So is the first one where there is nothing yet that is worth waiting for. Only for the main thread.

    Args:
        pieces: what the work is made of, such as "shards".
    """
    counts: SimpleQueue[int | None] = SimpleQueue()  # the one queue whose put() a signal handler may call

    def ask(signal_number: int, frame: FrameType | None) -> None:
        asked_before = stop.signal_number is not None
        stop.ask(signal_number)
        if asked_before or not stop.has_progress:
            raise KeyboardInterrupt(signal_number)
        counts.put(stop.count_in_flight())

    def say() -> None:  # in a thread, as the signal may have cut in where something else was being printed
        while (count := counts.get()) is not None:
            print(
                f"earmark: stopping after the {pieces} in hand (about {count}); Ctrl-C again stops at once;"
                " start the same command again to go on",
                file=sys.stderr,
                flush=True,
            )

    # A shell that starts a command in its background makes it deaf to Ctrl-C; it stays that.
    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    speaker = threading.Thread(target=say, daemon=True)
    speaker.start()
    handlers = {number: signal.signal(number, ask) for number in heard}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        counts.put(None)
        speaker.join()


def interrupt_if_asked(stop: StopRequest) -> None:
    """Raises KeyboardInterrupt for work that has ended in order because a signal asked for it."""
    if stop.signal_number is not None:
        raise KeyboardInterrupt(stop.signal_number)
