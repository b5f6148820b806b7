"""What is seen of a run while it trains: the records of event "health" in `metrics.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

HEALTH = "health"
"""The event of these records."""


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
