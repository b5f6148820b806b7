"""What a fine-tuning run logged, as curves, and those curves as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bertkit.diagnose.histories import seed_folders
from bertkit.diagnose.logs import SeedLog, read_seed_log
from bertkit.diagnose.pictures import (
    DEV,
    MAJORITY,
    NGRAM,
    TRAIN,
    Points,
    draw_level,
    draw_line,
    mark_top,
    name_axes,
    picture,
    thinned,
)
from bertkit.runs.history import Health
from bertkit.runs.log import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


SIZE = (5.4, 3.9)


@dataclass(frozen=True)
class Curves:
    """One seed's log, over epochs. A loss that is no number is NaN.

    Attributes:
        seed: its number; None where the run has one seed only.
        train: (epoch, loss) of each logged step.
        rates: (epoch, learning rate) of each logged step.
        dev: (epoch, loss) of each evaluation.
        scores: (epoch, score) of each evaluation.
        intervals: (low, high) of each score.
        health: each look at the run.
        broke_at: the epoch of the step at which the model was first seen to give no numbers any more.
    """

    seed: int | None = None
    train: Points = field(default_factory=list)
    rates: Points = field(default_factory=list)
    dev: Points = field(default_factory=list)
    scores: Points = field(default_factory=list)
    intervals: Points = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    broke_at: float | None = None


def read_curves(run: Path) -> list[Curves]:
    """The curves of each seed of a run that has logged something.

    Raises:
        UserError: a log is damaged. A last line without an end is what a crash cut off; it is left out.
    """
    logs = {seed: folder / METRICS for seed, folder in seed_folders(run).items()}
    return [_curves(seed, read_seed_log(path)) for seed, path in logs.items() if path.is_file()]


def _curves(seed: int | None, log: SeedLog) -> Curves:
    return Curves(
        seed=seed,
        train=[(step.place, step.loss) for step in log.steps],
        rates=[(step.place, step.learning_rate) for step in log.steps if not math.isnan(step.learning_rate)],
        dev=[(each.epoch, each.loss) for each in log.evaluations],
        scores=[(each.epoch, each.score) for each in log.evaluations],
        intervals=[(each.low, each.high) for each in log.evaluations],
        health=log.health,
        broke_at=log.broke.place if log.broke else None,
    )


def draw_loss(seeds: Sequence[Curves], prior: float | None) -> str:
    """Loss of training and dev rows over epochs, the learning rate small below it, as SVG text.

    Args:
        seeds: one line each.
        prior: the loss of a model that knows the labels' shares and nothing else, in nats.
    """

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        rates = seeds[0].rates  # Those of every seed.
        if prior is not None:
            draw_level(axes, prior, MAJORITY)
        for curves in seeds:
            draw_line(axes, thinned(curves.train), TRAIN, _opacity(seeds))
            draw_line(axes, curves.dev, DEV, _opacity(seeds))
        axes.set_ylim(bottom=0)
        name_axes(axes, "" if rates else "epoch", "loss")
        if rates:
            draw_line(all_axes[1], thinned(rates), TRAIN)
            name_axes(all_axes[1], "epoch", "learning\nrate")
            mark_top(all_axes[1], rates)

    return picture("loss", draw, size=SIZE, heights=(3.6, 1.0) if seeds[0].rates else (1.0,))


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

    return picture(name, draw, size=SIZE)


def _opacity(seeds: Sequence[Curves]) -> float:
    return 1.0 if len(seeds) == 1 else 0.6
