"""What a run went through, as plain records: read from its folder, and judged by the checks of runs.

A figure that a log does not tell is NaN, and so is one that was no number; `broke` tells the two apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.restarts import Restart

NAN = math.nan
HEALTH = "health"
"""The event of the records of looks at a run while it trains."""
ENOUGH_STEPS = 30
"""Fewer say nothing of where a run goes."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """One look at a run, after update `step` (from 1). In its record, what was not measured is left out.

    Layers are named as in `health.layers`, from the bottom to the top: "embeddings", "layer 1" ... "layer L",
    "pooler" (where it is trained), "head". What is of inputs is measured in evaluation mode on a few dev
    rows, of a pretraining run on a little held-out text.

    Attributes:
        step: updates made.
        epoch: of a fine-tuning run: passes over the training rows.
        fraction: of a pretraining run: share of it that was done before this update.
        learning_rate: of this update.
        smoothed_loss: of training, nats: the mean over about the last twenty steps.
        prior_entropy: loss in nats of one who knows the shares of the labels and nothing of the inputs; of a
            pretraining run, who knows how often each piece occurs.
        heldout_gap: dev loss less training loss, nats, of the newest evaluation.
        gradient_norms: by layer, before clipping.
        update_ratios: by layer: length of this update over that of the weights; about 1e-3 is usual.
        cls_spread: how far the `[CLS]` vectors that leave the encoder differ between inputs, 0 to 1: see
            `health.layers.spread`. 0: the model can't tell inputs apart.
        probability_spread: how far predictions differ between inputs, 0 to 1: mean share of an
            input's probability that lies elsewhere than in the mean prediction; of a pretraining run, between
            masked pieces.
        majority_share: share of the inputs (masked pieces) that get the most frequent answer.
        attention_entropy: "layer 1" ... "layer L": entropy of the attention of all heads as a share of the
            most there can be: 1 looks everywhere alike, 0 at one piece alone.
        dead_units: share of units that no input moves: "layer 1" ... "layer L", feed-forward units whose
            activation is off for all pieces; "pooler", units within 0.01 of -1 or 1 for all inputs; "head",
            units of its hidden layer that are off for all inputs.
    """

    step: int
    epoch: float | None = None
    fraction: float | None = None
    learning_rate: float | None = None
    smoothed_loss: float | None = None
    prior_entropy: float | None = None
    heldout_gap: float | None = None
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    update_ratios: Mapping[str, float] = field(default_factory=dict)
    cls_spread: float | None = None
    probability_spread: float | None = None
    majority_share: float | None = None
    attention_entropy: Mapping[str, float] = field(default_factory=dict)
    dead_units: Mapping[str, float] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """What was measured, by name, with `step`."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != {}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Health:
        """Of a line of `metrics.jsonl`, whose other fields are passed over."""
        known = {spec.name for spec in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})


@dataclass(frozen=True, slots=True)
class Step:
    """One update. `place` is how far the run was after it: epochs done, or the share of a pretraining.

    `loss` is in nats, of pretraining that of the masked pieces.
    """

    step: int
    place: float
    loss: float
    learning_rate: float = NAN
    gradient_norm: float = NAN
    pieces_per_second: float = NAN


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The dev rows scored after some epochs; `train_loss` is the mean over the steps since the last one."""

    step: int
    epoch: float
    loss: float
    train_loss: float
    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out text scored. `pair_accuracy` is NaN without pairs, `pairs` how many there were, or NaN;
    `accuracy` is the share of masked pieces that were restored.
    """

    step: int
    loss: float
    pair_accuracy: float = NAN
    pairs: float = NAN
    accuracy: float = NAN


@dataclass(frozen=True)
class Outcome:
    """What came of one seed that is done; see `train.results.SeedResult`."""

    score: float
    status: str
    best_epoch: float
    seconds: float


@dataclass(frozen=True)
class SeedHistory:
    """One seed of a fine-tuning run. `broke` is the step at which its numbers were first seen to end. All
    but `restarts` is of the last attempt.
    """

    seed: int
    steps: Sequence[Step] = ()
    evaluations: Sequence[Evaluation] = ()
    health: Sequence[Health] = ()
    outcome: Outcome | None = None
    broke: int | None = None
    restarts: Sequence[Restart] = ()

    @property
    def last_step(self) -> int:
        """Updates made, as far as the log tells."""
        return self.steps[-1].step if self.steps else 0

    @property
    def epochs(self) -> float:
        """Epochs done, as far as the log tells."""
        return self.steps[-1].place if self.steps else 0.0


