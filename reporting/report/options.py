"""What `earmark report` can be told."""

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
        to: path or URL of the page; "" for report.html in the output.
        rows: how many recordings the table shows.
        clips: of how many of them the audio is in the page.
        audio: embed: clips are in the page, and the other rows link to theirs where a browser can open it; link: all
            rows link, to objects of a store with an address that is signed; none: no audio is read or linked.
    """

    to: str = ""
    rows: int = 3000
    clips: int = 40
    audio: str = "embed"

    def check(self) -> None:
        """Raises JobError with the value and the remedy for the first option that makes no sense."""
        if self.to and not self.to.endswith((".html", ".htm")):
            raise JobError(f"--to={self.to} does not work: what is written is a page, so name it .html")
        if self.audio not in AUDIO:
            raise JobError(f"--audio={self.audio} does not work: choose from {', '.join(AUDIO)}")
        if self.rows < 1:
            raise JobError(f"--rows={self.rows} does not work: give 1 or more")
        if self.clips < 0:
            raise JobError(f"--clips={self.clips} does not work: give 0 or more")
