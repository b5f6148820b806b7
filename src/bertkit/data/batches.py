"""Which examples make which batch: a pure function of the recipe, the seed and the epoch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bertkit.recipe import BatchRecipe

Rows = npt.NDArray[np.int64]

# Batches whose examples are sorted by length together. Enough that neighbours are of like length, few
# enough that who meets whom still changes with every epoch.
BATCHES_SORTED_TOGETHER = 50


def epoch_batches(
    lengths: Rows, recipe: BatchRecipe, seed: int, epoch: int, classes: Rows | None = None
) -> list[Rows]:
    """The batches of one epoch, in order: every row in exactly one of them, unless they are balanced.

    With `by_length`, rows are shuffled, sorted by length within large chunks, cut into batches of as many
    sequences, or of about as many tokens, and the batches are shuffled.

    Args:
        lengths: tokens of each row, [N].
        recipe: size and order.
        seed: the run's.
        epoch: 0, 1, ...
        classes: of each row, [N]; needed where batches are balanced.

    Returns:
        Row numbers of each batch; in one made by length the shortest come first.
    """
    count = len(lengths)
    if not recipe.shuffle:
        return _cut(np.arange(count), recipe.sequences)
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(count)
    if recipe.sampling == "balanced":
        assert classes is not None, "balanced batches are of rows with classes"
        order = _balanced(classes, random)
    if not recipe.by_length:
        return _cut(order, recipe.sequences)
    batches: list[Rows] = []
    chunk = recipe.sequences * BATCHES_SORTED_TOGETHER
    # Also with as many tokens, the number of batches is that of as many sequences, whatever the lengths:
    # it does not vary with the seed, so neither does the number of steps.
    for start in range(0, count, chunk):
        rows = order[start : start + chunk]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        if recipe.alike == "tokens":
            batches.extend(cut_by_tokens(rows, lengths[rows], -(-len(rows) // recipe.sequences)))
        else:
            batches.extend(_cut(rows, recipe.sequences))
    return [batches[index] for index in random.permutation(len(batches))]


def _balanced(classes: Rows, random: np.random.Generator) -> Rows:
    """As many rows as there are, about as many of each class, in random order, [N].

    Of a class no row comes more than once more often than another.
    """
    count, present = len(classes), np.unique(classes)
    wanted = np.full(len(present), count // len(present))
    wanted[random.permutation(len(present))[: count - wanted.sum()]] += 1
    drawn = []
    for label, rows_wanted in zip(present, wanted, strict=True):
        rows = np.flatnonzero(classes == label)
        passes = -(-rows_wanted // len(rows))
        drawn += [random.permutation(rows) for _ in range(passes - 1)]
        drawn.append(random.permutation(rows)[: rows_wanted - (passes - 1) * len(rows)])
    return random.permutation(np.concatenate(drawn))


def _cut(rows: Rows, size: int) -> list[Rows]:
    return np.split(rows, range(size, len(rows), size))


def cut_by_tokens(rows: Rows, lengths: Rows, parts: int) -> list[Rows]:
    """Cut `rows`, in order, into at most as many `parts`, none empty, of about the same number of tokens."""
    middles = np.cumsum(lengths) - lengths / 2
    part = np.minimum((middles * parts / lengths.sum()).astype(np.int64), parts - 1)
    # A row longer than a whole share would leave the next part empty; move each part's start to keep one.
    starts = np.searchsorted(part, np.arange(1, parts))
    low = np.arange(1, parts)
    starts = np.maximum.accumulate(np.maximum(starts - low, 0)) + low
    starts = np.minimum(starts, len(rows) - parts + low)
    return np.split(rows, starts)
