"""How much arithmetic a step is.

Only matrix products count, two operations for each multiplication with its addition, and only those that
the result needs: no pads, and nothing that a kernel computes twice to save memory. Their share of the rate of
one large product says how well a training loop uses a processor ("model FLOPs utilisation", Chowdhery et al.
2022, appendix B).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bertkit.config.model import ModelConfig

Counts = Sequence[int] | Sequence[float] | npt.NDArray[np.int64] | npt.NDArray[np.float64]

BACKWARD = 2
"""A product's backward pass is two of its size: the gradients of both factors."""


def encoder_flops(config: ModelConfig, lengths: Counts, rows: Counts | None = None) -> float:
    """Operations of the encoder's layers, forward alone; the pooler is not one of them.

    Args:
        config: sizes.
        lengths: tokens of each sequence, B of them.
        rows: of how many tokens of each sequence the last layer's output is wanted, B of them; of the others
            that layer computes keys and values. None: of all.
    """
    size, tokens_B = config.hidden_size, np.asarray(lengths, dtype=np.float64)

    def layer(asking_B: npt.NDArray[np.float64]) -> float:
        keys_and_values = 2 * size**2 * tokens_B.sum()
        queries_and_output = 2 * size**2 * asking_B.sum()
        feed_forward = (2 + config.gated) * size * config.feedforward_size * asking_B.sum()
        # Each head has scores and their product with the values; together the heads are as wide as the model.
        attention = 2 * size * (asking_B * tokens_B).sum()
        return float(2 * (keys_and_values + queries_and_output + feed_forward + attention))

    last = tokens_B if rows is None else np.asarray(rows, dtype=np.float64)
    return (config.layers - 1) * layer(tokens_B) + layer(last)


def training_flops(config: ModelConfig, lengths: Counts, masked: float, *, pairs: bool = False) -> float:
    """Operations of one pretraining step, forward and backward, of `Pretrainer`.

    Args:
        config: sizes of the encoder.
        lengths: tokens of each sequence, B of them.
        masked: masked tokens of all sequences together, M. Where they stand matters to the last layer's
            attention alone; they are taken to be spread evenly over the tokens.
        pairs: whether there is a pair head, and so the pooler and `[CLS]` among the last layer's rows.
    """
    size, tokens_B = config.hidden_size, np.asarray(lengths, dtype=np.float64)
    rows_B = tokens_B * (masked / tokens_B.sum()) + pairs
    heads = 2 * masked * size * (size + config.vocabulary_size)
    if pairs:
        heads += 2 * len(tokens_B) * size * (size + 2)
    return (1 + BACKWARD) * (encoder_flops(config, lengths, rows_B) + heads)
