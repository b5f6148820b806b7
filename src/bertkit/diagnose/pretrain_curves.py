"""What a pretraining run logged, as curves, and those curves as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bertkit.diagnose.logs import read_pretrain_log
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
from bertkit.runs.history import Health, mean
from bertkit.runs.log import METRICS
from bertkit.runs.records import read_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class PretrainCurves:
    """A pretraining run's log, over steps. A figure that is no number is NaN.

    Attributes:
        train: (step, MLM loss in nats) of each step.
        rates: (step, learning rate) of each step.
        heldout: (step, MLM loss) of each evaluation.
        accuracy: (step, share of masked pieces that are restored) of each evaluation.
        pairs: (step, share of pairs that are told right) of each evaluation; empty without pairs.
        health: each look at the run.
        floors: losses in nats of knowing word frequencies ("unigram") and nothing ("uniform"), as logged.
        steps: made.
        pieces: read.
        gemm_share: mean share of the rate of large matrix products, 0 without a step.
        broke_at: the step at which the model was first seen to give no numbers any more.
    """

    train: Points = field(default_factory=list)
    rates: Points = field(default_factory=list)
    heldout: Points = field(default_factory=list)
    accuracy: Points = field(default_factory=list)
    pairs: Points = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    pieces: int = 0
    gemm_share: float = 0.0
    broke_at: int | None = None


def is_pretraining(run: Path) -> bool:
    """Whether the log is one of a pretraining run: its records have an MLM loss."""
    path = run / METRICS
    return path.is_file() and any("mlm_loss" in record.values for record in read_records(path))


def read_pretraining(run: Path) -> PretrainCurves:
    """The curves of a run; empty ones where it has no log.

    Raises:
        UserError: the log is damaged.
    """
    if not (run / METRICS).is_file():
        return PretrainCurves()
    log = read_pretrain_log(run / METRICS)
    return PretrainCurves(
        train=[(step.step, step.loss) for step in log.steps],
        rates=[(step.step, step.learning_rate) for step in log.steps],
        heldout=[(each.step, each.loss) for each in log.heldout],
        accuracy=[(each.step, each.accuracy) for each in log.heldout],
        pairs=[(each.step, each.pair_accuracy) for each in log.heldout if not math.isnan(each.pair_accuracy)],
        health=log.health,
        floors=log.floors,
        steps=log.steps[-1].step if log.steps else 0,
        pieces=log.pieces,
        gemm_share=mean(log.gemm_shares) if log.gemm_shares else 0.0,
        broke_at=log.broke.step if log.broke else None,
    )


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
