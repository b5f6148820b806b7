"""What the loop minimises."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import nn

from bertkit.data.batches import Rows, epoch_batches
from bertkit.data.packed import FeatureBatch, Features, PackedBatch, Sequences
from bertkit.model.bulk import batches_by_length
from bertkit.model.heads import Classifier
from bertkit.recipe import BatchRecipe

PIECES_OF_WINDOWS = 8_192
"""A step over long texts is computed in parts of so many pieces at most (or of one text), to save memory."""


class Batch(NamedTuple):
    """B rows of a step, their labels [B], and what share of the step's rows they are."""

    inputs: PackedBatch | FeatureBatch
    labels_B: torch.Tensor
    share: float


class Classification:
    """The objective of a classifier over rows, encoded or as features: the mean loss of the step's rows."""

    def __init__(
        self, inputs: Sequences | Features, labels: npt.NDArray[Any], recipe: BatchRecipe, seed: int
    ) -> None:
        self._inputs = inputs
        self._labels = torch.from_numpy(labels)
        self._recipe = recipe
        self._seed = seed
        self._epoch = 0
        self._batches = epoch_batches(inputs.lengths, recipe, seed, 0)
        self.steps_per_epoch = len(self._batches)

    def batches(self, step: int) -> list[Batch]:
        """The rows of a step: one batch, or several of long texts."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            self._batches = epoch_batches(self._inputs.lengths, self._recipe, self._seed, epoch)
        rows = self._batches[index]
        return [
            Batch(self._inputs.batch(part), self._labels[part], len(part) / len(rows))
            for part in self._parts(rows)
        ]

    def _parts(self, rows: Rows) -> list[Rows]:
        if isinstance(self._inputs, Features) or self._inputs.windows is None:
            return [rows]
        return [rows[part] for part in batches_by_length(self._inputs.lengths[rows], PIECES_OF_WINDOWS)]

    def pieces(self, batch: Batch) -> int:
        """Pieces of one batch's rows, T."""
        return sum(batch.inputs.lengths)

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        """The batch's share of the mean of the rows' losses."""
        assert isinstance(model, Classifier)
        return model.loss(model(batch.inputs), batch.labels_B).mean() * batch.share
