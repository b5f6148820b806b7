"""How much arithmetic a step is, and how much of it this machine can do in a second.

Only matrix products count, two operations for each multiplication with its addition, and only those that
the result needs: no pads, and nothing that a kernel computes twice to save memory. Their share of the rate of
one large product says how well a training loop uses a processor ("model FLOPs utilisation", Chowdhery et al.
2022, appendix B).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import ceil

import numpy as np
import numpy.typing as npt
import torch

from bertkit.config.model import ModelConfig
from bertkit.model.precision import Computing

Counts = Sequence[int] | Sequence[float] | npt.NDArray[np.int64] | npt.NDArray[np.float64]

LARGE = (2_048, 2_048, 2_048)
"""Rows, inputs and outputs of a product that no overhead slows down."""

BACKWARD = 2
"""A product's backward pass is two of its size: the gradients of both factors."""

_DTYPES: dict[Computing, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Long enough for the clock.
_BLOCK_SECONDS = 0.01
_LEAST_BLOCKS = 3
_MOST_BLOCKS = 100


def encoder_flops(config: ModelConfig, lengths: Counts, rows: Counts | None = None) -> float:
    """Operations of the encoder's layers, forward alone; the pooler is not one of them.

    Args:
        config: sizes.
        lengths: pieces of each sequence, B of them.
        rows: of how many pieces of each sequence the last layer's output is wanted, B of them; of the others
            that layer computes keys and values. None: of all.
    """
    size, pieces_B = config.hidden_size, np.asarray(lengths, dtype=np.float64)

    def layer(asking_B: npt.NDArray[np.float64]) -> float:
        keys_and_values = 2 * size**2 * pieces_B.sum()
        queries_and_output = 2 * size**2 * asking_B.sum()
        feed_forward = (2 + config.gated) * size * config.feedforward_size * asking_B.sum()
        # Each head has scores and their product with the values; together the heads are as wide as the model.
        attention = 2 * size * (asking_B * pieces_B).sum()
        return float(2 * (keys_and_values + queries_and_output + feed_forward + attention))

    last = pieces_B if rows is None else np.asarray(rows, dtype=np.float64)
    return (config.layers - 1) * layer(pieces_B) + layer(last)


def training_flops(config: ModelConfig, lengths: Counts, masked: float, *, pairs: bool = False) -> float:
    """Operations of one pretraining step, forward and backward, of `Pretrainer`.

    Args:
        config: sizes of the encoder.
        lengths: pieces of each sequence, B of them.
        masked: masked pieces of all sequences together, M. Where they stand matters to the last layer's
            attention alone; they are taken to be spread evenly over the pieces.
        pairs: whether there is a pair head, and so the pooler and `[CLS]` among the last layer's rows.
    """
    size, pieces_B = config.hidden_size, np.asarray(lengths, dtype=np.float64)
    rows_B = pieces_B * (masked / pieces_B.sum()) + pairs
    heads = 2 * masked * size * (size + config.vocabulary_size)
    if pairs:
        heads += 2 * len(pieces_B) * size * (size + 2)
    return (1 + BACKWARD) * (encoder_flops(config, lengths, rows_B) + heads)


def gemm_rate(precision: Computing, shape: tuple[int, int, int] = LARGE, *, budget: float = 0.3) -> float:
    """Operations a second of a product `[m, k] x [k, n]`, as a linear layer computes it: the fastest of many.

    The fastest, because others on the machine only ever make it slower.

    Args:
        precision: of input, weight and output.
        shape: m, k and n.
        budget: seconds to spend, about; slow products are run a few times whatever they take.
    """
    m, k, n = shape
    input_mk = torch.randn(m, k).to(_DTYPES[precision])
    weight_nk = torch.randn(n, k).to(_DTYPES[precision])

    def seconds(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            torch.nn.functional.linear(input_mk, weight_nk)
        return time.perf_counter() - begin

    with torch.inference_mode():
        seconds(1)  # the first call prepares the kernel
        once = seconds(1)
        calls = ceil(_BLOCK_SECONDS / once)
        blocks = min(max(_LEAST_BLOCKS, int(budget / (calls * once))), _MOST_BLOCKS)
        fastest = min(seconds(calls) for _ in range(blocks))
    return 2 * m * k * n * calls / fastest
