"""What a run logged, as pictures: losses, scores, rates, gradients over its length; scores with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bertkit.diagnose.pictures import (
    DEV,
    LINE,
    MAJORITY,
    NGRAM,
    TEXT,
    TRAIN,
    Points,
    draw_level,
    draw_line,
    mark_top,
    name_axes,
    picture,
    thinned,
)
from bertkit.runs.history import Track

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (5.4, 3.9)
LABEL = 26  # Characters of a name that a picture has room for.


def draw_loss(tracks: Sequence[Track], floor: float | None) -> str:
    """Loss of training and dev rows over epochs, the learning rate small below it, as SVG text.

    Args:
        tracks: one line each.
        floor: the loss of a model that knows the labels' shares and nothing else, in nats.
    """
    # Those of every seed.
    rates = [(s.place, s.learning_rate) for s in tracks[0].steps if not math.isnan(s.learning_rate)]

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        if floor is not None:
            draw_level(axes, floor, MAJORITY)
        for track in tracks:
            draw_line(
                axes, thinned([(step.place, step.loss) for step in track.steps]), TRAIN, _opacity(tracks)
            )
            draw_line(axes, [(each.place, each.loss) for each in track.evaluations], DEV, _opacity(tracks))
        axes.set_ylim(bottom=0)
        name_axes(axes, "" if rates else "epoch", "loss")
        if rates:
            _draw_rates(all_axes[1], rates, "epoch")

    return picture("loss", draw, size=SIZE, heights=(3.6, 1.0) if rates else (1.0,))


def draw_score(tracks: Sequence[Track], name: str, levels: Mapping[str, float]) -> str:
    """The dev score over epochs, as SVG text; one seed has its interval. Baselines are levels, by colour."""

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        for colour, height in levels.items():
            draw_level(axes, height, colour)
        for track in tracks:
            scored = track.evaluations
            draw_line(axes, [(each.place, each.score) for each in scored], DEV, _opacity(tracks))
            if len(tracks) == 1 and scored:
                epochs = [each.place for each in scored]
                low, high = [each.low for each in scored], [each.high for each in scored]
                axes.fill_between(epochs, low, high, color=DEV, alpha=0.15, linewidth=0)
                axes.vlines(epochs, low, high, color=DEV, alpha=0.4, linewidth=1.2)
        name_axes(axes, "epoch", name)

    return picture(name, draw, size=SIZE)


def draw_masked_loss(tracks: Sequence[Track], floor: float | None, uniform: float | None) -> str:
    """MLM loss of training and held-out text over steps, the learning rate small below it, as SVG text.

    Args:
        tracks: one line each.
        floor: the loss of predicting token frequencies, in nats.
        uniform: that of uniform guessing.
    """

    def draw(all_axes: Sequence[Axes]) -> None:
        losses, rates = all_axes
        for level, colour in ((uniform, MAJORITY), (floor, NGRAM)):
            if level is not None:
                draw_level(losses, level, colour)
        for track in tracks:
            train: Points = [(step.step, step.loss) for step in track.steps]
            draw_line(losses, thinned(train), TRAIN, _opacity(tracks))
            draw_line(losses, heldout_points(track), DEV, _opacity(tracks))
        _draw_rates(rates, [(step.step, step.learning_rate) for step in tracks[0].steps], "step")
        name_axes(losses, "", "MLM loss, nats")

    return picture("losses", draw, size=SIZE, heights=(3.6, 1.0))


def draw_accuracy(tracks: Sequence[Track]) -> str:
    """Shares of held-out masked tokens and pairs that are right, over steps, as SVG text; one line each."""
    paired = any(pair_points(track) for track in tracks)

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import PercentFormatter

        axes = all_axes[0]
        for track in tracks:
            right: Points = [(each.step, each.accuracy) for each in track.evaluations]
            draw_line(axes, right, DEV, _opacity(tracks))
            draw_line(axes, pair_points(track), NGRAM, _opacity(tracks))
        axes.set_ylim(bottom=0, top=1 if paired else None)
        name_axes(axes, "step", "right")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

    return picture("accuracy", draw, size=SIZE)


def heldout_points(track: Track) -> Points:
    """Step and loss of each evaluation."""
    return [(each.step, each.loss) for each in track.evaluations]


def pair_points(track: Track) -> Points:
    """Step and share of pairs that are told right of each evaluation; empty without pairs."""
    return [
        (each.step, each.pair_accuracy) for each in track.evaluations if not math.isnan(each.pair_accuracy)
    ]


def gradient_lines(tracks: Sequence[Track], across: str) -> list[Points]:
    """The norm of the whole gradient, a line a track that has it, over "step" or "epoch"."""
    lines = []
    for track in tracks:
        points = [
            (float(step.step) if across == "step" else step.place, step.gradient_norm)
            for step in track.steps
            if step.gradient_norm > 0
        ]
        if points:
            lines.append(thinned(points))
    return lines


def draw_gradients(lines: Sequence[Points], across: str) -> str:
    """The lines of `gradient_lines`, as SVG text."""

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

        axes = all_axes[0]
        for points in lines:
            draw_line(axes, points, DEV, _opacity(lines))
        name_axes(axes, across, "gradient norm")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        # Ten times from bottom to top at least: what hardly changes is not to look as if it did.
        low, high = axes.get_ylim()
        middle = (low * high) ** 0.5
        axes.set_ylim(min(low, middle / 10**0.5), max(high, middle * 10**0.5))

    return picture("gradients", draw, size=SIZE)


def _draw_rates(axes: Axes, rates: Points, across: str) -> None:
    draw_line(axes, thinned(rates), TRAIN)
    name_axes(axes, across, "learning\nrate")
    mark_top(axes, rates)


def _opacity(lines: Sequence[object]) -> float:
    return 1.0 if len(lines) == 1 else 0.6


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
