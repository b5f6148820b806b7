"""The parts of a loss: what they add up to over micro-batches and processes.

A part is a head with targets, of which each counts alike: the loss of a step is the sum, over its terms, of
the mean over the term's targets in the whole step, whichever process computes them (Devlin et al. 2018,
appendix A.2, of masked tokens and pairs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F

from bertkit.config.terms import MASKED, PAIRS, TERMS, Term
from bertkit.model.pretraining import Pretrainer, PretrainingBatch


class Sums:
    """What the terms of some batches add up to, of which the figures of a log are made.

    Args:
        peak: operations a second of large matrix products, of all processes together; 0: not of interest.

    Attributes:
        flops: operations of the batches.
        shares: what else there is to log of a step, the same in all processes.
    """

    def __init__(self, peak: float = 0.0) -> None:
        self._peak = peak
        self.shares: Mapping[str, float] = {}
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.flops = 0.0
        self._terms = {term: [0.0, 0.0, 0.0] for term in TERMS}

    def cross_entropy(self, term: Term, logits_NC: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
        """The sum of the targets' losses, a scalar, which is added up under `term`."""
        logits_NC = logits_NC.float()
        loss = F.cross_entropy(logits_NC, targets_N, reduction="sum")
        right = float((logits_NC.detach().argmax(1) == targets_N).sum())
        for number, value in enumerate((loss.item(), right, len(targets_N))):
            self._terms[term][number] += value
        return loss

    def add_up(self, add: Callable[[torch.Tensor], None]) -> None:
        """Sum over all processes, in place; `add` does so with a tensor."""
        numbers = [self.flops, *(value for sums in self._terms.values() for value in sums)]
        tensor = torch.tensor(numbers, dtype=torch.float64)
        add(tensor)
        self.flops, *rest = tensor.tolist()
        self._terms = {term: rest[3 * i : 3 * i + 3] for i, term in enumerate(TERMS)}

    def figures(self) -> dict[str, float]:
        """Of each term that had targets: mean loss in nats and accuracy."""
        found = {}
        for term, (loss, right, targets) in self._terms.items():
            if targets:
                found[term.loss] = loss / targets
                found[term.accuracy] = right / targets
                if term.count:
                    found[term.count] = targets
        return found

    def of_step(self, tokens: int, seconds: float) -> dict[str, float]:
        """What a log tells of a step beside its loss; nothing where no peak is known to measure it by."""
        if not self._peak:
            return {}
        speed = {"tokens": tokens, "gemm_share": self.flops / seconds / self._peak}
        return {**speed, **self.figures(), **self.shares}


def pretraining_loss(
    model: Pretrainer, batch: PretrainingBatch, sums: Sums, counts: Mapping[Term, int] | None = None
) -> torch.Tensor:
    """The batch's share of the loss of a step that has so many targets of each term; `sums` go on.

    Args:
        model: an encoder with the heads of pretraining.
        batch: its sequences.
        sums: of the step so far.
        counts: targets of the whole step; None: the batch is one.
    """
    logits_MV, pairs_B2 = model(batch)
    parts = {MASKED: sums.cross_entropy(MASKED, logits_MV, batch.targets_M)}
    own = {MASKED: len(batch.targets_M)}
    if pairs_B2 is not None and batch.pairs_B is not None:
        parts[PAIRS] = sums.cross_entropy(PAIRS, pairs_B2, batch.pairs_B)
        own[PAIRS] = len(batch.pairs_B)
    loss, *others = (part / max(1, (counts or own)[term]) for term, part in parts.items())
    for other in others:
        loss = loss + other
    return loss
