"""Plots as SVG for a page, drawn by matplotlib in the colours of the page's style."""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from markupsafe import escape
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from earmark.reporting.report.figures import Distribution, Shares
from earmark.schemas.text import one_line

# Placeholders, used for nothing else, that are replaced by colours of the page.
INK, BAR = "#0a0b0c", "#0d0e0f"
PAGE_COLOURS = {INK: "currentColor", BAR: "var(--bar)"}
SIZE_IN = (3.6, 2.2)
WAVEFORM_IN = (8.0, 0.8)
WAVEFORM_POINTS = 500
MAX_BARS = 12  # labels that a plot has room for
MIN_BARS = 3  # a plot is at least this high: a single bar would be a block
MAX_CHARACTERS = 22  # of the label next to a bar
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # keep texts as texts, in the page's font
    "svg.hashsalt": "earmark",  # make the element names reproducible
    "text.parse_math": False,  # labels that a model writes may contain $
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_distribution(numbers: Distribution, about: str) -> str:
    """Draw a histogram of the bars that have rows, or of the whole scale; `about` is the plot in words."""
    edges, counts = np.array(numbers.scale.edges), np.array(numbers.counts)
    filled = np.flatnonzero(counts)
    first, last = (max(filled[0] - 1, 0), min(filled[-1] + 2, len(counts))) if filled.size else (0, len(counts))
    if numbers.scale.whole:
        first, last = 0, len(counts)
    with _axes(SIZE_IN) as (figure, axes):
        axes.stairs(counts[first:last], edges[first : last + 1], fill=True, color=BAR)
        if numbers.scale.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(numbers.scale.unit)
        _count_axis(axes.yaxis)
        return _svg(figure, about)


def draw_shares(shares: Shares, about: str) -> str:
    """Draw a bar for each of the most frequent values, and one for all others."""
    names = [_shortened(name) for name, _ in shares.counts[:MAX_BARS]]
    counts = [count for _, count in shares.counts[:MAX_BARS]]
    if others := shares.counts[MAX_BARS:]:
        names.append("(1 other)" if len(others) == 1 else f"({len(others)} others)")
        counts.append(sum(count for _, count in others))
    with _axes((SIZE_IN[0], 0.7 + 0.25 * max(len(names), MIN_BARS))) as (figure, axes):
        positions = np.arange(len(names))
        axes.barh(positions, counts, color=BAR, height=0.7)
        axes.set_yticks(positions, names)
        axes.set_ylim(max(len(names), MIN_BARS) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.02)
        _count_axis(axes.xaxis)
        return _svg(figure, about)


def draw_waveform(samples: np.ndarray) -> str:
    """Draw the envelope of float32 samples over the whole width, scaled to the loudest sample.

    Args:
        samples: float32 of shape (samples,), at least one sample.
    """
    bounds = np.unique(np.linspace(0, len(samples), WAVEFORM_POINTS + 1).astype(int)[:-1])
    high, low = np.maximum.reduceat(samples, bounds), np.minimum.reduceat(samples, bounds)
    loudest = max(float(np.abs(samples).max()), 1e-4)  # draws silence as a line
    with matplotlib.rc_context(STYLE | {"path.simplify": True}):
        figure = Figure(figsize=WAVEFORM_IN)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.fill_between(bounds / len(samples), low / loudest, high / loudest, color=BAR, linewidth=0.5)
        axes.set(xlim=(0, 1), ylim=(-1.02, 1.02))
        axes.set_axis_off()
        return _svg(figure, "").replace("<svg ", '<svg preserveAspectRatio="none" ', 1)


def _shortened(name: str) -> str:
    text = one_line(name) or "(empty)"
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"


def _count_axis(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


@contextmanager
def _axes(size_in: tuple[float, float]) -> Iterator[tuple[Figure, Any]]:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the page's font has it
        figure = Figure(figsize=size_in, layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: Figure, about: str) -> str:
    """The figure as an SVG element, without background, and without ids and rules that could clash with the page's."""
    content = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for placeholder, colour in PAGE_COLOURS.items():
        svg = svg.replace(f": {placeholder}", f": {colour}")
    label = f'role="img" aria-label="{escape(about)}"' if about else 'aria-hidden="true"'
    return svg.replace("<svg ", f"<svg {label} ", 1)
