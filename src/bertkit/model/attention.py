"""Self-attention over a packed batch: the only file that knows how sequences meet an attention kernel.

A kernel wants dense blocks [b, A, S, D]; a batch is ragged. A `Plan`, made once a batch and shared by all
layers, cuts the sequences into groups of like length. A group of one length that stands together in the
batch is a view of it; any other is gathered into a padded block for the kernel alone and taken out again.
Padded keys are masked, so their probability is exactly zero, and each pad repeats a token of its own
sequence, so nothing of another sequence is ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from bertkit.config.model import ModelConfig
from bertkit.model.compute import in_float32
from bertkit.model.positions import Rotation, rotate

Index = npt.NDArray[np.int64]

SHORT = 128
"""Tokens of a block up to which the kernel's backward pass is slow in bf16: see `_fused`."""
MAX_PADS = 16
"""Pads of a group up to which they cost less than one more kernel call would."""


@dataclass(frozen=True)
class Layout:
    """How packed rows [N, H] become dense blocks [b, S, H], one a group, and back.

    Attributes:
        blocks: sequences b and width S of each group.
        pad: index [sum of b * S] of the packed row behind each place of the blocks; None: as they stand.
        unpad: index [N] of the place of each packed row; None together with `pad`.
    """

    blocks: tuple[tuple[int, int], ...]
    pad: torch.Tensor | None
    unpad: torch.Tensor | None

    def split(self, packed_NH: torch.Tensor, heads: int) -> list[torch.Tensor]:
        """The dense blocks as a kernel wants them, [b, A, S, D] each."""
        dense = packed_NH if self.pad is None else packed_NH.index_select(0, self.pad)
        parts = torch.split(dense, [b * S for b, S in self.blocks])
        return [
            part.view(b, S, heads, -1).transpose(1, 2)
            for part, (b, S) in zip(parts, self.blocks, strict=True)
        ]

    def join(self, blocks: list[torch.Tensor]) -> torch.Tensor:
        """Packed rows [N, H] of blocks [b, A, S, D]; the inverse of `split`."""
        parts = [block.transpose(1, 2).flatten(2).flatten(0, 1) for block in blocks]
        dense = torch.cat(parts) if len(parts) > 1 else parts[0]
        return dense if self.unpad is None else dense.index_select(0, self.unpad)


@dataclass(frozen=True)
class Plan:
    """How one batch meets the kernel: the layout of queries, that of keys and values, and masks of pads.

    Attributes:
        order: the sequences in the order of the blocks.
        lengths: tokens of each sequence, in the order of the batch.
        masks: for each group None, or bool [b, 1, 1, S]: True where a key is no pad.
    """

    order: Index
    lengths: Index
    queries: Layout
    keys: Layout
    masks: tuple[torch.Tensor | None, ...]


