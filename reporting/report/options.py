"""Options of `earmark report`."""

from dataclasses import dataclass
from typing import Literal, get_args

from earmark.schemas.errors import JobError

Audio = Literal["embed", "link", "none"]
AUDIO: tuple[Audio, ...] = get_args(Audio)
NAME = "report.html"


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Options by the names of the flags.

    Attributes:
        to: Path or URL of the page; "" for report.html in the output.
        rows: Number of recordings in the table.
        clips: Number of recordings whose audio is embedded in the page.
        audio: "embed": embed clips, and link the other rows to their audio where a browser can open it; "link": link
            all rows, to objects of a store by signed URLs; "none": neither read nor link audio.
    """

    to: str = ""
    rows: int = 3000
    clips: int = 40
    audio: str = "embed"

    def check(self) -> None:
        """Raise a JobError with the value and the remedy for the first option that makes no sense."""
        if self.to and not self.to.endswith((".html", ".htm")):
            raise JobError(f"--to={self.to} does not work: the report is a page, so name it .html")
        if self.audio not in AUDIO:
            raise JobError(f"--audio={self.audio} does not work: choose from {', '.join(AUDIO)}")
        if self.rows < 1:
            raise JobError(f"--rows={self.rows} does not work: give 1 or more")
        if self.clips < 0:
            raise JobError(f"--clips={self.clips} does not work: give 0 or more")
