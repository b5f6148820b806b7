"""From the states of pieces to one vector a sequence: which layers, and how they are pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch

from bertkit.config import Combination, Pooling
from bertkit.data.packed import PackedBatch
from bertkit.model.encoder import Encoder


def _sum(states: list[torch.Tensor]) -> torch.Tensor:
    return reduce(torch.add, states)


def _concatenation(states: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(states, dim=-1) if len(states) > 1 else states[0]


COMBINATIONS: dict[Combination, Callable[[list[torch.Tensor]], torch.Tensor]] = {
    "sum": _sum,
    "concat": _concatenation,
}


def combined(
    encoder: Encoder,
    batch: PackedBatch,
    layers: Sequence[int],
    combine: Combination,
    rows: torch.Tensor | None = None,
) -> torch.Tensor:
    """States behind `layers` as one, [T, W], or [R, W] of the pieces `rows` alone.

    W is the hidden size, or so many times it as layers are concatenated (Devlin et al. 2018, table 7).

    Raises:
        UserError: see `Encoder.states`.
    """
    return COMBINATIONS[combine](encoder.states(batch, layers, rows))


def owners(batch: PackedBatch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces of each sequence [B], and the sequence that each piece belongs to [T]."""
    lengths_B = torch.tensor(batch.lengths, device=device)
    return lengths_B, torch.repeat_interleave(torch.arange(len(lengths_B), device=device), lengths_B)


def _mean(hidden_TW: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    lengths_B, owner_T = owners(batch, hidden_TW.device)
    sums_BW = hidden_TW.new_zeros(len(lengths_B), hidden_TW.shape[1]).index_add(0, owner_T, hidden_TW)
    return torch.div(sums_BW, lengths_B[:, None])


def _max(hidden_TW: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    lengths_B, owner_T = owners(batch, hidden_TW.device)
    lowest_BW = hidden_TW.new_full((len(lengths_B), hidden_TW.shape[1]), -torch.inf)
    return lowest_BW.scatter_reduce(0, owner_T[:, None].expand_as(hidden_TW), hidden_TW, "amax")


def _none(hidden_TW: torch.Tensor, batch: PackedBatch) -> torch.Tensor:
    return hidden_TW


OVER_PIECES: dict[Pooling, Callable[[torch.Tensor, PackedBatch], torch.Tensor]] = {
    "mean": _mean,
    "max": _max,
    "none": _none,
}
"""Poolings of all pieces; the others need those of `[CLS]` alone."""


def pool(
    encoder: Encoder, batch: PackedBatch, pooling: Pooling, layers: Sequence[int], combine: Combination
) -> torch.Tensor:
    """One vector of each sequence, [B, W].

    Args:
        encoder: the model.
        batch: B sequences.
        pooling: "cls" is the state of `[CLS]`; "pooler" BERT's dense and tanh on that of the last layer;
            "mean" and "max" are over all pieces, `[CLS]` and `[SEP]` included, as in sentence-transformers;
            "none" leaves them all: [T, W] for heads that stand on each.
        layers: see `config.layer_numbers`.
        combine: "sum" of the layers or their "concat"enation.

    Raises:
        UserError: see `Encoder.states`.
    """
    if pooling in OVER_PIECES:
        return OVER_PIECES[pooling](combined(encoder, batch, layers, combine), batch)
    first_BW = combined(encoder, batch, layers, combine, batch.starts_B)
    return encoder.pool(first_BW) if pooling == "pooler" else first_BW
