"""Scores with their intervals, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertkit.diagnose.pictures import LINE, NGRAM, TEXT, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL = 26  # Characters of a name that a picture has room for.


@dataclass(frozen=True)
class Bar:
    """One row of the picture.

    Attributes:
        name: at its left.
        score: the large dot; None for a row without one.
        interval: the line through it; None if it has none.
        colour: a stand-in of `pictures.COLOURS`.
        seeds: small dots.
    """

    name: str
    score: float | None
    interval: tuple[float, float] | None
    colour: str
    seeds: tuple[float, ...] = ()


def draw_forest(
    name: str, bars: Sequence[Bar], across: str, *, zero: bool = False, levels: Sequence[float] = ()
) -> str:
    """Rows of dots with intervals, as SVG text.

    Args:
        name: see `pictures.picture`.
        bars: the rows, the highest first.
        across: what runs from left to right.
        zero: a line marks where nothing differs.
        levels: dashed lines, such as of a baseline.
    """

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = all_axes[0]
        if zero:
            axes.axvline(0, color=TEXT, linewidth=1, alpha=0.6)
        for level in levels:
            axes.axvline(level, color=NGRAM, linestyle="--", linewidth=1.2)
        for place, bar in enumerate(bars):
            axes.plot(bar.seeds, [place + 0.22] * len(bar.seeds), ".", color=bar.colour, markersize=4.5)
            if bar.interval is not None:
                axes.hlines(place, *bar.interval, color=bar.colour, linewidth=2.4, alpha=0.55)
            if bar.score is not None:
                axes.plot([bar.score], [place], "o", color=bar.colour, markersize=7)
        axes.set_yticks(range(len(bars)), [_short(bar.name) for bar in bars])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlabel(across)
        axes.margins(x=0.06)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=LINE)

    return picture(name, draw, size=(5.4, 0.75 + 0.38 * len(bars)))


def _short(name: str) -> str:
    """`name` with its end, which tells runs apart, where it is too long; dollars are no mathematics."""
    name = name if len(name) <= LABEL else f"…{name[-LABEL + 1 :]}"
    return name.replace("$", r"\$")
