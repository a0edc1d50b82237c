"""When so much fails that going on would only burn money."""

from earmark.schemas.errors import JobError

FIRST_LOOK_ROWS = 1000  # the share of failures is looked at from then on


def check_failures(failed: int, rows: int, max_failure_ratio: float) -> None:
    """Raises JobError when more than `max_failure_ratio` of the first thousand or more rows failed."""
    if rows >= FIRST_LOOK_ROWS and failed > max_failure_ratio * rows:
        raise JobError(
            f"{failed} of {rows} recordings failed, more than --max_failure_ratio {max_failure_ratio:g};"
            " look at what the failures say before going on"
        )
