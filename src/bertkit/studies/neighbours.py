"""Which heads look at neighbours: how much of its attention a head gives to the pieces next to each piece."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bertkit.checkpoint.folder import read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.data.packed import PackedBatch, pack
from bertkit.data.shards import Split, open_shards
from bertkit.data.steps import Windows
from bertkit.model.encoder import Encoder
from bertkit.recipe import PretrainRecipe

REACH = 4
"""Pieces to either side that are told apart."""
WATCHED_PIECES = 4_096
"""Of text that heads are watched on."""


@dataclass(frozen=True)
class Offsets:
    """Mean attention from a piece to the one at each offset, [L][A][2 * REACH + 1], from -REACH to REACH.

    A head that knows no order gives all offsets alike, about one over the sequence's length.
    """

    shares: tuple[tuple[tuple[float, ...], ...], ...]

    def strongest(self) -> tuple[int, int, int, float]:
        """Layer and head (from 1), offset (-1 or 1) and share of the head that looks most at a neighbour."""
        found = [
            (share, layer, head, offset)
            for layer, heads in enumerate(self.shares, 1)
            for head, row in enumerate(heads, 1)
            for offset, share in ((-1, row[REACH - 1]), (1, row[REACH + 1]))
        ]
        share, layer, head, offset = max(found)
        return layer, head, offset, share


@torch.no_grad()
def attention_by_offset(encoder: Encoder, batch: PackedBatch) -> Offsets:
    """Measure it over the pieces of a batch that have a piece at the offset, `[CLS]` and `[SEP]` left out.

    Args:
        encoder: in evaluation mode.
        batch: B sequences, at least one of them longer than 2 * REACH + 2 pieces.
    """
    _, attentions = encoder(batch, return_attention=True)
    layers = []
    for of_layer in attentions:
        sums = torch.zeros(of_layer[0].shape[0], 2 * REACH + 1)
        counts = torch.zeros(2 * REACH + 1)
        for attention_ASS in of_layer:
            inner = attention_ASS[:, 1:-1, 1:-1].float()
            for place, offset in enumerate(range(-REACH, REACH + 1)):
                diagonal = inner.diagonal(offset, dim1=1, dim2=2)
                sums[:, place] += diagonal.sum(1)
                counts[place] += diagonal.shape[1]
        layers.append(tuple(tuple(row) for row in (sums / counts.clamp(min=1)).tolist()))
    return Offsets(tuple(layers))


def look(run: Path, recipe: PretrainRecipe) -> Offsets | None:
    """Where the heads of a pretrained model look, on text of its corpus that is not masked.

    None where no sequence has pieces so far apart.

    Raises:
        UserError: the model or its shards cannot be read any more.
    """
    path = find_model(str(run))
    assert path is not None, "a run is no preset"
    encoder = read_model_folder(path).encoder.eval()
    shards = open_shards(Path(recipe.corpus.shards))
    split: Split = "heldout" if shards.of("heldout") else "train"
    length = recipe.batch.length
    windows = Windows(shards, split, recipe.objective, pieces=WATCHED_PIECES, length=length, seed=0)
    sequences = windows.masks(0).sequences
    # The longest come first; short ones have no piece at the far offsets.
    rows = np.flatnonzero(sequences.lengths > 2 * REACH + 2)
    return attention_by_offset(encoder, pack(sequences, rows)) if len(rows) else None
