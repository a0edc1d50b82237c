"""Plots as SVG for a page: matplotlib draws them, and the page's own style gives them their colours."""

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

# Colours that stand for a colour of the page; no plot has them by itself.
INK, BAR = "#0a0b0c", "#0d0e0f"
OF_PAGE = {INK: "currentColor", BAR: "var(--bar)"}
SIZE_IN = (3.6, 2.2)
WAVEFORM_IN = (8.0, 0.8)
WAVEFORM_POINTS = 500
MAX_BARS = 12  # of labels that a plot has room for
MIN_BARS = 3  # that there is room for: one alone would be a block
MAX_CHARACTERS = 22  # of a label beside its bar
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # texts stay texts, in the page's font
    "svg.hashsalt": "earmark",  # names within the file are the same every time
    "text.parse_math": False,  # a label of a model may hold $
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw_distribution(found: Distribution, about: str) -> str:
    """Bars where there are rows, or over the whole scale. `about`: the same in words, for who cannot see it."""
    edges, counts = np.array(found.scale.edges), np.array(found.counts)
    there = np.flatnonzero(counts)
    first, last = (max(there[0] - 1, 0), min(there[-1] + 2, len(counts))) if there.size else (0, len(counts))
    if found.scale.whole:
        first, last = 0, len(counts)
    with _axes(SIZE_IN) as (figure, axes):
        axes.stairs(counts[first:last], edges[first : last + 1], fill=True, color=BAR)
        if found.scale.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(found.scale.unit)
        _count_axis(axes.yaxis)
        return _svg(figure, about)


def draw_shares(found: Shares, about: str) -> str:
    """A bar for each of the most frequent values, and one for all others."""
    names = [_shortened(name) for name, _ in found.counts[:MAX_BARS]]
    counts = [count for _, count in found.counts[:MAX_BARS]]
    if rest := found.counts[MAX_BARS:]:
        names.append(f"({len(rest)} others)")
        counts.append(sum(count for _, count in rest))
    with _axes((SIZE_IN[0], 0.7 + 0.25 * max(len(names), MIN_BARS))) as (figure, axes):
        places = np.arange(len(names))
        axes.barh(places, counts, color=BAR, height=0.7)
        axes.set_yticks(places, names)
        axes.set_ylim(max(len(names), MIN_BARS) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.02)
        _count_axis(axes.xaxis)
        return _svg(figure, about)


def draw_waveform(samples: np.ndarray) -> str:
    """The outline of float32 samples, loudest to the edge, over the whole width.

    Args:
        samples: shape (samples,), at least one.
    """
    bounds = np.unique(np.linspace(0, len(samples), WAVEFORM_POINTS + 1).astype(int)[:-1])
    high, low = np.maximum.reduceat(samples, bounds), np.minimum.reduceat(samples, bounds)
    loudest = max(float(np.abs(samples).max()), 1e-4)  # silence is a line
    with matplotlib.rc_context(STYLE | {"path.simplify": True}):
        figure = Figure(figsize=WAVEFORM_IN)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.fill_between(bounds / len(samples), low / loudest, high / loudest, color=BAR, linewidth=0.5)
        axes.set(xlim=(0, 1), ylim=(-1.02, 1.02))
        axes.set_axis_off()
        return _svg(figure, "").replace("<svg ", '<svg preserveAspectRatio="none" ', 1)


def _shortened(name: str) -> str:
    text = " ".join(name.split()) or "(empty)"
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"


def _count_axis(axis: Any) -> None:
    axis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


@contextmanager
def _axes(size_in: tuple[float, float]) -> Iterator[tuple[Figure, Any]]:
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the page's font draws it
        figure = Figure(figsize=size_in, layout="constrained")
        yield figure, figure.add_subplot()


def _svg(figure: Figure, about: str) -> str:
    """The figure as an element of a page: without a background, names and rules that would meet those of the page."""
    content = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    for ours, of_page in OF_PAGE.items():
        svg = svg.replace(f": {ours}", f": {of_page}")
    spoken = f'role="img" aria-label="{escape(about)}"' if about else 'aria-hidden="true"'
    return svg.replace("<svg ", f"<svg {spoken} ", 1)
