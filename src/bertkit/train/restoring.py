"""The objective of pretraining: masked pieces restored, and pairs of segments told apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from bertkit.data.batches import cut_by_pieces
from bertkit.data.masking import Realised, realised
from bertkit.data.packed import Sequences, pack
from bertkit.data.steps import Identity, Masks, Windows, take
from bertkit.model.precision import Computing, autocast
from bertkit.model.pretraining import Pretrainer, PretrainingBatch
from bertkit.model.work import training_flops
from bertkit.train.processes import Processes


@dataclass
class Tally:
    """Sums over some batches, of which the figures of a log are made."""

    targets: float = 0.0
    loss: float = 0.0
    right: float = 0.0
    pairs: float = 0.0
    pair_loss: float = 0.0
    pairs_right: float = 0.0
    flops: float = 0.0

    def add_up(self, processes: Processes) -> None:
        """Sum over all processes, in place."""
        names = list(self.__dataclass_fields__)
        sums = torch.tensor([getattr(self, name) for name in names], dtype=torch.float64)
        processes.add(sums)
        for name, value in zip(names, sums.tolist(), strict=True):
            setattr(self, name, value)

    def figures(self) -> dict[str, float]:
        """Means: loss in nats and accuracy, of masked pieces and of pairs, where there were any."""
        found = {}
        if self.targets:
            found["mlm_loss"] = self.loss / self.targets
            found["mlm_accuracy"] = self.right / self.targets
        if self.pairs:
            found["pair_loss"] = self.pair_loss / self.pairs
            found["pair_accuracy"] = self.pairs_right / self.pairs
            found["pairs"] = self.pairs
        return found


@dataclass(frozen=True)
class Part:
    """One micro-batch of this process, with the numbers of targets and pairs of the whole step."""

    batch: PretrainingBatch
    targets: int
    pairs: int


class Restoring:
    """The loss of a step: the mean over its masked pieces, plus the mean over its pairs (appendix A.2).

    Attributes:
        long_from: the step from which sequences are long; None: not yet.
        tally: sums over this process's batches, for who logs them to take away.
        realised: what the masking of the last step did, in all processes.

    Args:
        windows: make the steps of the usual length.
        long_windows: make those of the long one, from the step `long_from` on; None without.
        at_once: pieces of a micro-batch, 0 for the whole step.
        mask_id: of `[MASK]`.
        processes: each takes its share of every micro-batch.
    """

    def __init__(
        self,
        windows: Windows,
        long_windows: Windows | None,
        *,
        at_once: int,
        mask_id: int,
        processes: Processes,
    ) -> None:
        self._windows = windows
        self._long_windows = long_windows
        self._at_once = at_once
        self._mask_id = mask_id
        self._processes = processes
        self.long_from: int | None = None
        self.tally = Tally()
        self.realised = Realised()

    def masks(self, step: int) -> Masks:
        """All sequences of a step, whichever process computes them."""
        windows, own_step = self._place(step)
        return windows.masks(own_step)

    def identity(self, step: int) -> Identity:
        """Of which text a step is made."""
        windows, own_step = self._place(step)
        return windows.identity(own_step)

    def batches(self, step: int) -> list[Part]:
        """The micro-batches of a step, of this process."""
        masks = self.masks(step)
        self.realised = realised(masks.masked, self._mask_id)
        return parts_of(masks, self._at_once, self._processes)

    def pieces(self, batch: Part) -> int:
        """Pieces of one micro-batch, T."""
        return len(batch.batch.inputs.ids_T)

    def loss(self, model: nn.Module, batch: Part) -> torch.Tensor:
        """The micro-batch's share of the step's loss; the tally goes on."""
        assert isinstance(model, Pretrainer)
        if not len(batch.batch.targets_M) and model.pair is None:
            # All its whole words are too long to be masked: nothing to learn, but a loss all the same.
            return 0.0 * model.masked.bias.sum()
        restored, paired = _losses(model, batch.batch, self.tally)
        self.tally.flops += training_flops(
            model.encoder.config,
            batch.batch.inputs.lengths,
            len(batch.batch.targets_M),
            pairs=model.pair is not None,
        )
        loss = restored / max(batch.targets, 1)
        return loss if paired is None else loss + paired / batch.pairs

    def epochs(self, steps: int) -> float:
        """How often so many steps go through the text."""
        usual = steps if self.long_from is None else min(steps, self.long_from)
        epochs = usual / self._windows.steps_per_epoch
        if self._long_windows is not None:
            epochs += (steps - usual) / self._long_windows.steps_per_epoch
        return epochs

    def _place(self, step: int) -> tuple[Windows, int]:
        if self.long_from is None or step < self.long_from:
            return self._windows, step
        assert self._long_windows is not None, "long sequences without windows of them"
        return self._long_windows, step - self.long_from


def parts_of(masks: Masks, at_once: int, processes: Processes) -> list[Part]:
    """A step cut into micro-batches of about `at_once` pieces, and of each the sequences of this process."""
    count = len(masks.sequences)
    wanted = -(-len(masks.sequences.ids) // at_once) if at_once else 1
    runs = cut_by_pieces(np.arange(count), masks.sequences.lengths, min(wanted, count))
    targets = len(masks.masked.targets_M)
    pairs = int((masks.labels >= 0).sum())
    parts = []
    for run in runs:
        # Neighbours are of like length, so dealing them out gives all processes about as much.
        mine = run[processes.rank :: processes.count]
        if len(mine):
            parts.append(Part(as_batch(take(masks, mine)), targets, pairs))
    return parts


def as_batch(masks: Masks) -> PretrainingBatch:
    """Corrupted sequences as tensors."""
    sequences = masks.sequences
    corrupted = Sequences(
        ids=masks.masked.ids_T.astype(np.int32), starts=sequences.starts, second=sequences.second
    )
    with_pairs = bool((masks.labels >= 0).any())
    return PretrainingBatch(
        inputs=pack(corrupted, np.arange(len(sequences))),
        masked_M=torch.from_numpy(masks.masked.masked_M),
        targets_M=torch.from_numpy(masks.masked.targets_M),
        pairs_B=torch.from_numpy(masks.labels) if with_pairs else None,
    )


def score(
    model: Pretrainer, parts: list[Part], precision: Computing, processes: Processes
) -> dict[str, float]:
    """Figures of the model on `parts`, over all processes; see `Tally.figures`."""
    tally = Tally()
    model.eval()
    with torch.inference_mode(), autocast(precision):
        for part in parts:
            _losses(model, part.batch, tally)
    tally.add_up(processes)
    return tally.figures()


def mean_loss(model: Pretrainer, batch: PretrainingBatch) -> torch.Tensor:
    """The loss of a batch that is a step of its own: see `Restoring`."""
    restored, paired = _losses(model, batch, Tally())
    loss = restored / max(1, len(batch.targets_M))
    return loss if paired is None or batch.pairs_B is None else loss + paired / len(batch.pairs_B)


def _losses(
    model: Pretrainer, batch: PretrainingBatch, tally: Tally
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Sums of the losses of masked pieces and of pairs; the tally goes on."""
    logits_MV, pairs_B2 = model(batch)
    logits_MV = logits_MV.float()
    restored = F.cross_entropy(logits_MV, batch.targets_M, reduction="sum")
    tally.targets += len(batch.targets_M)
    tally.loss += restored.item()
    tally.right += float((logits_MV.detach().argmax(1) == batch.targets_M).sum())
    if pairs_B2 is None or batch.pairs_B is None:
        return restored, None
    pairs_B2 = pairs_B2.float()
    paired = F.cross_entropy(pairs_B2, batch.pairs_B, reduction="sum")
    tally.pairs += len(batch.pairs_B)
    tally.pair_loss += paired.item()
    tally.pairs_right += float((pairs_B2.detach().argmax(1) == batch.pairs_B).sum())
    return restored, paired


def unigram_entropy(counts: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> float:
    """Mean loss in nats of one who knows nothing but how often each piece stands in the training text.

    A piece that never stands there counts as half a time.
    """
    known = np.maximum(counts.astype(np.float64), 0.5)
    return float(-np.log(known[targets] / known.sum()).mean())
