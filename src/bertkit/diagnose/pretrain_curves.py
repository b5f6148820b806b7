"""What a pretraining run logged, as curves, and those curves as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bertkit.diagnose.pictures import (
    DEV,
    MAJORITY,
    NGRAM,
    TRAIN,
    Looks,
    Points,
    draw_level,
    draw_line,
    mark_top,
    name_axes,
    picture,
    thinned,
)
from bertkit.diagnose.records import read_records
from bertkit.health.watch import HEALTH
from bertkit.train.runlog import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass
class PretrainCurves:
    """A pretraining run's log, over steps. A figure that is no number is NaN.

    Attributes:
        train: (step, MLM loss in nats) of each step.
        rates: (step, learning rate) of each step.
        heldout: (step, MLM loss) of each evaluation.
        accuracy: (step, share of masked pieces that are restored) of each evaluation.
        pairs: (step, share of pairs that are told right) of each evaluation; empty without pairs.
        gradients: (step, norm of each layer's gradient) of each look at the run.
        floors: losses in nats of knowing word frequencies ("unigram") and nothing ("uniform"), as logged.
        steps: made.
        pieces: read.
        gemm_share: mean share of the rate of large matrix products, 0 without a step.
    """

    train: Points = field(default_factory=list)
    rates: Points = field(default_factory=list)
    heldout: Points = field(default_factory=list)
    accuracy: Points = field(default_factory=list)
    pairs: Points = field(default_factory=list)
    gradients: Looks = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    pieces: int = 0
    gemm_share: float = 0.0

    @property
    def broke_at(self) -> int | None:
        """The first step whose loss is no number."""
        return next((int(step) for step, loss in self.train if math.isnan(loss)), None)


def is_pretraining(run: Path) -> bool:
    """Whether the log is one of a pretraining run: its records have an MLM loss."""
    path = run / METRICS
    return path.is_file() and any("mlm_loss" in record.values for record in read_records(path))


def read_pretraining(run: Path) -> PretrainCurves:
    """The curves of a run; empty ones where it has no log.

    Raises:
        UserError: the log is damaged.
    """
    curves = PretrainCurves()
    if not (run / METRICS).is_file():
        return curves
    shares = 0.0
    for record in read_records(run / METRICS):
        event, step = record.text("event"), record.whole("step")
        if event == "train":
            # Without a masked piece a step has no MLM loss.
            curves.train.append((step, record.number("mlm_loss", record.number("loss"))))
            curves.rates.append((step, record.number("learning_rate", math.nan)))
            curves.steps = step
            curves.pieces += record.whole("pieces")
            shares += record.number("gemm_share", 0.0)
        elif event == "evaluation":
            curves.heldout.append((step, record.number("mlm_loss")))
            curves.accuracy.append((step, record.number("mlm_accuracy")))
            if "pair_accuracy" in record.values:
                curves.pairs.append((step, record.number("pair_accuracy")))
        elif event == HEALTH and record.has("gradient_norms"):
            curves.gradients.append((step, record.figures("gradient_norms")))
        elif event == "floors":
            curves.floors = {name: record.number(name) for name in ("unigram", "uniform")}
    curves.gemm_share = shares / len(curves.train) if curves.train else 0.0
    return curves


def draw_losses(curves: PretrainCurves, floors: dict[str, float]) -> str:
    """MLM loss of training and held-out text over steps, the learning rate small below it, as SVG text."""

    def draw(all_axes: Sequence[Axes]) -> None:
        losses, rates = all_axes
        for name, colour in (("uniform", MAJORITY), ("unigram", NGRAM)):
            if name in floors:
                draw_level(losses, floors[name], colour)
        draw_line(losses, thinned(curves.train), TRAIN)
        draw_line(losses, curves.heldout, DEV)
        draw_line(rates, thinned(curves.rates), TRAIN)
        name_axes(losses, "", "MLM loss, nats")
        name_axes(rates, "step", "learning\nrate")
        mark_top(rates, curves.rates)

    return picture("losses", draw, size=(5.4, 3.9), heights=(3.6, 1.0))


def draw_accuracy(curves: PretrainCurves) -> str:
    """Shares of held-out masked pieces and pairs that are right, over steps, as SVG text."""

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import PercentFormatter

        axes = all_axes[0]
        draw_line(axes, curves.accuracy, DEV)
        draw_line(axes, curves.pairs, NGRAM)
        axes.set_ylim(bottom=0, top=1 if curves.pairs else None)
        name_axes(axes, "step", "right")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))

    return picture("accuracy", draw, size=(5.4, 3.9))