def plan(lengths: Sequence[int], rows: torch.Tensor | None = None) -> Plan:
    """The plan of a batch of sequences of `lengths`.

    Args:
        lengths: tokens of each sequence, B of them.
        rows: packed indices [R] of the only tokens that ask; None: every token does.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(sizes, kind="stable")
    cuts = _cuts(sizes[order])
    starts = np.cumsum(sizes) - sizes
    members = [starts[i] + np.arange(sizes[i]) for i in order]
    keys = _layout(members, cuts)
    masks = tuple(_mask(sizes[order[i:j]]) for i, j in pairwise(cuts))
    if rows is None:
        return Plan(order, sizes, keys, keys, masks)
    asking = np.searchsorted(starts, rows.cpu().numpy(), side="right") - 1
    queries = _layout([np.flatnonzero(asking == i) for i in order], cuts)
    return Plan(order, sizes, queries, keys, masks)


def _cuts(ascending: Index) -> list[int]:
    """Where groups begin, and the end: a group grows until it would have more than `MAX_PADS` pads."""
    cuts, tokens = [0], 0
    for i, length in enumerate(ascending.tolist()):
        tokens += length
        if length * (i + 1 - cuts[-1]) - tokens > MAX_PADS:
            cuts.append(i)
            tokens = length
    return [*cuts, len(ascending)]


def _layout(members: list[Index], cuts: list[int]) -> Layout:
    """The layout of blocks whose sequences hold the packed rows `members`, grouped at `cuts`."""
    blocks, pad, unpad = [], [], np.empty(sum(map(len, members)), dtype=np.int64)
    place = 0
    for i, j in pairwise(cuts):
        # At least 1: a block of nothing would need a case of its own everywhere, and is never unpadded.
        width = max(1, *map(len, members[i:j]))
        blocks.append((j - i, width))
        for member in members[i:j]:
            # A pad repeats the last row of its own sequence, where there is one: see above.
            filler = member[-1] if len(member) else 0
            pad.append(np.concatenate([member, np.full(width - len(member), filler)]))
            unpad[member] = place + np.arange(len(member))
            place += width
    if place == len(unpad) and np.array_equal(unpad, np.arange(place)):
        return Layout(tuple(blocks), None, None)
    return Layout(tuple(blocks), torch.from_numpy(np.concatenate(pad)), torch.from_numpy(unpad))


def _mask(lengths: Index) -> torch.Tensor | None:
    width = lengths.max()
    if (lengths == width).all():
        return None
    return torch.from_numpy(np.arange(width) < lengths[:, None])[:, None, None, :]


class SelfAttention(nn.Module):
    """Multi-head self-attention with fused projections (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.attention_dropout
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=config.biases)
        self.output = nn.Linear(config.hidden_size, config.hidden_size, bias=config.biases)

    def forward(
        self,
        hidden_TH: torch.Tensor,
        plan: Plan,
        rows: torch.Tensor | None = None,
        rotation: Rotation | None = None,
        record: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """What each token (or each of `rows`, which `plan` was made for) gathers, [T, H] or [R, H].

        Args:
            hidden_TH: states of all tokens.
            plan: how this batch meets the kernel.
            rows: the tokens that ask, [R]; None: all.
            rotation: cosines and sines that turn queries and keys; None: positions are in the embeddings.
            record: where the probabilities of each sequence, [A, S, S], are appended
                in the order of the batch. They are then computed in the open, without the fused kernel.
        """
        query, key, value = self._project(hidden_TH, rows)
        if rotation is not None:
            query = rotate(query, rotation if rows is None else rotation.take(rows), self.heads)
            key = rotate(key, rotation, self.heads)
        queries = plan.queries.split(query, self.heads)
        keys = plan.keys.split(key, self.heads)
        values = plan.keys.split(value, self.heads)
        dropout = self.dropout if self.training else 0.0
        if record is None:
            blocks = [
                _fused(q, k, v, mask, dropout)
                for q, k, v, mask in zip(queries, keys, values, plan.masks, strict=True)
            ]
        else:
            probabilities = [_probabilities(*each) for each in zip(queries, keys, plan.masks, strict=True)]
            blocks = [F.dropout(p, dropout) @ v for p, v in zip(probabilities, values, strict=True)]
            record.extend(_by_sequence(probabilities, plan))
        context: torch.Tensor = self.output(plan.queries.join(blocks))
        return context

    def _project(
        self, hidden_TH: torch.Tensor, rows: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries [T, H] (of `rows` alone [R, H]), keys and values [T, H]."""
        if rows is None:
            query, key, value = self.qkv(hidden_TH).chunk(3, dim=-1)
            return query, key, value
        size = hidden_TH.shape[-1]
        weights = torch.split(self.qkv.weight, [size, 2 * size])
        biases = (None, None) if self.qkv.bias is None else torch.split(self.qkv.bias, [size, 2 * size])
        key, value = F.linear(hidden_TH, weights[1], biases[1]).chunk(2, dim=-1)
        return F.linear(hidden_TH.index_select(0, rows), weights[0], biases[0]), key, value


def _fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, dropout: float
) -> torch.Tensor:
    """What each query gathers, by torch's fused kernel, [b, A, Q, D].

    Of few tokens its backward pass in bf16 takes several times as long on a CPU as in float32
    (`benchmarks/short_attention.py`), so that is what these are computed in where there will be one.
    """
    if query.dtype != torch.bfloat16 or not query.requires_grad or key.shape[-2] > SHORT:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    with in_float32(query):
        found = F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), attn_mask=mask, dropout_p=dropout
        )
    return found.to(query.dtype)


def _probabilities(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Softmax of the scaled scores, [b, A, Q, S]."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim=-1)


def _by_sequence(probabilities: list[torch.Tensor], plan: Plan) -> list[torch.Tensor]:
    """Blocks [b, A, S, S] cut to each sequence's own [A, S, S], in the order of the batch."""
    found = [each for block in probabilities for each in block]
    lengths = plan.lengths[plan.order]
    cut = [each[:, :length, :length] for each, length in zip(found, lengths, strict=True)]
    return [cut[place] for place in np.argsort(plan.order)]
