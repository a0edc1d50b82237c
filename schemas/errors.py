"""The three kinds of errors: of a row, of a machine, and of a job."""


class RowError(Exception):
    """One recording cannot be labelled; it fails alone, and becomes a Failure in the output.

    Attributes:
        error: Short code by which failures are grouped, such as "not_found".
        message: Sentence with the problem and the remedy.
    """

    def __init__(self, error: str, message: str):
        super().__init__(error, message)
        self.error = error
        self.message = message


class MachineError(Exception):
    """This machine cannot continue (disk full, device lost); the work may succeed elsewhere or later."""


class JobError(Exception):
    """The job cannot run with these options; raised before any work where possible."""
