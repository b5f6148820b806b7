"""What a run's model makes of different inputs while it trains: whether it tells them apart at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bertkit.diagnose.page import figure, key, note
from bertkit.diagnose.pictures import DEV, MAJORITY, NGRAM, Points, draw_line, name_axes, picture
from bertkit.runs.history import Health

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST = 1e-8
"""What float32 can tell from nothing; what is less is drawn here."""


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
                floored = [(at, max(value, LEAST)) for at, value in points]
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
