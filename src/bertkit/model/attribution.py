"""Which tokens moved a classifier from one answer to another: integrated gradients on their embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from bertkit.data.packed import PackedBatch
from bertkit.model.heads import Classifier

STEPS = (32, 64, 128, 256)
"""Points of the path, more of them where fewer leave a gap."""
TOLERANCE = 0.02
"""The gap that may stay, as a share of the whole difference, or of 1 where that is smaller."""
TOKENS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Attribution:
    """How much each token of one sequence pushed towards one class and away from another, in logits.

    Attributes:
        pushes: of each of S tokens, above 0 towards the class; their sum is `difference`, but for `gap`.
        difference: of the two classes' logits, at the sequence less at the baseline.
        baseline: the same without what the tokens say.
        gap: what the pushes leave unexplained of the difference.
        steps: points of the path that the gradients were taken at.
    """

    pushes: list[float]
    difference: float
    baseline: float
    gap: float
    steps: int

    @property
    def complete(self) -> bool:
        """Whether the pushes add up to the difference within `TOLERANCE`."""
        return abs(self.gap) <= TOLERANCE * max(1.0, abs(self.difference))


def explain(
    classifier: Classifier, sequence: PackedBatch, baseline_ids_T: torch.Tensor, towards: int, away: int
) -> Attribution:
    """Integrated gradients (Sundararajan et al. 2017) of logit `towards` less logit `away`.

    The path runs straight from the tokens' vectors of the baseline to those of the sequence, before
    positions, segments and norm join them. The points are those of Gauss and Legendre, and twice as many
    while the pushes do not add up (`STEPS`, `TOLERANCE`).

    Args:
        classifier: computed in float32 and without dropout; its training mode is as before afterwards.
        sequence: one, of S tokens.
        baseline_ids_T: the tokens to start from, [S]: usually `[PAD]` for what the text says, and the special
            tokens as they are.
        towards: the class that pushes are counted for.
        away: the class that they are counted against.
    """
    assert len(sequence.lengths) == 1, "one sequence at a time"
    training = classifier.training
    classifier.eval()
    try:
        score = _score(classifier, sequence, towards, away)
        table = classifier.encoder.embeddings.tokens.weight.detach()
        start_TH, end_TH = table[baseline_ids_T], table[sequence.ids_T]
        with torch.no_grad():
            ends = score(torch.stack([start_TH, end_TH])).tolist()
        for steps in STEPS:
            pushes = _integrate(score, start_TH, end_TH, steps)
            difference = ends[1] - ends[0]
            found = Attribution(pushes.tolist(), difference, ends[0], difference - float(pushes.sum()), steps)
            if found.complete:
                break
    finally:
        classifier.train(training)
    return found


def _score(
    classifier: Classifier, sequence: PackedBatch, towards: int, away: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The difference of the two logits [N] as a function of the tokens' vectors [N, S, H]."""

    def score(vectors_NTH: torch.Tensor) -> torch.Tensor:
        copies = len(vectors_NTH)
        batch = PackedBatch(
            ids_T=sequence.ids_T.repeat(copies),
            segments_T=sequence.segments_T.repeat(copies),
            positions_T=sequence.positions_T.repeat(copies),
            lengths=sequence.lengths * copies,
        )
        flat = vectors_NTH.flatten(0, 1)
        # What the table of tokens would answer is replaced.
        hook = classifier.encoder.embeddings.tokens.register_forward_hook(lambda *_: flat)
        try:
            logs_NC = classifier.outputs(classifier(batch), batch)
        finally:
            hook.remove()
        # What all classes have in common falls out: these are the logits' differences, of a sigmoid too.
        return logs_NC[:, towards] - logs_NC[:, away]

    return score


def _integrate(
    score: Callable[[torch.Tensor], torch.Tensor], start_TH: torch.Tensor, end_TH: torch.Tensor, steps: int
) -> torch.Tensor:
    """The mean gradient along the path, times its length, summed over each token's vector, [S]."""
    places, weights = (torch.from_numpy(each).float() for each in np.polynomial.legendre.leggauss(steps))
    total_TH = torch.zeros_like(start_TH)
    at_once = max(1, TOKENS_AT_ONCE // len(start_TH))
    for first in range(0, steps, at_once):
        part = slice(first, first + at_once)
        share_N11 = ((places[part] + 1) / 2)[:, None, None]
        path_NTH = (start_TH + share_N11 * (end_TH - start_TH)).requires_grad_()
        (gradients_NTH,) = torch.autograd.grad(score(path_NTH).sum(), path_NTH)
        total_TH += (gradients_NTH * (weights[part] / 2)[:, None, None]).sum(0)
    return ((end_TH - start_TH) * total_TH).sum(1)
