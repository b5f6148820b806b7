"""What the numbers of a head mean and how far they are from what they should be: one table for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from bertkit.config.head import HeadConfig
from bertkit.data.packed import PackedBatch

IGNORED = -100
"""The target of a token that has no tag of its own, as in transformers."""


def _softmax_loss(logits_BC: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits_BC, labels_B, reduction="none")


def _sigmoid_loss(logits_B1: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
    logits_B = logits_B1.squeeze(1)
    return F.binary_cross_entropy_with_logits(logits_B, labels_B.to(logits_B.dtype), reduction="none")


def _squared_loss(logits_BC: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    values_BC = values.to(logits_BC.dtype).view_as(logits_BC)
    return F.mse_loss(logits_BC, values_BC, reduction="none").mean(1)


def _softmax_log_probabilities(logits_BC: torch.Tensor) -> torch.Tensor:
    return logits_BC.log_softmax(-1)


def _sigmoid_log_probabilities(logits_B1: torch.Tensor) -> torch.Tensor:
    return torch.cat([F.logsigmoid(-logits_B1), F.logsigmoid(logits_B1)], dim=1)


@dataclass(frozen=True)
class Output:
    """What a last layer on one vector a sequence says.

    Attributes:
        loss: of each sequence, [B].
        outputs: what it is read as: log-probabilities of the classes, or numbers, [B, C].
    """

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    outputs: Callable[[torch.Tensor], torch.Tensor]


OUTPUTS: dict[str, Output] = {
    "softmax": Output(_softmax_loss, _softmax_log_probabilities),
    "sigmoid": Output(_sigmoid_loss, _sigmoid_log_probabilities),
    "squared": Output(_squared_loss, lambda logits_BC: logits_BC),
}


def weighted_mean(losses_B: torch.Tensor, weights_B: torch.Tensor | None) -> torch.Tensor:
    """The mean, a scalar; with weights that of torch's `cross_entropy`, over the sum of the weights."""
    return losses_B.mean() if weights_B is None else (losses_B * weights_B).sum() / weights_B.sum()


@dataclass(frozen=True)
class Losses:
    """The losses of N targets, of which some may not count; an answer has two a row, its start and its end.

    Attributes:
        losses_NK: float32; anything where it does not count.
        counted_NK: whether it does, bool.
    """

    losses_NK: torch.Tensor
    counted_NK: torch.Tensor

    def mean(self) -> torch.Tensor:
        """The mean over columns of the mean of what counts in each; 0 for a column where nothing does."""
        sums_K = self.losses_NK.where(self.counted_NK, 0.0).sum(0)
        return (sums_K / self.counted_NK.sum(0).clamp(min=1)).mean()


Targets = Callable[[HeadConfig, torch.Tensor, torch.Tensor, PackedBatch], Losses]
"""From the head, its logits, the targets and the batch."""


def _all(losses_N: torch.Tensor) -> Losses:
    losses_N1 = losses_N[:, None]
    return Losses(losses_N1, torch.ones_like(losses_N1, dtype=torch.bool))


def _classes(head: HeadConfig, logits_BC: torch.Tensor, labels_B: torch.Tensor, batch: PackedBatch) -> Losses:
    return _all(OUTPUTS[head.loss].loss(logits_BC, labels_B))


def _label_sets(
    head: HeadConfig, logits_BC: torch.Tensor, sets_BC: torch.Tensor, batch: PackedBatch
) -> Losses:
    losses_BC = F.binary_cross_entropy_with_logits(logits_BC, sets_BC.to(logits_BC.dtype), reduction="none")
    return _all(losses_BC.mean(1))


def _numbers(head: HeadConfig, logits_BC: torch.Tensor, values: torch.Tensor, batch: PackedBatch) -> Losses:
    return _all(_squared_loss(logits_BC, values))


def _tags(head: HeadConfig, logits_TC: torch.Tensor, tags_T: torch.Tensor, batch: PackedBatch) -> Losses:
    losses_T = F.cross_entropy(logits_TC, tags_T, ignore_index=IGNORED, reduction="none")
    return Losses(losses_T[:, None], (tags_T != IGNORED)[:, None])


def _answers(
    head: HeadConfig, logits_T2: torch.Tensor, places_B2: torch.Tensor, batch: PackedBatch
) -> Losses:
    # Of pads transformers takes the logits too, as of places where an answer may be; here there are none.
    parts = torch.split(logits_T2, list(batch.lengths))
    logits_BS2 = pad_sequence(list(parts), batch_first=True, padding_value=-torch.inf)
    places_B2 = places_B2.clamp(min=0)
    inside_B2 = places_B2 < torch.tensor(batch.lengths, device=places_B2.device)[:, None]
    asked_B2 = places_B2.where(inside_B2, 0)
    logs_B2 = logits_BS2.log_softmax(1).gather(1, asked_B2[:, None]).squeeze(1)
    return Losses(-logs_B2, inside_B2)


def _choices(head: HeadConfig, logits_B1: torch.Tensor, best_N: torch.Tensor, batch: PackedBatch) -> Losses:
    return _all(F.cross_entropy(logits_B1.view(len(best_N), -1), best_N, reduction="none"))


TARGETS: dict[str, Targets] = {
    "classify": _classes,
    "multilabel": _label_sets,
    "regress": _numbers,
    "tag": _tags,
    "answer": _answers,
    "choose": _choices,
}
"""By the head's kind. The mean of each is the loss of transformers' class of that head."""
