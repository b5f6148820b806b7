"""What a fine-tuning run logged, as curves, and those curves as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bertkit.diagnose.histories import SeedLog, read_seed_log, seed_folders
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
        UserError: a log is damaged. A last line without an end is what a crash cut off; it is left out.
    """
    logs = (folder / METRICS for folder in seed_folders(run).values())
    return [_curves(read_seed_log(path)) for path in logs if path.is_file()]


def _curves(log: SeedLog) -> Curves:
    return Curves(
        train=[(step.place, step.loss) for step in log.steps],
        dev=[(each.epoch, each.loss) for each in log.evaluations],
        scores=[(each.epoch, each.score) for each in log.evaluations],
        intervals=[(each.low, each.high) for each in log.evaluations],
    )


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
