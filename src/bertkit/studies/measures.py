"""What studies measure of pretrained models beside what their runs tell: losses where the runs' own are of
different tasks, and which heads look at neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bertkit.checkpoint.folder import read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.config.terms import MASKED
from bertkit.data.packed import PackedBatch, pack
from bertkit.data.shards import Split, open_shards
from bertkit.data.steps import Windows
from bertkit.errors import UserError
from bertkit.model.compute import FLOAT32
from bertkit.model.encoder import Encoder
from bertkit.model.pretraining import Pretrainer
from bertkit.recipe import PretrainRecipe
from bertkit.recipe.pretrain import ObjectiveRecipe
from bertkit.train.masked import HELDOUT_AT_ONCE, Part, heldout_masks, parts_of, score

HELDOUT_TOKENS = 32_768
"""Of held-out text, at most, that all variants restore."""
WATCHED_TOKENS = 4_096
"""Of text that heads are watched on."""
REACH = 4
"""Tokens to either side that are told apart."""


@dataclass(frozen=True)
class Yardstick:
    """Held-out text, cut and masked once for all variants."""

    parts: tuple[Part, ...]

    def loss_of(self, run: Path) -> float:
        """Mean loss in nats of the pretrained model in `run` at the hidden tokens, in float32.

        Raises:
            UserError: the model cannot be read any more, or has no head for masked tokens.
        """
        path = find_model(str(run))
        assert path is not None, "a run is no preset"
        folder = read_model_folder(path)
        if folder.masked is None:
            raise UserError(f"{run} has no head for masked tokens.")
        model = Pretrainer(folder.encoder, folder.masked)
        return score(model, self.parts, FLOAT32)[MASKED.loss]


def yardstick_of(recipes: Sequence[PretrainRecipe]) -> Yardstick | None:
    """What the variants of a stage are measured with beside their own held-out losses.

    Their own are of one task where all mask alike; where not, all restore what the first one's masking hides,
    without pairs.

    Args:
        recipes: of each variant; the first one is what the others are compared with.

    Returns:
        None where their own losses compare already, or where their text or its cut differs, or is gone.
    """
    first = recipes[0]
    texts = {(recipe.corpus.shards, recipe.batch.length) for recipe in recipes}
    if len(texts) > 1 or len({_task(recipe) for recipe in recipes}) == 1:
        return None
    try:
        shards = open_shards(Path(first.corpus.shards))
        if not shards.of("heldout"):
            return None
        objective = replace(first.objective, pairs="none")
        masks = heldout_masks(shards, objective, HELDOUT_TOKENS, first.batch.length)
        return Yardstick(tuple(parts_of(masks, HELDOUT_AT_ONCE)))
    except UserError:
        return None


def _task(recipe: PretrainRecipe) -> ObjectiveRecipe:
    """What held-out text asks of a model, which is always masked anew."""
    return replace(recipe.objective, fixed_masks=0)


@dataclass(frozen=True)
class Offsets:
    """Mean attention from a token to the one at each offset, [L][A][2 * REACH + 1], from -REACH to REACH.

    A head that knows no order gives all offsets alike, about one over the sequence's length.
    """

    shares: tuple[tuple[tuple[float, ...], ...], ...]

    @property
    def strongest(self) -> float:
        """The share of the head that looks most at a neighbour."""
        return max(row[REACH + side] for heads in self.shares for row in heads for side in (-1, 1))


@torch.no_grad()
def attention_by_offset(encoder: Encoder, batch: PackedBatch) -> Offsets:
    """Measure it over the tokens of a batch that have a token at the offset, `[CLS]` and `[SEP]` left out.

    Args:
        encoder: in evaluation mode.
        batch: B sequences, at least one of them longer than 2 * REACH + 2 tokens.
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

    None where no sequence has tokens so far apart.

    Raises:
        UserError: the model or its shards cannot be read any more.
    """
    path = find_model(str(run))
    assert path is not None, "a run is no preset"
    encoder = read_model_folder(path).encoder.eval()
    shards = open_shards(Path(recipe.corpus.shards))
    split: Split = "heldout" if shards.of("heldout") else "train"
    length = recipe.batch.length
    windows = Windows(shards, split, recipe.objective, tokens=WATCHED_TOKENS, length=length, seed=0)
    sequences = windows.masks(0).sequences
    # The longest come first; short ones have no token at the far offsets.
    rows = np.flatnonzero(sequences.lengths > 2 * REACH + 2)
    return attention_by_offset(encoder, pack(sequences, rows)) if len(rows) else None
