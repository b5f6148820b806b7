"""Pictures for a page: drawn by matplotlib, coloured by the page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from bertkit.errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = list[tuple[float, float]]

# matplotlib wants colours, a page has names for them that differ by day and night: these stand in.
COLOURS = {
    "#000001": "currentColor",
    "#000002": "var(--line)",
    "#000003": "var(--train)",
    "#000004": "var(--dev)",
    "#000005": "var(--majority)",
    "#000006": "var(--ngram)",
}
TEXT, LINE, TRAIN, DEV, MAJORITY, NGRAM = COLOURS
# From nothing to everything: what a heat map's cells may have.
SHADES = {
    f"#0001{shade:02x}": f"color-mix(in oklab, var(--hot) {100 * shade / 15:.0f}%, var(--cold))"
    for shade in range(16)
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text; the page chooses its font
    "font.size": 11,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": LINE,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.xmargin": 0.02,
    "grid.color": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
}
POINTS = 80  # of one line: more of them show noise and hide the trend


def picture(
    name: str,
    draw: Callable[[Sequence[Axes]], None],
    *,
    size: tuple[float, float] = (5.4, 3.2),
    heights: Sequence[float] = (1.0,),
    widths: Sequence[float] = (1.0,),
) -> str:
    """What `draw` puts on axes, as an `<svg>` element that takes its colours from the page.

    Args:
        name: begins the names inside the picture, so that they are the same for the same data, and another
            picture's are others.
        draw: gets the axes, the highest ones first, and of those the left ones.
        size: width and height, in inches.
        heights: of each of the axes, which share what runs from left to right, in proportion.
        widths: of axes beside one another, which share what runs upwards, in proportion.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(
            len(heights),
            len(widths),
            sharex="col",
            sharey="row",
            squeeze=False,
            gridspec_kw={"height_ratios": list(heights), "width_ratios": list(widths)},
        )
        draw(list(grid.flat))
        for text in figure.findobj(Text):
            text.set_text(printable(text.get_text()))  # A label may hold what no XML may.
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    # An XML file's head and its groups' names are nothing to a page, which has other pictures too.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg[svg.index("<svg") :])
    for stand_in, colour in (COLOURS | SHADES).items():
        svg = svg.replace(stand_in, colour)
    return svg


def standalone(svg: str) -> str:
    """A page's picture as a file of its own, with the page's colours by day and night."""
    page = files("bertkit.diagnose").joinpath("report.html").read_text(encoding="utf-8")
    colours = "\n".join(
        re.findall(r"^:root \{.*?^\}|^@media \(prefers-color-scheme.*?^\}", page, re.M | re.S)
    )
    look = "svg { color: var(--text); background: var(--paper); font-family: system-ui, sans-serif; }"
    return re.sub(r"(<svg[^>]*>)", rf"\1<style>{colours}\n{look}</style>", svg, count=1)


def name_axes(axes: Axes, across: str, up: str) -> None:
    """Say what runs from left to right, from 0 on in whole numbers where it goes that far, and upwards."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_xlim(left=0)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x == round(x) else f"{x:g}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))


def mark_top(axes: Axes, points: Points) -> None:
    """Zero and the highest point are all the marks that a small picture needs."""
    axes.set_ylim(bottom=0)
    if top := max((height for _, height in points if not math.isnan(height)), default=0.0):
        axes.set_yticks([0, top], ["0", f"{top:.2g}"])


def draw_line(axes: Axes, points: Points, colour: str, opacity: float = 1.0) -> None:
    """A line through points, which are marked where they are few."""
    across, up = zip(*points, strict=True) if points else ((), ())
    axes.plot(across, up, color=colour, alpha=opacity, marker="o" if len(points) < 30 else "")


def draw_level(axes: Axes, height: float, colour: str) -> None:
    """A dashed line at one height."""
    axes.axhline(height, color=colour, linestyle="--", linewidth=1.2)


def thinned(points: Points) -> Points:
    """At most `POINTS` points: each the mean of its share of the given ones that are numbers."""
    size = math.ceil(len(points) / POINTS) or 1
    fewer = []
    for begin in range(0, len(points), size):
        part = points[begin : begin + size]
        values = [value for _, value in part if not math.isnan(value)]
        place = sum(place for place, _ in part) / len(part)
        fewer.append((place, sum(values) / len(values) if values else math.nan))
    return fewer
