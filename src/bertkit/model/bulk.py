"""A trained model over many rows at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bertkit.config.head import HEAD_KINDS
from bertkit.data.packed import Features, Sequences, ranges
from bertkit.model.compute import FLOAT32, Compute
from bertkit.model.heads import Classifier
from bertkit.model.pooling import over_windows

TOKENS = 4096
"""Tokens that are computed together: a few megabytes for each layer, and long matrices."""
After = Callable[[npt.NDArray[np.int64]], None]
"""Is told the numbers of the rows of each batch when they are done; of rows in windows, of the windows."""


class Sharing(Protocol):
    """Processes that share the batches, as `train.processes.Processes` are; `rank` counts from 0."""

    rank: int
    count: int

    def together(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What all have computed: each has 0 where another one has a number."""


class _Alone:
    rank, count = 0, 1

    def together(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return numbers


ALONE: Sharing = _Alone()


def _unheard(rows: npt.NDArray[np.int64]) -> None:
    pass


def head_outputs(
    classifier: Classifier,
    inputs: Sequences | Features,
    *,
    compute: Compute = FLOAT32,
    tokens: int = TOKENS,
    after: After = _unheard,
    sharing: Sharing = ALONE,
) -> npt.NDArray[np.float32]:
    """What the head says of N rows, in the order given: see `Classifier.outputs`, `in_batches`.

    Rows in windows are pooled first, a few windows at a time: a text of any length takes little memory.
    Processes may be `sharing` the work.

    Returns:
        [N, C]; of a head on tokens [T, C], of all tokens end to end; of one that chooses [M, 1], of all
        sequences.
    """
    head = HEAD_KINDS[classifier.head.config.kind]
    sizes: npt.NDArray[np.int64] | None = None
    if isinstance(inputs, Sequences):
        if head.tokens:
            inputs = inputs.apart()
            sizes = inputs.lengths
        elif inputs.windows is not None and head.apart:
            sizes, index, told = inputs.windows.counts, inputs.windows, after

            def after(rows: npt.NDArray[np.int64]) -> None:
                told(index.windows_of(rows))

        elif inputs.windows is not None:
            vectors_NW = pooled(
                classifier, inputs, compute=compute, tokens=tokens, after=after, sharing=sharing
            )
            inputs, after = Features(vectors_NW, np.ones(len(inputs), dtype=np.int64)), _unheard

    def answer(rows: npt.NDArray[np.int64]) -> torch.Tensor:
        batch = inputs.batch(rows)
        return classifier.outputs(classifier(batch), batch)

    width = len(classifier.head.config.labels) or classifier.head.config.outputs
    return in_batches(
        classifier,
        inputs.lengths,
        width,
        answer,
        compute=compute,
        tokens=tokens,
        after=after,
        sizes=sizes,
        sharing=sharing,
    )


def pooled(
    classifier: Classifier,
    sequences: Sequences,
    *,
    compute: Compute = FLOAT32,
    tokens: int = TOKENS,
    after: After = _unheard,
    sharing: Sharing = ALONE,
) -> npt.NDArray[np.float32]:
    """What the head of `classifier` sees of each row, [N, W], in the order given; see `in_batches`.

    Args:
        classifier: an encoder, and the head that says how to pool.
        sequences: N rows.
        compute: where and in which number format.
        tokens: of a batch, at most.
        after: see `After`.
        sharing: those that share the batches; all get all numbers.
    """
    apart = replace(sequences, windows=None)

    def answer(rows: npt.NDArray[np.int64]) -> torch.Tensor:
        return classifier.pool(apart.batch(rows)).float()

    config = classifier.head.config
    width = config.pooled_size(classifier.encoder.config)
    vectors_MW = in_batches(
        classifier,
        apart.lengths,
        width,
        answer,
        compute=compute,
        tokens=tokens,
        after=after,
        sharing=sharing,
    )
    if sequences.windows is None or not len(sequences):
        return vectors_MW
    counts = sequences.windows.counts.tolist()
    return over_windows(torch.from_numpy(vectors_MW), counts, config.pooling).numpy()


def in_batches(
    module: nn.Module,
    lengths: npt.NDArray[np.int64],
    width: int,
    answer: Callable[[npt.NDArray[np.int64]], torch.Tensor],
    *,
    compute: Compute,
    tokens: int,
    after: After = _unheard,
    sizes: npt.NDArray[np.int64] | None = None,
    sharing: Sharing = ALONE,
) -> npt.NDArray[np.float32]:
    """What `answer` makes of the N rows, [N, width], in their order; of more than one each, end to end.

    Rows are computed sorted by length, so that those of one batch are alike, in batches of up to `tokens`
    tokens (or of one longer row). The module's training mode is as before afterwards.

    Args:
        module: what computes, put into evaluation mode meanwhile.
        lengths: tokens of each row, [N].
        width: numbers that each row gives.
        answer: of the row numbers of a batch [B] their float32 numbers [B, width].
        compute: where and in which number format.
        tokens: of a batch, at most.
        after: see `After`.
        sizes: how many `answer` gives of each row, [N]; None: one.
        sharing: those that share the batches; all get all numbers, which are those of one alone.
    """
    starts = None if sizes is None else np.cumsum(sizes) - sizes
    found = np.zeros((len(lengths) if sizes is None else int(sizes.sum()), width), dtype=np.float32)
    training = module.training
    module.eval()
    # One context for all batches: it casts each weight once.
    try:
        with torch.inference_mode(), compute.autocast():
            for number, rows in enumerate(batches_by_length(lengths, tokens)):
                if number % sharing.count == sharing.rank:
                    places = rows if sizes is None or starts is None else ranges(starts[rows], sizes[rows])
                    found[places] = answer(rows).numpy()
                # Neighbours are of like length: meanwhile the others have done theirs.
                after(rows)
    finally:
        module.train(training)
    return sharing.together(found)


def batches_by_length(lengths: npt.NDArray[np.int64], tokens: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows by falling length, cut so that each batch holds at most `tokens`, but at least one row.

    The longest come first: what does not fit into memory fails at once.
    """
    order = np.argsort(-lengths, kind="stable")
    start, total = 0, 0
    for i, length in enumerate(lengths[order].tolist()):
        if i > start and total + length > tokens:
            yield order[start:i]
            start, total = i, 0
        total += length
    if start < len(order):
        yield order[start:]
