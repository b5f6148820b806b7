"""What was seen inside a model while it trained: where the signal arrives, as heat maps of its layers, and
whether it tells different inputs apart at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from bertkit.diagnose.page import figure, key, key_shades, note
from bertkit.diagnose.pictures import DEV, MAJORITY, NGRAM, SHADES, Points, draw_line, name_axes, picture
from bertkit.runs.history import Health

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 48  # More are too narrow to be seen.
FIRST = 5
"""Looks that keep a column each: what goes wrong within them is over when the others begin."""
TICKS = 6
LEAST = 1e-12
LEAST_SPREAD = 1e-8
"""What float32 can tell from nothing; what is less is drawn here."""
Layers = Mapping[str, float]


@dataclass(frozen=True)
class HeatMap:
    """How a measure of layers is shown.

    Attributes:
        heading: of the picture.
        remark: what is measured.
        powers: whether shades go by powers of ten between what was seen; else they are shares, 0 to 1.
    """

    heading: str
    remark: str
    powers: bool = True


HEAT_MAPS: Mapping[str, HeatMap] = MappingProxyType(
    {
        "gradient_norms": HeatMap(
            "Gradients by layer, from the bottom to the top", "Gradient norm before clipping."
        ),
        "update_ratios": HeatMap(
            "Updates by layer", "Length of an update over that of the weights; about 0.001 is usual."
        ),
        "attention_entropy": HeatMap(
            "Attention by layer",
            "Its entropy, of the most there can be: at 1 it looks everywhere alike, at 0 at one token alone.",
            powers=False,
        ),
        "dead_units": HeatMap("Dead units by layer", "Share of units that no input moves.", powers=False),
    }
)
"""By the field of `Health` that they show."""


def heat_map(health: Sequence[Health], measure: str, remark: str = "") -> str:
    """The section with the picture; nothing without at least two looks at what is to be seen.

    Args:
        health: the looks at the run, oldest first.
        measure: a row of `HEAT_MAPS`.
        remark: more to say of it.
    """
    kind = HEAT_MAPS[measure]
    looks = [(look.step, layers) for look in health if (layers := getattr(look, measure))]
    if len(looks) < 2:
        return ""
    columns = _columns(looks, kind.powers)
    values = [value for _, column in columns for value in column.values() if not math.isnan(value)]
    seen = [value for value in values if value > 2 * LEAST] if kind.powers else values
    if not seen:
        return ""
    low, high = (min(seen), max(seen)) if kind.powers else (0.0, 1.0)
    keys = [key_shades(f"{low:.2g}", f"{high:.2g}"), note(f"{kind.remark}{remark}")]
    return figure(kind.heading, _draw(measure, columns, low, high), keys)


def _columns(looks: Sequence[tuple[int, Layers]], powers: bool) -> list[tuple[int, dict[str, float]]]:
    """At most `COLUMNS` of them: the step of its first look, and each layer's mean."""
    early, later = looks[:FIRST], looks[FIRST:]
    size = math.ceil(len(later) / (COLUMNS - FIRST)) or 1
    parts = [[look] for look in early]
    parts += [list(later[begin : begin + size]) for begin in range(0, len(later), size)]
    return [
        (
            part[0][0],
            {
                layer: _mean([layers.get(layer, math.nan) for _, layers in part], powers)
                for layer in looks[0][1]
            },
        )
        for part in parts
    ]


def _mean(values: Sequence[float], powers: bool) -> float:
    """The mean, where shades go by powers of ten the geometric one; NaN if one is no number."""
    if not powers:
        return sum(values) / len(values)
    return math.exp(sum(math.log(max(value, LEAST)) for value in values) / len(values))


def _draw(name: str, columns: Sequence[tuple[int, Layers]], low: float, high: float) -> str:
    """A cell for each layer (the bottom one below) and column, darker the higher the value, as SVG text.

    Columns are equally wide, though the first looks are nearer to one another. A value that is no number has
    no cell.
    """
    shades = list(SHADES)
    layers = list(columns[0][1])
    powers = HEAT_MAPS[name].powers

    def shade(value: float) -> str:
        share = (value - low) / (high - low or 1.0)
        if powers:
            share = math.log(max(value, low) / low) / (math.log(high / low) or 1.0)
        return shades[round(min(max(share, 0.0), 1.0) * (len(shades) - 1))]

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        for place, layer in enumerate(layers):
            cells = [(across, column[layer]) for across, (_, column) in enumerate(columns)]
            known = [(across, value) for across, value in cells if not math.isnan(value)]
            axes.broken_barh(
                [(across, 1) for across, _ in known],
                (place - 0.46, 0.92),
                facecolors=[shade(value) for _, value in known],
                linewidth=0,
            )
        shown = range(0, len(columns), math.ceil(len(columns) / TICKS))
        axes.set_xticks([across + 0.5 for across in shown], [f"{columns[across][0]:,}" for across in shown])
        axes.set_yticks(range(len(layers)), layers)
        axes.set_xlim(0, len(columns))
        axes.set_ylim(-0.5, len(layers) - 0.5)
        axes.set_xlabel("step")
        axes.grid(visible=False)

    return picture(name, draw, size=(5.4, 0.9 + 0.28 * max(len(layers), 4)))


def spreads(tracks: Sequence[Sequence[Health]], place: Callable[[Health], float | None], across: str) -> str:
    """The section with the picture; nothing where no run was looked at twice for its inputs.

    Args:
        tracks: the looks at each seed, or at the only run.
        place: of a look, what runs from left to right.
        across: its name.
    """
    cls, predictions, majority = (
        [_points(track, place, measure) for track in tracks]
        for measure in ("cls_spread", "probability_spread", "majority_share")
    )
    lines = ((cls, DEV), (predictions, NGRAM))
    if not any(len(points) > 1 for kind, _ in lines for points in kind):
        return ""
    opacity = 1.0 if len(tracks) == 1 else 0.6

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter, StrMethodFormatter

        above, below = all_axes
        for kind, colour in lines:
            for points in kind:
                floored = [(at, max(value, LEAST_SPREAD)) for at, value in points]
                draw_line(above, floored, colour, opacity)
        for points in majority:
            draw_line(below, points, MAJORITY, opacity)
        name_axes(above, "", "how far apart")
        above.set_yscale("log")
        above.set_ylim(top=1)
        above.yaxis.set_major_locator(LogLocator(numticks=6))
        above.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        above.yaxis.set_minor_locator(NullLocator())
        name_axes(below, across, "one\nanswer")
        below.set_ylim(0, 1.05)
        below.set_yticks([0, 1])
        below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

    keys = [
        key("dev", "[CLS] vectors"),
        key("ngram", "predictions"),
        key("majority", "inputs that get the most frequent answer"),
    ]
    if len(tracks) > 1:
        keys.append(note(f"One line a seed ({len(tracks)})."))
    svg = picture("spreads", draw, size=(5.4, 3.9), heights=(3.6, 1.0))
    return figure("How far inputs differ inside the model", svg, keys)


def _points(track: Sequence[Health], place: Callable[[Health], float | None], measure: str) -> Points:
    """(place, value) of the looks that have both as numbers."""
    found = [(place(look), getattr(look, measure)) for look in track]
    return [
        (at, value) for at, value in found if at is not None and value is not None and not math.isnan(value)
    ]
