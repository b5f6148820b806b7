"""Masked text: a step or what is held out, as the micro-batches of a process, and how a model does on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from bertkit.config.terms import MASKED, PAIRS, Term
from bertkit.data.batches import cut_by_tokens
from bertkit.data.packed import Sequences, pack
from bertkit.data.shards import Shards
from bertkit.data.steps import Masks, Windows, take
from bertkit.errors import UserError
from bertkit.model.compute import Compute
from bertkit.model.pretraining import Pretrainer, PretrainingBatch
from bertkit.model.terms import Sums, pretraining_loss
from bertkit.recipe import ObjectiveRecipe, PretrainRecipe
from bertkit.train.processes import ALONE, Processes

HELDOUT_AT_ONCE = 4_096
"""Held-out tokens of a micro-batch: nothing is kept for a backward pass."""


@dataclass(frozen=True)
class Part:
    """One micro-batch of this process, with the targets of the whole step."""

    batch: PretrainingBatch
    counts: dict[Term, int]

    @property
    def tokens(self) -> int:
        """How many it has, T."""
        return len(self.batch.inputs.ids_T)


@dataclass(frozen=True)
class Heldout:
    """Held-out text, always the same and always masked alike.

    Attributes:
        parts: this process's micro-batches.
        masks: all of it, as cut and masked.
    """

    parts: list[Part]
    masks: Masks

    @property
    def tokens(self) -> int:
        """Of all processes."""
        return len(self.masks.sequences.ids)


def held_out(recipe: PretrainRecipe, shards: Shards, processes: Processes) -> Heldout | None:
    """About as many tokens of held-out text as the recipe says; None where there is none."""
    if not (shards.of("heldout") and recipe.training.heldout_tokens):
        return None
    documents = sum(entry.documents for entry in shards.of("heldout"))
    if recipe.objective.pairs == "nsp" and documents < 2:
        raise UserError(
            f"{shards.folder} has one held-out document, too few for next-sentence prediction; prepare the "
            "text with a larger --heldout, or use --pairs none."
        )
    masks = heldout_masks(shards, recipe.objective, recipe.training.heldout_tokens, recipe.batch.length)
    parts = parts_of(masks, max(recipe.batch.at_once, HELDOUT_AT_ONCE), processes)
    return Heldout(parts, masks)


def heldout_masks(shards: Shards, objective: ObjectiveRecipe, tokens: int, length: int) -> Masks:
    """About so many tokens of held-out text, of which there is some, cut and masked alike every time.

    Args:
        shards: the text.
        objective: how it is masked and paired; masks that a run repeats are made anew here.
        tokens: at most; all of it where there are fewer.
        length: tokens of a sequence.
    """
    there = sum(entry.tokens for entry in shards.of("heldout"))
    objective = replace(objective, fixed_masks=0)
    windows = Windows(shards, "heldout", objective, tokens=min(tokens, there), length=length, seed=0)
    return windows.masks(0)


def parts_of(masks: Masks, at_once: int, processes: Processes = ALONE) -> list[Part]:
    """A step cut into micro-batches of about `at_once` tokens, and of each the sequences of this process."""
    count = len(masks.sequences)
    wanted = -(-len(masks.sequences.ids) // at_once) if at_once else 1
    runs = cut_by_tokens(np.arange(count), masks.sequences.lengths, min(wanted, count))
    counts = {MASKED: len(masks.masked.targets_M), PAIRS: int((masks.labels >= 0).sum())}
    parts = []
    for run in runs:
        # Neighbours are of like length, so dealing them out gives all processes about as much.
        mine = run[processes.rank :: processes.count]
        if len(mine):
            parts.append(Part(as_batch(take(masks, mine)), counts))
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
    model: Pretrainer, parts: Sequence[Part], compute: Compute, processes: Processes = ALONE
) -> dict[str, float]:
    """Figures of the model on `parts`, over all processes; see `Sums.figures`."""
    sums = Sums()
    model.eval()
    with torch.inference_mode(), compute.autocast():
        for part in parts:
            pretraining_loss(model, part.batch, sums)
    sums.add_up(processes.add)
    return sums.figures()


def unigram_entropy(counts: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> float:
    """Mean loss in nats of one who knows nothing but how often each token stands in the training text.

    A token that never stands there counts as half a time.
    """
    known = np.maximum(counts.astype(np.float64), 0.5)
    return float(-np.log(known[targets] / known.sum()).mean())
