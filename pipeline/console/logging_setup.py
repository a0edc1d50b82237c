"""Set up logging and SIGTERM for commands that run for long."""

import logging
import os
import signal
import sys
import warnings
from types import FrameType


def set_up_logging(verbose: bool) -> None:
    """Log to standard error: without --verbose, only errors of libraries and messages of earmark.

    Beam and its libraries log too much at INFO. INFO messages of earmark, such as the device in use, appear only on a
    terminal, so that a scheduler's log or mail holds just results and warnings.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(message)s", handlers=[_ToStderr()])
    logging.getLogger("earmark").setLevel(_level(verbose))
    if not verbose:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"  # also for child processes
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


class _ToStderr(logging.Handler):
    """Writes to the current sys.stderr: while a progress bar is shown, rich replaces it to print above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:  # None where the parent process closed it
            print(self.format(record), file=sys.stderr)


def _level(verbose: bool) -> int:
    if verbose:
        return logging.DEBUG
    return logging.INFO if sys.stderr is not None and sys.stderr.isatty() else logging.WARNING


def stop_on_sigterm() -> None:
    """Make SIGTERM, which schedulers send, stop the command as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal_number)
