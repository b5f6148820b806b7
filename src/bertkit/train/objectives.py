"""What the loop minimises."""

from __future__ import annotations

import torch
from torch import nn

from bertkit.data.batches import epoch_batches
from bertkit.data.packed import PackedBatch, Sequences, pack
from bertkit.model.heads import Classifier
from bertkit.recipe import BatchRecipe
from bertkit.tasks.metrics import IntArray


class Classification:
    """The objective of a classifier over encoded rows: the mean loss of the step's rows."""

    def __init__(self, sequences: Sequences, labels: IntArray, recipe: BatchRecipe, seed: int) -> None:
        self._sequences = sequences
        self._labels = torch.from_numpy(labels)
        self._recipe = recipe
        self._seed = seed
        self._epoch = 0
        self._batches = epoch_batches(sequences.lengths, recipe, seed, 0)
        self.steps_per_epoch = len(self._batches)

    def batches(self, step: int) -> list[tuple[PackedBatch, torch.Tensor]]:
        """The one batch of a step with its labels [B]."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = epoch_batches(self._sequences.lengths, self._recipe, self._seed, epoch)
        rows = self._batches[index]
        return [(pack(self._sequences, rows), self._labels[rows])]

    def pieces(self, batch: tuple[PackedBatch, torch.Tensor]) -> int:
        """Pieces of one batch, T."""
        return len(batch[0].ids_T)

    def loss(self, model: nn.Module, batch: tuple[PackedBatch, torch.Tensor]) -> torch.Tensor:
        """Mean of the rows' losses."""
        assert isinstance(model, Classifier)
        inputs, labels_B = batch
        return model.loss(model(inputs), labels_B).mean()
