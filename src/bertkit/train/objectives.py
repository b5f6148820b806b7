"""What the loop minimises."""

from __future__ import annotations

import torch
from torch import nn

from bertkit.data.batches import epoch_batches
from bertkit.data.features import FeatureBatch, Features
from bertkit.data.packed import PackedBatch, Sequences
from bertkit.model.heads import Classifier
from bertkit.recipe import BatchRecipe
from bertkit.tasks.metrics import IntArray

Batch = tuple[PackedBatch | FeatureBatch, torch.Tensor]
"""Rows, and their labels [B]."""


class Classification:
    """The objective of a classifier over rows, encoded or as features: the mean loss of the step's rows."""

    def __init__(
        self, inputs: Sequences | Features, labels: IntArray, recipe: BatchRecipe, seed: int
    ) -> None:
        self._inputs = inputs
        self._labels = torch.from_numpy(labels)
        self._recipe = recipe
        self._seed = seed
        self._epoch = 0
        self._batches = epoch_batches(inputs.lengths, recipe, seed, 0)
        self.steps_per_epoch = len(self._batches)

    def batches(self, step: int) -> list[Batch]:
        """The one batch of a step with its labels [B]."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = epoch_batches(self._inputs.lengths, self._recipe, self._seed, epoch)
        rows = self._batches[index]
        return [(self._inputs.batch(rows), self._labels[rows])]

    def pieces(self, batch: Batch) -> int:
        """Pieces of one batch's rows, T."""
        return sum(batch[0].lengths)

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean of the rows' losses."""
        assert isinstance(model, Classifier)
        inputs, labels_B = batch
        return model.loss(model(inputs), labels_B).mean()
