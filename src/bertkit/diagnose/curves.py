"""What a run logged, as curves, and those curves as pictures."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.errors import UserError
from bertkit.train.runlog import METRICS

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


@dataclass(frozen=True)
class Curves:
    """One seed's log, over epochs. A loss that is no number is NaN.

    Attributes:
        train: (epoch, loss) of each logged step.
        dev: (epoch, loss) of each evaluation.
        scores: (epoch, score) of each evaluation.
        intervals: (low, high) of each score.
    """

    train: Points = field(default_factory=list)
    dev: Points = field(default_factory=list)
    scores: Points = field(default_factory=list)
    intervals: Points = field(default_factory=list)

    @property
    def broke_at(self) -> float | None:
        """The epoch of the first training loss that is no number."""
        return next((epoch for epoch, loss in self.train if math.isnan(loss)), None)


def read_curves(run: Path) -> list[Curves]:
    """The curves of each seed of a run that has logged something.

    Raises:
        UserError: a line of a log is not JSON. A last line without an end is what a crash cut off; it is
            left out.
    """
    return [_read(path) for path in (run / METRICS, *sorted(run.glob(f"seed-*/{METRICS}"))) if path.is_file()]


def _read(path: Path) -> Curves:
    curves = Curves()
    for record in _records(path):
        point = (float(record["epoch"]), _number(record["loss"]))
        if record["event"] == "train":
            curves.train.append(point)
        elif record["event"] == "evaluation":
            curves.dev.append(point)
            curves.scores.append((point[0], _number(record["score"])))
            curves.intervals.append((_number(record["interval"][0]), _number(record["interval"][1])))
    return curves


def _records(path: Path) -> Iterator[dict[str, Any]]:
    *lines, _cut_off = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number} is not JSON ({error.msg}); the log is damaged.") from None


def _number(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.nan


def draw_loss(seeds: Sequence[Curves], prior: float | None) -> str:
    """Loss of training and dev rows over epochs, as SVG text.

    Args:
        seeds: one line each.
        prior: the loss of a model that knows the labels' shares and nothing else, in nats.
    """

    def draw(axes: Axes) -> None:
        if prior is not None:
            axes.axhline(prior, color=MAJORITY, linestyle="--", linewidth=1.2)
        for curves in seeds:
            _line(axes, _thinned(curves.train), TRAIN, len(seeds))
            _line(axes, curves.dev, DEV, len(seeds))
        axes.set_ylim(bottom=0)

    return _picture("loss", draw)


def draw_score(seeds: Sequence[Curves], name: str, baselines: dict[str, float]) -> str:
    """The dev score over epochs beside the baselines' scores, as SVG text; one seed has its interval."""

    def draw(axes: Axes) -> None:
        for baseline, colour in (("majority", MAJORITY), ("ngram", NGRAM)):
            if baseline in baselines:
                axes.axhline(baselines[baseline], color=colour, linestyle="--", linewidth=1.2)
        for curves in seeds:
            _line(axes, curves.scores, DEV, len(seeds))
            if len(seeds) == 1 and curves.scores:
                epochs = [epoch for epoch, _ in curves.scores]
                low, high = zip(*curves.intervals, strict=True)
                axes.fill_between(epochs, low, high, color=DEV, alpha=0.15, linewidth=0)
                axes.vlines(epochs, low, high, color=DEV, alpha=0.4, linewidth=1.2)

    return _picture(name, draw)


def _line(axes: Axes, points: Points, colour: str, seeds: int) -> None:
    epochs, values = zip(*points, strict=True) if points else ((), ())
    axes.plot(
        epochs, values, color=colour, alpha=1 if seeds == 1 else 0.6, marker="o" if len(points) < 30 else ""
    )


def _thinned(points: Points) -> Points:
    """At most `POINTS` points: each the mean of its share of the given ones that are numbers."""
    size = math.ceil(len(points) / POINTS) or 1
    thinned = []
    for begin in range(0, len(points), size):
        part = points[begin : begin + size]
        losses = [loss for _, loss in part if not math.isnan(loss)]
        epoch = sum(epoch for epoch, _ in part) / len(part)
        thinned.append((epoch, sum(losses) / len(losses) if losses else math.nan))
    return thinned


def _picture(name: str, draw: Callable[[Axes], None]) -> str:
    """What `draw` puts on axes over epochs, as an `<svg>` element that takes its colours from the page.

    `name` begins the names inside it, so that they are the same for the same run, and another picture's
    are others.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(5.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_xlim(left=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    # An XML file's head and its groups' names are nothing to a page, which has other pictures too.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg[svg.index("<svg") :])
    for stand_in, colour in COLOURS.items():
        svg = svg.replace(stand_in, colour)
    return svg
