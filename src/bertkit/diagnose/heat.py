"""Gradient norms by layer over time, as a heat map: where the signal of learning arrives, and when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bertkit.diagnose.page import figure, key_shades, note
from bertkit.diagnose.pictures import SHADES, Looks, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 48  # More are too narrow to be seen.
LEAST = 1e-12


def heat_map(looks: Looks, across: str, remark: str = "") -> str:
    """The section with the picture; nothing without at least two looks."""
    if len(looks) < 2:
        return ""
    columns = _columns(looks)
    norms = [norm for _, _, column in columns for norm in column.values() if norm > 2 * LEAST]
    if not norms:
        return ""
    low, high = min(norms), max(norms)
    keys = [key_shades(f"{low:.2g}", f"{high:.2g}"), note(f"Norm of the gradient before clipping.{remark}")]
    svg = draw_heat(columns, across, low, high)
    return figure("Gradients by layer, from the bottom to the top", svg, keys)


Column = tuple[float, float, dict[str, float]]
"""Where it begins and ends, and each layer's geometric mean norm."""


def _columns(looks: Looks) -> list[Column]:
    """At most `COLUMNS` of them, each from its first look to the first of the next."""
    size = math.ceil(len(looks) / COLUMNS)
    parts = [looks[begin : begin + size] for begin in range(0, len(looks), size)]
    begins = [part[0][0] for part in parts]
    ends = [*begins[1:], looks[-1][0] + (looks[-1][0] - looks[-2][0])]
    return [
        (
            begin,
            end,
            {layer: _mean([norms.get(layer, math.nan) for _, norms in part]) for layer in looks[0][1]},
        )
        for begin, end, part in zip(begins, ends, parts, strict=True)
    ]


def _mean(norms: Sequence[float]) -> float:
    """The geometric mean, as the shades go by powers of ten; NaN if one is no number."""
    return math.exp(sum(math.log(max(norm, LEAST)) for norm in norms) / len(norms))


def draw_heat(columns: Sequence[Column], across: str, low: float, high: float) -> str:
    """A cell for each layer (the bottom one below) and column, darker the longer the gradient, as SVG text.

    A norm that is no number has no cell.
    """
    shades = list(SHADES)
    span = math.log(high / low) or 1.0
    layers = list(columns[0][2])

    def shade(norm: float) -> str:
        share = (math.log(max(norm, low)) - math.log(low)) / span
        return shades[round(share * (len(shades) - 1))]

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import MaxNLocator, StrMethodFormatter

        axes = all_axes[0]
        for place, layer in enumerate(layers):
            cells = [(begin, end - begin, column[layer]) for begin, end, column in columns]
            known = [cell for cell in cells if not math.isnan(cell[2])]
            axes.broken_barh(
                [(begin, width) for begin, width, _ in known],
                (place - 0.46, 0.92),
                facecolors=[shade(norm) for _, _, norm in known],
                linewidth=0,
            )
        axes.set_yticks(range(len(layers)), layers)
        axes.set_xlim(columns[0][0], columns[-1][1])
        axes.set_ylim(-0.5, len(layers) - 0.5)
        axes.set_xlabel(across)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.grid(visible=False)

    return picture("gradients", draw, size=(5.4, 0.9 + 0.28 * max(len(layers), 4)))
