"""The logs of runs, line by line: the records of what was trained, scored and looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from bertkit.runs.history import HEALTH, NAN, Evaluation, Health, HeldOut, Step
from bertkit.runs.log import BROKE
from bertkit.runs.records import Record, read_records

BY_LAYER = {"gradient_norms", "update_ratios", "attention_entropy", "dead_units"}


@dataclass
class SeedLog:
    """What one seed of a fine-tuning run has logged; see `PretrainLog`."""

    steps: list[Step] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    broke: Step | None = None


def read_seed_log(path: Path) -> SeedLog:
    """The log of a seed.

    Raises:
        UserError: a line is no record, lacks what every record has, or has a value of another type.
    """
    log = SeedLog()
    for record in read_records(path):
        event = record.text("event")
        if event == "train":
            log.steps.append(_step(record, "epoch", record.number("loss")))
        elif event == BROKE:
            log.broke = _step(record, "epoch", NAN)
        elif event == "evaluation":
            low, high = record.interval("interval")
            log.evaluations.append(
                Evaluation(
                    step=record.whole("step"),
                    epoch=record.number("epoch"),
                    loss=record.number("loss"),
                    train_loss=record.number("train_loss", NAN),
                    score=record.number("score"),
                    low=low,
                    high=high,
                )
            )
        elif event == HEALTH:
            log.health.append(_health(record))
    return log


@dataclass
class PretrainLog:
    """What a pretraining run has logged.

    Attributes:
        steps: made; the loss is that of the masked pieces.
        heldout: held-out text scored, the first time before the first step.
        health: looks at the run.
        floors: losses in nats of knowing word frequencies ("unigram") and nothing ("uniform"); {} before they
            are known.
        broke: the step at which the model was first seen to give no numbers any more.
        pieces: read.
        gemm_shares: of each step, its share of the rate of large matrix products.
    """

    steps: list[Step] = field(default_factory=list)
    heldout: list[HeldOut] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    broke: Step | None = None
    pieces: int = 0
    gemm_shares: list[float] = field(default_factory=list)


def read_pretrain_log(path: Path) -> PretrainLog:
    """The log of a pretraining run.

    Raises:
        UserError: a line is no record, lacks what every record has, or has a value of another type.
    """
    log = PretrainLog()
    for record in read_records(path):
        event = record.text("event")
        if event == "train":
            # Without a masked piece a step has no MLM loss.
            log.steps.append(_step(record, "fraction", record.number("mlm_loss", record.number("loss"))))
            log.pieces += record.whole("pieces") if record.has("pieces") else 0
            log.gemm_shares.append(record.number("gemm_share", 0.0))
        elif event == BROKE:
            log.broke = _step(record, "fraction", NAN)
        elif event == "evaluation":
            log.heldout.append(
                HeldOut(
                    step=record.whole("step"),
                    loss=record.number("mlm_loss"),
                    pair_accuracy=record.number("pair_accuracy", NAN),
                    pairs=record.number("pairs", NAN),
                    accuracy=record.number("mlm_accuracy"),
                )
            )
        elif event == "floors":
            log.floors = {name: record.number(name) for name in ("unigram", "uniform")}
        elif event == HEALTH:
            log.health.append(_health(record))
    return log


def _step(record: Record, place: str, loss: float) -> Step:
    return Step(
        step=record.whole("step"),
        place=record.number(place, NAN),
        loss=loss,
        learning_rate=record.number("learning_rate", NAN),
        gradient_norm=record.number("gradient_norm", NAN),
        pieces_per_second=record.number("pieces_per_second", NAN),
    )


def _health(record: Record) -> Health:
    """As `Health.from_record`, with every type checked."""
    values: dict[str, Any] = {"step": record.whole("step")}
    for name in (spec.name for spec in fields(Health) if spec.name != "step"):
        if name in BY_LAYER:
            values[name] = record.figures(name)
        elif record.has(name):
            values[name] = record.number(name)
    return Health(**values)
