"""The page of a report: one self-contained HTML file with its script, style, plots and audio.

All texts of manifests and models pass through Jinja's escaping: as text, or as JSON that cannot close a tag.
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
from earmark.schemas.text import counted
from earmark.scoring.figures import NAMES, POINTS
from earmark.transforms.output.store import OutputStore
from earmark.transforms.storage.file_system import wrap_storage_errors

FILES = Path(__file__).parent
TABLE_ROWS = 200  # most values listed below a plot


@dataclass(frozen=True, slots=True)
class WrittenPage:
    """A page that was written; `clips`: number of recordings whose audio is embedded."""

    path: str
    clips: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot.

    Attributes:
        about: The plot in words, for people who cannot see it.
        values: The plotted numbers, as a table below `headers`.
    """

    title: str
    about: str
    svg: Markup
    headers: tuple[str, str]
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PageTask:
    """A task for the page's script; `closed`: whether its answers are labels, which the page can filter by."""

    name: str
    closed: bool


def write_page(report: Report, options: ReportOptions) -> WrittenPage:
    """Render the page and write it.

    Raises:
        JobError: The page cannot be written.
    """
    path = options.to or f"{report.output_url}/{NAME}"
    clips = read_clips(report.rows, options.clips) if options.audio == "embed" else {}
    links = audio_links(report.rows, path, sign=options.audio == "link") if options.audio != "none" else []
    content = render(report, clips, links).encode("utf-8", "replace")
    try:
        with wrap_storage_errors():
            if options.to:
                with fsspec.open(path, "wb", auto_mkdir=True) as file:
                    file.write(content)
            else:
                OutputStore(report.output_url).replace(NAME, content)
    except OSError as error:
        raise JobError(f"--to={path} cannot be written: {error}") from error
    return WrittenPage(path, sum(bool(clip.audio) for clip in clips.values()), len(content))


def render(report: Report, clips: dict[int, Clip], links: Sequence[AudioLink]) -> str:
    """Render the page as HTML.

    Args:
        clips: Clips by index into `report.rows`.
        links: A link for each row, or an empty sequence.
    """
    environment = Environment(loader=FileSystemLoader(FILES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": _number,
        "percent": _percent,
        "count": counted,
        "score": _score,
        "named": NAMES.__getitem__,
    }
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    script = (FILES / "report.js").read_text()
    figures = report.figures
    return environment.get_template("report.html.j2").render(
        report=report,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        name=report.output_url.rstrip("/").rsplit("/", 1)[-1],
        policy=_policy(script, links),
        style=Markup((FILES / "report.css").read_text()),
        script=Markup(script),
        failed=sum(cause.count for cause in report.failures),
        plots=[
            *(_distribution_plot(distribution) for distribution in figures.distributions if distribution.rows),
            *(_shares_plot(shares) for shares in figures.shares if shares.counts),
        ],
        tasks=[asdict(PageTask(task.name, task.measure == "label")) for task in report.tasks],
        rows=[asdict(row) for row in report.rows],
        links=[asdict(link) for link in links],
        clips=clips,
    )


def _policy(script: str, links: Iterable[AudioLink]) -> str:
    """A Content-Security-Policy that allows this script and the audio that rows link to, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    schemes = sorted({link.scheme for link in links if link.scheme})
    rules = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",  # matplotlib's SVG has its colours in style attributes
        "img-src": "data:",
        "media-src": " ".join(["data:", *(f"{scheme}:" for scheme in schemes)]),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _distribution_plot(numbers: Distribution) -> Plot:
    scale = numbers.scale
    unit = f" {scale.unit}" if scale.unit else ""
    bounds = f"from {numbers.low:.3g} to {numbers.high:.3g}{unit}, mean {numbers.mean:.3g}"
    about = f"{counted(numbers.rows, 'recording')}, {bounds}"
    bars = zip(scale.edges[:-1], scale.edges[1:], numbers.counts, strict=True)
    values = tuple((f"{low:.3g} to {high:.3g}{unit}", count) for low, high, count in bars if count)
    svg = draw_distribution(numbers, f"{scale.title}: {about}")
    return Plot(scale.title, about, Markup(svg), (scale.unit or "share", "recordings"), values)


def _shares_plot(shares: Shares) -> Plot:
    first = ", ".join(f"{name or '(empty)'} {_number(count)}" for name, count in shares.counts[:3])
    about = f"{counted(len(shares.counts), 'value')}; most frequent: {first}"
    svg = draw_shares(shares, f"{shares.title}: {about}")
    return Plot(shares.title, about, Markup(svg), ("value", "recordings"), shares.counts[:TABLE_ROWS])


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _score(value: float | None, name: str) -> str:
    """A score of an evaluation: BLEU and chrF from 0 to 100, all others in percent."""
    if value is None:
        return "-"
    return f"{value:.2f}" if name in POINTS else f"{100 * value:.2f} %"
