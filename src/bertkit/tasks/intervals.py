"""How far to trust scores, and differences, of several seeds, whose rows and seeds are resampled."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from bertkit.tasks.metrics import CELLS_AT_ONCE, IntArray, flawless_interval, get_metric

Floats = npt.NDArray[np.float64]


def seeds_interval(
    labels: IntArray,
    predictions: IntArray,
    classes: int,
    metric: str,
    *,
    samples: int = 2_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean score over K seeds, as if rows and seeds were drawn anew.

    All seeds answer the same rows, so a resampled set of rows is the same for all of them. Rows with the
    same label and the same K predictions are alike: their counts are drawn from a multinomial distribution,
    which is the bootstrap over rows.

    Args:
        labels: true class of each row, [N].
        predictions: predicted class of each row by each seed, [K, N].
        classes: how many there are, C.
        metric: a name in `METRICS`.
        samples: resampled sets.
        seed: of the draws.
        level: the share of the samples inside.
    """
    if (predictions == labels).all():
        return flawless_interval(np.bincount(labels, minlength=classes), metric, level=level)
    random = np.random.default_rng(seed)
    scores = _resampled(labels, predictions, classes, metric, samples, random)
    return middle(_mean_of_drawn(scores, random), level)


def paired_interval(
    labels: IntArray,
    first: IntArray,
    second: IntArray,
    classes: int,
    metric: str,
    *,
    samples: int = 2_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean score of one model's seeds less that of another's.

    Both answer the same rows, so a resampled set of rows is the same for both; their seeds are drawn each for
    itself. See `seeds_interval`.

    Args:
        labels: true class of each row, [N].
        first: predicted class of each row by each seed of the first, [K, N].
        second: of the second, [J, N].
        classes: how many there are, C.
        metric: a name in `METRICS`.
        samples: resampled sets.
        seed: of the draws.
        level: the share of the samples inside.
    """
    return middle(paired_samples(labels, first, second, classes, metric, samples=samples, seed=seed), level)


def paired_samples(
    labels: IntArray,
    first: IntArray,
    second: IntArray,
    classes: int,
    metric: str,
    *,
    samples: int = 2_000,
    seed: int = 0,
) -> Floats:
    """The differences that `paired_interval` takes the middle of, [samples]."""
    random = np.random.default_rng(seed)
    scores = _resampled(labels, np.vstack([first, second]), classes, metric, samples, random)
    means = [_mean_of_drawn(part, random) for part in np.split(scores, [len(first)], axis=1)]
    difference: Floats = means[0] - means[1]
    return difference


def _resampled(
    labels: IntArray,
    predictions: IntArray,
    classes: int,
    metric: str,
    samples: int,
    random: np.random.Generator,
) -> Floats:
    """The score of each of K seeds on each of the resampled sets of rows, [samples, K]."""
    score = get_metric(metric)
    patterns, counts = np.unique(np.vstack([labels, predictions]), axis=1, return_counts=True)
    # Which cell of its seed's confusion matrix a pattern counts in, [K, P].
    cells = patterns[0] * classes + patterns[1:]
    drawn = random.multinomial(counts.sum(), counts / counts.sum(), samples)
    scores = np.empty((samples, len(cells)))
    at_once = max(1, CELLS_AT_ONCE // classes**2)
    for index, cell in enumerate(cells):
        # Sum the patterns of each cell that occurs; most of the C x C never do.
        order = np.argsort(cell, kind="stable")
        used, first = np.unique(cell[order], return_index=True)
        counts = np.add.reduceat(drawn[:, order], first, axis=1)
        for start in range(0, samples, at_once):
            part = counts[start : start + at_once]
            confusion = np.zeros((len(part), classes * classes), dtype=np.int64)
            confusion[:, used] = part
            scores[start : start + at_once, index] = score(confusion.reshape(-1, classes, classes))
    return scores


def _mean_of_drawn(scores: Floats, random: np.random.Generator) -> Floats:
    """The mean of K seeds drawn anew for each sample, [samples], of scores [samples, K]."""
    chosen = random.integers(scores.shape[1], size=scores.shape)
    means: Floats = np.take_along_axis(scores, chosen, axis=1).mean(axis=1)
    return means


def middle(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """What this share of the samples lies between."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def difference_interval(
    first: npt.NDArray[np.bool_],
    second: npt.NDArray[np.bool_],
    *,
    samples: int = 2_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean share of right answers of one model less that of another.

    Both answer the same rows, so a resampled set of rows is the same for both; their seeds are drawn each for
    itself.

    Args:
        first: whether each seed of the first is right on each row, [K, N].
        second: of the second, [J, N].
        samples: resampled sets.
        seed: of the draws.
        level: the share of the samples inside.
    """
    random = np.random.default_rng(seed)
    rows = first.shape[1]
    drawn = random.multinomial(rows, np.full(rows, 1 / rows), samples)
    means = []
    for right in (first, second):
        shares = drawn @ right.T.astype(np.float64) / rows
        means.append(_mean_of_drawn(shares, random))
    return middle(means[0] - means[1], level)


def wilson_interval(right: float, count: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share, `right` of `count` (Wilson 1927); it keeps to 0...1 and holds for few rows too.

    Args:
        right: how many were right; halves may be counted.
        count: of how many, at least 1.
        level: how often such an interval holds the true share.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = right / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * (share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
