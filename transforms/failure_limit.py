"""The limit on failures at which a run stops, since continuing would waste time and money."""

from earmark.schemas.errors import JobError

FIRST_LOOK_ROWS = 1000  # rows after which the share of failures is checked


def check_failures(failed: int, rows: int, max_failure_ratio: float) -> None:
    """Raises JobError when more than `max_failure_ratio` of the first thousand or more rows failed."""
    if rows >= FIRST_LOOK_ROWS and failed > max_failure_ratio * rows:
        raise JobError(
            f"{failed} of {rows} recordings failed, more than --max_failure_ratio {max_failure_ratio:g};"
            " look at the messages of the failures before you run it again"
        )
