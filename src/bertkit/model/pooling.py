"""From the states of tokens to one vector a sequence: which layers, and how they are pooled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch

from bertkit.config.head import Combination, Pooling
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
    """States behind `layers` as one, [T, W], or [R, W] of the tokens `rows` alone.

    W is the hidden size, or so many times it as layers are concatenated (Devlin et al. 2018, table 7).

    Raises:
        UserError: see `Encoder.states`.
    """
    return COMBINATIONS[combine](encoder.states(batch, layers, rows))


def _owners(lengths_B: torch.Tensor) -> torch.Tensor:
    return torch.repeat_interleave(torch.arange(len(lengths_B), device=lengths_B.device), lengths_B)


def _mean(states_TW: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    sums_BW = states_TW.new_zeros(len(lengths_B), states_TW.shape[1])
    return torch.div(sums_BW.index_add(0, _owners(lengths_B), states_TW), lengths_B[:, None])


def _max(states_TW: torch.Tensor, lengths_B: torch.Tensor) -> torch.Tensor:
    owners_TW = _owners(lengths_B)[:, None].expand_as(states_TW)
    lowest_BW = states_TW.new_full((len(lengths_B), states_TW.shape[1]), -torch.inf)
    return lowest_BW.scatter_reduce(0, owners_TW, states_TW, "amax")


SEGMENTS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {"mean": _mean, "max": _max}
"""Poolings of all tokens: of rows [T, W] that stand together by so many, [B], to one of each, [B, W].
The other poolings need the states of `[CLS]` alone."""


def over_tokens(states_TW: torch.Tensor, batch: PackedBatch, pooling: Pooling) -> torch.Tensor:
    """One vector of each sequence, [M, W], of the states of all its tokens: "cls", "mean" or "max"."""
    if pooling == "cls":
        return states_TW.index_select(0, batch.starts_B)
    return SEGMENTS[pooling](states_TW, torch.tensor(batch.lengths, device=states_TW.device))


def over_windows(vectors_MW: torch.Tensor, counts: Sequence[int], pooling: Pooling) -> torch.Tensor:
    """One vector of each row [B, W] from those of its windows, which follow each other, [M, W].

    Their mean, or, where tokens were pooled by their greatest, the greatest again. The vectors are averaged,
    not the answers: so a frozen encoder still gives one vector a row, and a text is trained on as it is
    read. (For a linear head it is the same, up to a constant, as averaging the log-probabilities.) Windows
    of a text are equally long, so the mean of their means is that of all tokens, those in two windows twice.

    Args:
        vectors_MW: pooled windows.
        counts: windows of each row, B integers of at least 1.
        pooling: how tokens were pooled.
    """
    counts_B = torch.tensor(counts, device=vectors_MW.device)
    return SEGMENTS["max" if pooling == "max" else "mean"](vectors_MW, counts_B)


def pool(
    encoder: Encoder, batch: PackedBatch, pooling: Pooling, layers: Sequence[int], combine: Combination
) -> torch.Tensor:
    """One vector of each row of the batch, [B, W]; of one in windows see `over_windows`.

    Args:
        encoder: the model.
        batch: B sequences.
        pooling: "cls" is the state of `[CLS]`; "pooler" BERT's dense and tanh on that of the last layer;
            "mean" and "max" are over all tokens, `[CLS]` and `[SEP]` included, as in sentence-transformers;
            "none" leaves them all: [T, W] for heads that stand on each, of windows too.
        layers: see `config.layer_numbers`.
        combine: "sum" of the layers or their "concat"enation.

    Raises:
        UserError: see `Encoder.states`.
    """
    if pooling == "none":
        return combined(encoder, batch, layers, combine)
    if pooling in SEGMENTS:
        vectors_MW = over_tokens(combined(encoder, batch, layers, combine), batch, pooling)
    else:
        vectors_MW = combined(encoder, batch, layers, combine, batch.starts_B)
        vectors_MW = encoder.pool(vectors_MW) if pooling == "pooler" else vectors_MW
    return vectors_MW if batch.windows is None else over_windows(vectors_MW, batch.windows, pooling)
