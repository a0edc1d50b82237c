"""What a command that works for long sets up first: its log, and a way to be stopped."""

import logging
import os
import signal
import sys
import warnings
from types import FrameType


def set_up_logging(verbose: bool) -> None:
    """Beam and the libraries below it say at INFO what no user of a command line wants to read.

    What earmark itself says at INFO, such as the device it took, is for who looks on: a scheduler's log or mail has the
    figures of the run, and what is wrong.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s", handlers=[_ToStderr()])
    logging.getLogger("earmark").setLevel(_level(verbose))
    if not verbose:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"  # of child processes too, multiprocessing's own among them
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


class _ToStderr(logging.Handler):
    """Writes to what standard error is at the time: while a bar moves, rich puts lines above it."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:  # closed by who started this
            print(self.format(record), file=sys.stderr)


def _level(verbose: bool) -> int:
    if verbose:
        return logging.DEBUG
    return logging.INFO if sys.stderr is not None and sys.stderr.isatty() else logging.WARNING


def stop_on_sigterm() -> None:
    """Lets SIGTERM, which schedulers send, stop the command as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal_number)
