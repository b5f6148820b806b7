"""What the numbers of a head's last layer mean and how far they are from what they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from bertkit.config.head import HeadConfig, HeadKind
from bertkit.data.packed import FeatureBatch, PackedBatch
from bertkit.tasks.encoded import IGNORED

Batch = PackedBatch | FeatureBatch


@dataclass(frozen=True)
class Losses:
    """The losses of N targets, of which some may not count; an answer has two a row, its start and its end.

    Attributes:
        losses_NK: float32; anything where it does not count.
        counted_NK: whether it does, bool.
    """

    losses_NK: torch.Tensor
    counted_NK: torch.Tensor

    def mean(self, weights_N: torch.Tensor | None = None) -> torch.Tensor:
        """The mean over columns of the mean of what counts in each; 0 for a column where nothing does.

        Args:
            weights_N: of each target, as torch's `cross_entropy` has them: the mean is over their sum.
        """
        weights_NK = self.counted_NK.to(self.losses_NK.dtype)
        if weights_N is not None:
            weights_NK = weights_NK * weights_N[:, None]
        sums_K = (self.losses_NK.where(self.counted_NK, 0.0) * weights_NK).sum(0)
        total_K = weights_NK.sum(0)
        return (sums_K / total_K.where(total_K > 0, 1.0)).mean()


@dataclass(frozen=True)
class Softening:
    """How a training makes cross-entropy milder.

    Attributes:
        smoothing: the share of a target that is spread over all classes alike (Szegedy et al. 2016, section
            7), as `label_smoothing` of torch's `cross_entropy`.
        focal: the power of 1 - p that a loss is multiplied by, p being what the right class has (Lin et al.
            2017, Focal Loss): what is known well counts little.
    """

    smoothing: float = 0.0
    focal: float = 0.0


PLAIN = Softening()


@dataclass(frozen=True)
class LastLayer:
    """What the numbers of a head mean.

    Attributes:
        losses: of the head, its logits, the targets, the batch and a softening; without one the mean is the
            loss of transformers' class of that head.
        outputs: of the head, its logits and the batch: what they are read as, [N, C] of N vectors or tokens:
            log-probabilities where one of several is right, else the logits, which may be numbers.
        classes: whether the outputs are log-probabilities of C classes that a row has one of.
        softens: whether the losses heed a softening.
    """

    losses: Callable[..., Losses]
    outputs: Callable[[HeadConfig, torch.Tensor, Batch], torch.Tensor]
    classes: bool = False
    softens: bool = False


def _cross_entropy(logits_NC: torch.Tensor, labels_N: torch.Tensor, how: Softening) -> torch.Tensor:
    """The loss of each target, [N]; a logit of -inf is of a class that is not there."""
    losses_N = F.cross_entropy(logits_NC, labels_N, ignore_index=IGNORED, reduction="none")
    if how.focal:
        losses_N = (1 - (-losses_N).exp()) ** how.focal * losses_N
    if how.smoothing:
        there_NC = logits_NC != -torch.inf
        spread_N = -logits_NC.log_softmax(-1).where(there_NC, 0.0).sum(-1) / there_NC.sum(-1)
        losses_N = (1 - how.smoothing) * losses_N + how.smoothing * spread_N
    return losses_N


def _all(losses_N: torch.Tensor) -> Losses:
    losses_N1 = losses_N[:, None]
    return Losses(losses_N1, torch.ones_like(losses_N1, dtype=torch.bool))


def _as_they_are(head: HeadConfig, logits_NC: torch.Tensor, batch: Batch) -> torch.Tensor:
    return logits_NC


def _classes(
    head: HeadConfig, logits_BC: torch.Tensor, labels_B: torch.Tensor, batch: Batch, how: Softening = PLAIN
) -> Losses:
    if head.loss == "softmax":
        return _all(_cross_entropy(logits_BC, labels_B, how))
    logits_B = logits_BC.squeeze(1)
    return _all(F.binary_cross_entropy_with_logits(logits_B, labels_B.to(logits_B.dtype), reduction="none"))


def _class_outputs(head: HeadConfig, logits_BC: torch.Tensor, batch: Batch) -> torch.Tensor:
    if head.loss == "softmax":
        return logits_BC.log_softmax(-1)
    return torch.cat([F.logsigmoid(-logits_BC), F.logsigmoid(logits_BC)], dim=1)


def _label_sets(
    head: HeadConfig, logits_BC: torch.Tensor, sets_BC: torch.Tensor, batch: Batch, how: Softening = PLAIN
) -> Losses:
    losses_BC = F.binary_cross_entropy_with_logits(logits_BC, sets_BC.to(logits_BC.dtype), reduction="none")
    return _all(losses_BC.mean(1))


def _numbers(
    head: HeadConfig, logits_BC: torch.Tensor, values: torch.Tensor, batch: Batch, how: Softening = PLAIN
) -> Losses:
    values_BC = values.to(logits_BC.dtype).view_as(logits_BC)
    return _all(F.mse_loss(logits_BC, values_BC, reduction="none").mean(1))


def _tags(
    head: HeadConfig, logits_TC: torch.Tensor, tags_T: torch.Tensor, batch: Batch, how: Softening = PLAIN
) -> Losses:
    losses_T = _cross_entropy(logits_TC, tags_T, how)
    return Losses(losses_T[:, None], (tags_T != IGNORED)[:, None])


def _tag_outputs(head: HeadConfig, logits_TC: torch.Tensor, batch: Batch) -> torch.Tensor:
    return logits_TC.log_softmax(-1)


def _answers(
    head: HeadConfig, logits_T2: torch.Tensor, places_B2: torch.Tensor, batch: Batch, how: Softening = PLAIN
) -> Losses:
    # Of pads transformers takes the logits too, as of places where an answer may be; here there are none.
    logits_BS2 = _side_by_side(logits_T2, batch.lengths)
    places_B2 = places_B2.clamp(min=0)
    inside_B2 = places_B2 < torch.tensor(batch.lengths, device=places_B2.device)[:, None]
    asked_B2 = places_B2.where(inside_B2, 0)
    logs_B2 = logits_BS2.log_softmax(1).gather(1, asked_B2[:, None]).squeeze(1)
    return Losses(-logs_B2, inside_B2)


def _answer_outputs(head: HeadConfig, logits_T2: torch.Tensor, batch: Batch) -> torch.Tensor:
    return _log_softmax_within(logits_T2, batch.lengths)


def _choices(
    head: HeadConfig, logits_M1: torch.Tensor, best_N: torch.Tensor, batch: Batch, how: Softening = PLAIN
) -> Losses:
    counts = _choices_of(batch) or (len(logits_M1) // max(1, len(best_N)),) * len(best_N)
    logits_NK = _side_by_side(logits_M1, counts).squeeze(-1)
    return _all(_cross_entropy(logits_NK, best_N, how))


def _choice_outputs(head: HeadConfig, logits_M1: torch.Tensor, batch: Batch) -> torch.Tensor:
    return _log_softmax_within(logits_M1, _choices_of(batch) or (len(logits_M1),))


def _choices_of(batch: Batch) -> tuple[int, ...] | None:
    """How many sequences each row of the batch has; None where it does not say."""
    return batch.windows if isinstance(batch, PackedBatch) else None


def _side_by_side(values_TC: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
    """Values that stand end to end, so many of each of B, as [B, S, C]; -inf behind the shorter ones."""
    parts = torch.split(values_TC, list(lengths))
    return pad_sequence(list(parts), batch_first=True, padding_value=-torch.inf)


def _log_softmax_within(values_TC: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities over the values that belong together, so many of each, of each column: [T, C]."""
    padded_BSC = _side_by_side(values_TC, lengths).log_softmax(1)
    return torch.cat([part[:size] for part, size in zip(padded_BSC, lengths, strict=True)])


LAST_LAYERS: dict[HeadKind, LastLayer] = {
    "classify": LastLayer(_classes, _class_outputs, classes=True, softens=True),
    "multilabel": LastLayer(_label_sets, _as_they_are),
    "regress": LastLayer(_numbers, _as_they_are),
    "tag": LastLayer(_tags, _tag_outputs, softens=True),
    "answer": LastLayer(_answers, _answer_outputs),
    "choose": LastLayer(_choices, _choice_outputs, softens=True),
}
