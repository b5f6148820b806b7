"""Scores of classes: what each row adds to a confusion matrix, and metrics as functions of its sums.

Of C classes a row adds 3 C + 1 numbers, all 0 or 1: which class is true, which is predicted, which is hit,
and the row itself. Their bytes in falling order are the cells of the matrix in order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.metrics import Adds, FloatArray, IntArray, Metric, ratio


def adds_of(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Adds:
    """What each of N rows adds, uint8 [N, 3 C + 1], of true and predicted class numbers [N]."""
    one = np.eye(classes, dtype=np.uint8)
    true, predicted = one[np.asarray(labels)], one[np.asarray(predictions)]
    return np.hstack([true, predicted, true & predicted, np.ones((len(true), 1), dtype=np.uint8)])


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> IntArray:
    """Counts of the (true, predicted) pairs of class numbers, [C, C]: rows true, columns predicted."""
    cells = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def sums_of(confusion: npt.NDArray[Any]) -> FloatArray:
    """What the rows of confusion matrices [..., C, C] add up to, [..., 3 C + 1]."""
    cells = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(cells, axis1=-2, axis2=-1)
    return np.concatenate([cells.sum(-1), cells.sum(-2), hits, cells.sum((-2, -1))[..., None]], axis=-1)


def matthews(sums: FloatArray) -> FloatArray:
    """Matthews correlation of any number of classes (R_K of Gorodkin 2004), in [-1, 1].

    As scikit-learn's, it is 0 where the truth or the prediction has one class only.
    """
    true, predicted, hits, _ = _parts(sums)
    total = true.sum(-1)
    covariance = hits.sum(-1) * total - (true * predicted).sum(-1)
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (predicted**2).sum(-1))
    return ratio(covariance, np.sqrt(spread))


def accuracy(sums: FloatArray) -> FloatArray:
    """Share of rows whose prediction is right."""
    _, _, hits, rows = _parts(sums)
    return ratio(hits.sum(-1), rows)


def f1(sums: FloatArray) -> FloatArray:
    """F1 of class 1 where there are two classes, else the mean over all classes (macro).

    A class that is neither true nor predicted of any row counts 0, as in scikit-learn with `labels` given.
    """
    true, predicted, hits, _ = _parts(sums)
    by_class = ratio(2 * hits, true + predicted)
    score: FloatArray = by_class[..., 1] if by_class.shape[-1] == 2 else by_class.mean(-1)
    return score


def _parts(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Counts of each true class, of each predicted one, and of hits, [..., C]; of rows, [...]."""
    classes = sums.shape[-1] // 3
    true, predicted, hits = (sums[..., place * classes : (place + 1) * classes] for place in range(3))
    return true, predicted, hits, sums[..., -1]


def _flawless(adds: Adds, level: float) -> FloatArray | None:
    """The sums at a rate of mistakes of about 3 / N (the rule of three, Hanley and Lippman-Hand 1983).

    It is the same in every class, and the mistakes fall on the other classes by their shares.
    """
    classes = adds.shape[1] // 3
    counts = adds[:, :classes].sum(0, dtype=np.int64)
    if adds[:, 2 * classes : 3 * classes].sum() < len(adds):
        return None
    shares = counts / counts.sum()
    rate = 1 - (1 - level) ** (1 / float(counts.sum()))
    others = np.tile(shares, (classes, 1))
    np.fill_diagonal(others, 0.0)
    left = others.sum(1, keepdims=True)
    others = np.divide(others, left, out=np.zeros_like(others), where=left > 0)
    # Of rows that are all of one class the mistakes fall on the others alike.
    others[left[:, 0] == 0] = (1 - np.eye(classes)[left[:, 0] == 0]) / max(1, classes - 1)
    return sums_of(np.diag((1 - rate) * shares) + rate * shares[:, None] * others)


def _last(adds: Adds) -> Adds:
    """The last cell of the matrix: all of its cells are drawn, and what is left falls on this one."""
    last = adds.shape[1] // 3 - 1
    added: Adds = adds_of([last], [last], last + 1)[0]
    return added


CLASS_METRICS = (
    Metric("mcc", "MCC", matthews, flawless=_flawless, last=_last),
    Metric("accuracy", "accuracy", accuracy, flawless=_flawless, last=_last),
    Metric("f1", "F1", f1, flawless=_flawless, last=_last),
)
