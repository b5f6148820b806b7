"""The parts of a loss of pretraining, and the names of their figures in logs and results."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """One part of a loss, by the names of its figures: mean loss in nats, share of right answers, targets.

    `count` is empty where a log need not tell how many targets there were.
    """

    loss: str
    accuracy: str
    count: str = ""


MASKED = Term("mlm_loss", "mlm_accuracy")
PAIRS = Term("pair_loss", "pair_accuracy", "pairs")
TERMS = (MASKED, PAIRS)
"""In the order of a log; a new one has a row here, and a line in `model.terms.pretraining_loss` of what it is
made of."""
