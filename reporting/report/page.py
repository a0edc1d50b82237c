"""The page of a report: one HTML file whose script, style, plots and audio are in it, and that asks for nothing else.

All that comes from a manifest or a model passes through Jinja's escaping: as text, or as JSON in which no tag can end.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import fsspec
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from earmark.reporting.report.audio import Clip, read_clips
from earmark.reporting.report.content import Report
from earmark.reporting.report.figures import Distribution, Shares
from earmark.reporting.report.links import AudioLink, audio_links
from earmark.reporting.report.options import NAME, ReportOptions
from earmark.reporting.report.plots import draw_distribution, draw_shares
from earmark.schemas.errors import JobError
from earmark.scoring.figures import NAMES, POINTS
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import wrap_storage_errors

FILES = Path(__file__).parent
TABLE_ROWS = 200  # of the values below a plot


@dataclass(frozen=True, slots=True)
class WrittenPage:
    path: str
    clips: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot, what it shows in words, and its numbers."""

    title: str
    about: str
    svg: Markup
    headers: tuple[str, str]
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PageTask:
    """A task for the page's script; `closed`: its answers are labels, to filter by."""

    name: str
    closed: bool


def write_page(report: Report, options: ReportOptions) -> WrittenPage:
    """Renders the page and writes it.

    Raises:
        JobError: it cannot be written.
    """
    path = options.to or f"{report.place}/{NAME}"
    clips = read_clips(report.rows, options.clips) if options.audio == "embed" else {}
    links = audio_links(report.rows, path, sign=options.audio == "link") if options.audio != "none" else []
    content = render(report, clips, links).encode("utf-8", "replace")
    try:
        with wrap_storage_errors():
            if options.to:
                with fsspec.open(path, "wb", auto_mkdir=True) as file:
                    file.write(content)
            else:
                OutputStore(report.place).replace(NAME, content)
    except OSError as error:
        raise JobError(f"--to={path} cannot be written: {error}") from error
    return WrittenPage(path, sum(bool(clip.audio) for clip in clips.values()), len(content))


def render(report: Report, clips: dict[int, Clip], links: Sequence[AudioLink]) -> str:
    """The page.

    Args:
        clips: by the number of the row among report.rows.
        links: for each row, or none.
    """
    environment = Environment(loader=FileSystemLoader(FILES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": _number, "percent": _percent, "figure": _figure, "named": NAMES.__getitem__}
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    script = (FILES / "report.js").read_text()
    figures = report.figures
    return environment.get_template("report.html.j2").render(
        report=report,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        name=report.place.rstrip("/").rsplit("/", 1)[-1],
        policy=_policy(script, links),
        style=Markup((FILES / "report.css").read_text()),
        script=Markup(script),
        failed=sum(cause.count for cause in report.failures),
        plots=[*map(_of_distribution, _seen(figures.distributions)), *map(_of_shares, _counted(figures.shares))],
        tasks=[asdict(PageTask(task.name, task.kind == "label")) for task in report.tasks],
        rows=[asdict(row) for row in report.rows],
        links=[asdict(link) for link in links],
        clips=clips,
    )


def _policy(script: str, links: Iterable[AudioLink]) -> str:
    """A Content-Security-Policy: this script and no other, nothing from anywhere but the audio that rows link to."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    schemes = sorted({link.scheme for link in links if link.scheme})
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",  # matplotlib's SVG says its colours in style attributes
        "img-src": "data:",
        "media-src": " ".join(["data:", *(f"{scheme}:" for scheme in schemes)]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _seen(found: Iterable[Distribution]) -> list[Distribution]:
    return [one for one in found if one.rows]


def _counted(found: Iterable[Shares]) -> list[Shares]:
    return [one for one in found if one.counts]


def _of_distribution(found: Distribution) -> Plot:
    unit = f" {found.scale.unit}" if found.scale.unit else ""
    about = f"{_number(found.rows)} recordings, from {found.low:.3g} to {found.high:.3g}{unit}, mean {found.mean:.3g}"
    edges = found.scale.edges
    bars = zip(edges[:-1], edges[1:], found.counts, strict=True)
    values = tuple((f"{low:.3g} to {high:.3g}{unit}", count) for low, high, count in bars if count)
    svg = draw_distribution(found, f"{found.scale.title}: {about}")
    return Plot(found.scale.title, about, Markup(svg), (found.scale.unit or "share", "recordings"), values)


def _of_shares(found: Shares) -> Plot:
    first = ", ".join(f"{name or '(empty)'} {_number(count)}" for name, count in found.counts[:3])
    values = "1 value" if len(found.counts) == 1 else f"{_number(len(found.counts))} values"
    about = f"{values}; most frequent: {first}"
    svg = draw_shares(found, f"{found.title}: {about}")
    return Plot(found.title, about, Markup(svg), ("value", "recordings"), found.counts[:TABLE_ROWS])


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _figure(value: float | None, name: str) -> str:
    """A figure of an evaluation: a share in percent, BLEU and chrF from 0 to 100."""
    if value is None:
        return "-"
    return f"{value:.2f}" if name in POINTS else f"{100 * value:.2f} %"