@dataclass(frozen=True)
class Scores:
    """What all seeds came to together, of a run that is done; a baseline is None where there is none."""

    metric: str
    score: float
    low: float
    high: float
    majority: float | None
    ngram: float | None
    rows: int


@dataclass(frozen=True)
class FinetuneHistory:
    """A fine-tuning run, done or not.

    Attributes:
        recipe: what it was to do, with what the restarts of all its seeds changed alike.
        seeds: those that have begun.
        scores: None while it is not done.
        prior: entropy of the training labels' shares, in nats: the loss of one who knows nothing else. None
            where the run does not tell.
        settings: what the restarts changed in `recipe`, by `section.key`.
    """

    recipe: Recipe
    seeds: Sequence[SeedHistory]
    scores: Scores | None = None
    prior: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fresh(self) -> bool:
        """Whether it began with fresh weights."""
        return self.recipe.model.fresh

    @property
    def train_loss(self) -> float:
        """Of the last epochs of all seeds, their mean; NaN where the logs do not tell it."""
        return mean([last_train_loss(seed.evaluations) for seed in self.seeds])

    def planned(self, seed: SeedHistory) -> int:
        """Updates that a seed was to make; 0 where nothing tells."""
        training = self.recipe.training
        if not seed.steps or not seed.epochs > 0:
            return training.steps
        whole = round(seed.last_step / seed.epochs * training.epochs)
        return min(whole, training.steps or whole)

    def share_done(self, seed: SeedHistory) -> float:
        """How much of its updates a seed has made, 0 to 1; 1 if it is done."""
        if seed.outcome is not None:
            return 1.0
        planned = self.planned(seed)
        return min(1.0, seed.last_step / planned) if planned else 0.0


@dataclass(frozen=True)
class PretrainHistory:
    """A pretraining run, done or not.

    Attributes:
        recipe: what it was to do, with what its restarts changed.
        steps: made.
        heldout: held-out text scored, the first time before the first step.
        health: measured while it trained.
        floors: losses in nats of knowing word frequencies ("unigram") and nothing ("uniform"), where known.
        through_at: the step by which the loss had left the plateau of word frequencies; None: it has not.
        finished: it came to its end.
        stopped: why it was stopped, or "".
        epochs: how often it went through its text, NaN where the run does not tell.
        long_from: the step from which sequences were long, None where they never were.
        seconds: wall time, NaN where the run does not tell.
        broke: the step at which the model was first seen to give no numbers any more.
        restarts: after collapses; all else is of the last attempt.
        settings: what they changed in `recipe`, by `section.key`.
    """

    recipe: PretrainRecipe
    steps: Sequence[Step] = ()
    heldout: Sequence[HeldOut] = ()
    health: Sequence[Health] = ()
    floors: Mapping[str, float] = field(default_factory=dict)
    through_at: int | None = None
    finished: bool = False
    stopped: str = ""
    epochs: float = NAN
    long_from: int | None = None
    seconds: float = NAN
    broke: int | None = None
    restarts: Sequence[Restart] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def last_step(self) -> int:
        """Updates made, as far as the log tells."""
        return self.steps[-1].step if self.steps else 0

    @property
    def broken(self) -> bool:
        """Whether the newest held-out loss is no number."""
        return bool(self.heldout) and not math.isfinite(self.heldout[-1].loss)

    @property
    def share_done(self) -> float:
        """How much of the run is done, 0 to 1; 1 if it is finished."""
        if self.finished:
            return 1.0
        if not self.steps:
            return 0.0
        place = self.steps[-1].place
        if math.isfinite(place):
            return min(1.0, max(0.0, place))
        planned = self.recipe.training.steps
        return min(1.0, self.last_step / planned) if planned else 0.0


def last_train_loss(evaluations: Sequence[Evaluation]) -> float:
    """Mean training loss of a seed's last epoch that was scored; NaN where its log does not tell it."""
    return evaluations[-1].train_loss if evaluations else NAN


def numbers(values: Sequence[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if math.isfinite(value)]


def mean(values: Sequence[float]) -> float:
    """Mean of those that are numbers; NaN without any."""
    found = numbers(values)
    return sum(found) / len(found) if found else NAN


def median(values: Sequence[float]) -> float:
    """Median of those that are numbers; NaN without any."""
    found = sorted(numbers(values))
    if not found:
        return NAN
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
