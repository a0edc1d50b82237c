"""The three kinds of things that go wrong, and who pays for each: a row, a machine, a job."""


class RowError(Exception):
    """One recording cannot be labelled; it costs that recording and nothing else.

    Attributes:
        error: a short code that failures can be grouped by, such as "not_found".
        message: a sentence that says what was found and what to do.
    """

    def __init__(self, error: str, message: str):
        super().__init__(error, message)
        self.error = error
        self.message = message


class MachineError(Exception):
    """This machine cannot go on (disk full, device lost); the work may succeed elsewhere or later."""


class JobError(Exception):
    """The job as it was asked for cannot run; said before any work where that can be known."""
