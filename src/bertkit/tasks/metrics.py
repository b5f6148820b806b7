"""Scores as functions of a confusion matrix, and how far to trust them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError, nearest

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Metric = Callable[[npt.NDArray[Any]], FloatArray]

# Cells resampled at once: bounds the memory of the bootstrap for many classes (32 MB).
CELLS_AT_ONCE = 4_000_000


def entropy(shares: npt.ArrayLike) -> float:
    """Of shares of a whole, or of counts, in nats: the loss of one who knows how often each occurs."""
    weights = np.asarray(shares, dtype=np.float64)
    known = weights[weights > 0] / weights.sum()
    return float((known * -np.log(known)).sum())


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> IntArray:
    """Counts of the (true, predicted) pairs of class numbers, [C, C]: rows true, columns predicted."""
    cells = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def matthews(confusion: npt.NDArray[Any]) -> FloatArray:
    """Matthews correlation of any number of classes (R_K of Gorodkin 2004), in [-1, 1].

    As scikit-learn's, it is 0 where the truth or the prediction has one class only.

    Args:
        confusion: counts [..., C, C].

    Returns:
        [...], as of every metric here.
    """
    cells = np.asarray(confusion, dtype=np.float64)
    true, predicted = cells.sum(-1), cells.sum(-2)
    total = true.sum(-1)
    covariance = np.trace(cells, axis1=-2, axis2=-1) * total - (true * predicted).sum(-1)
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    return _ratio(covariance, np.sqrt(spread))


def accuracy(confusion: npt.NDArray[Any]) -> FloatArray:
    """Share of rows whose prediction is right."""
    cells = np.asarray(confusion, dtype=np.float64)
    return _ratio(np.trace(cells, axis1=-2, axis2=-1), cells.sum((-2, -1)))


def f1(confusion: npt.NDArray[Any]) -> FloatArray:
    """F1 of class 1 where there are two classes, else the mean over all classes (macro).

    A class that is neither true nor predicted of any row counts 0, as in scikit-learn with `labels` given.
    """
    cells = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(cells, axis1=-2, axis2=-1)
    by_class = _ratio(2 * hits, cells.sum(-1) + cells.sum(-2))
    return by_class[..., 1] if cells.shape[-1] == 2 else by_class.mean(-1)


METRICS: dict[str, Metric] = {"mcc": matthews, "accuracy": accuracy, "f1": f1}


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises:
        UserError: there is none; the nearest name is offered.
    """
    if name not in METRICS:
        raise UserError(f"There is no metric {name!r}.{nearest(name, list(METRICS))}")
    return METRICS[name]


def all_metrics(confusion: IntArray) -> dict[str, float]:
    """Every metric of one confusion matrix [C, C]."""
    return {name: float(metric(confusion)) for name, metric in METRICS.items()}


def bootstrap_interval(
    confusion: IntArray, metric: str, *, samples: int = 10_000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of a metric over the rows of the evaluated set (Efron 1979).

    Drawing N rows with replacement and counting them draws the N counts of the confusion matrix from the
    multinomial distribution of its shares: the same thing without touching a row. Rows without a mistake have
    `flawless_interval`: to draw from them never finds one.

    Args:
        confusion: counts [C, C] of at least one row.
        metric: a name in `METRICS`.
        samples: resampled sets.
        seed: of the draws; the same seed gives the same interval.
        level: the share of the samples inside.

    Returns:
        The lower and the upper end.
    """
    score = get_metric(metric)
    rows, classes = int(confusion.sum()), len(confusion)
    assert rows > 0, "an interval needs rows"
    if np.trace(confusion) == rows:
        return flawless_interval(confusion.sum(1), metric, level=level)
    generator = np.random.default_rng(seed)
    shares = confusion.ravel() / rows
    at_once = max(1, CELLS_AT_ONCE // shares.size)
    scores = np.concatenate(
        [
            score(generator.multinomial(rows, shares, size).reshape(size, classes, classes))
            for size in (min(at_once, samples - start) for start in range(0, samples, at_once))
        ]
    )
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def flawless_interval(counts: IntArray, metric: str, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a metric where no row has a wrong answer: from below, for nothing is better.

    The lower end is the score at the greatest rate of mistakes at which N rows show none with a probability
    of 1 - `level`, about 3 / N (the rule of three, Hanley and Lippman-Hand 1983), the same in every class,
    whose mistakes fall on the others by their shares.

    Args:
        counts: rows of each class, [C].
        metric: a name in `METRICS`.
        level: how often such an interval holds the true score.
    """
    score, shares = get_metric(metric), counts / counts.sum()
    rate = 1 - (1 - level) ** (1 / float(counts.sum()))
    others = np.tile(shares, (len(shares), 1))
    np.fill_diagonal(others, 0.0)
    left = others.sum(1, keepdims=True)
    others = np.divide(others, left, out=np.zeros_like(others), where=left > 0)
    # Of rows that are all of one class the mistakes fall on the others alike.
    others[left[:, 0] == 0] = (1 - np.eye(len(shares))[left[:, 0] == 0]) / max(1, len(shares) - 1)
    mistaken = np.diag((1 - rate) * shares) + rate * shares[:, None] * others
    best = float(score(np.diag(counts)))
    return min(float(score(mistaken)), best), best


def summary(confusion: IntArray, metric: str) -> dict[str, Any]:
    """What `result.json` says about one set of predictions: score, 95 % interval and all metrics."""
    return {
        "metric": metric,
        "score": float(get_metric(metric)(confusion)),
        "interval": list(bootstrap_interval(confusion, metric)),
        "metrics": all_metrics(confusion),
    }


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
