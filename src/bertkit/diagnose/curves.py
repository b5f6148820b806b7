"""What a fine-tuning run logged, as curves, and those curves as pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.diagnose.pictures import (
    DEV,
    MAJORITY,
    NGRAM,
    TRAIN,
    Points,
    draw_level,
    draw_line,
    name_axes,
    picture,
    thinned,
)
from bertkit.errors import UserError
from bertkit.train.runlog import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    for record in read_records(path):
        if record["event"] == "train":
            curves.train.append((float(record["epoch"]), number(record["loss"])))
        elif record["event"] == "evaluation":
            epoch = float(record["epoch"])
            curves.dev.append((epoch, number(record["loss"])))
            curves.scores.append((epoch, number(record["score"])))
            curves.intervals.append((number(record["interval"][0]), number(record["interval"][1])))
    return curves


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log, one by one.

    Raises:
        UserError: a line is not JSON. A last line without an end is what a crash cut off; it is left out.
    """
    *lines, _cut_off = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number} is not JSON ({error.msg}); the log is damaged.") from None


def number(value: float | None) -> float:
    """What a log says of a figure; NaN where it was no number."""
    return value if value is not None and math.isfinite(value) else math.nan


def draw_loss(seeds: Sequence[Curves], prior: float | None) -> str:
    """Loss of training and dev rows over epochs, as SVG text.

    Args:
        seeds: one line each.
        prior: the loss of a model that knows the labels' shares and nothing else, in nats.
    """

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        if prior is not None:
            draw_level(axes, prior, MAJORITY)
        for curves in seeds:
            draw_line(axes, thinned(curves.train), TRAIN, _opacity(seeds))
            draw_line(axes, curves.dev, DEV, _opacity(seeds))
        axes.set_ylim(bottom=0)
        name_axes(axes, "epoch", "loss")

    return picture("loss", draw)


def draw_score(seeds: Sequence[Curves], name: str, baselines: dict[str, float]) -> str:
    """The dev score over epochs beside the baselines' scores, as SVG text; one seed has its interval."""

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        for baseline, colour in (("majority", MAJORITY), ("ngram", NGRAM)):
            if baseline in baselines:
                draw_level(axes, baselines[baseline], colour)
        for curves in seeds:
            draw_line(axes, curves.scores, DEV, _opacity(seeds))
            if len(seeds) == 1 and curves.scores:
                epochs = [epoch for epoch, _ in curves.scores]
                low, high = zip(*curves.intervals, strict=True)
                axes.fill_between(epochs, low, high, color=DEV, alpha=0.15, linewidth=0)
                axes.vlines(epochs, low, high, color=DEV, alpha=0.4, linewidth=1.2)
        name_axes(axes, "epoch", name)

    return picture(name, draw)


def _opacity(seeds: Sequence[Curves]) -> float:
    return 1.0 if len(seeds) == 1 else 0.6
