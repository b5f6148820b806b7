"""Scores of classes: what each row adds to a confusion matrix, and metrics as functions of its sums.

Of C classes a row adds 3 C + 1 numbers, all 0 or 1: which class is true, which is predicted, which is hit,
and the row itself. Their bytes in falling order are the cells of the matrix in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.metrics import Adds, FloatArray, IntArray, Metric, ratio

MOST_CONFUSED = 100
"""Pairs of classes that a result tells; the counts of a class in its table are of all rows."""


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


def f1(sums: FloatArray, *, positive: int = -1) -> FloatArray:
    """F1 of one class, the last unless another is said.

    It is 0 where that class is neither true nor predicted of any row, as scikit-learn's.
    """
    score: FloatArray = _f1_by_class(sums)[..., positive]
    return score


def macro_f1(sums: FloatArray) -> FloatArray:
    """The mean of the F1 of all classes: a small class counts as much as a large one.

    A class that is neither true nor predicted of any row counts 0, as in scikit-learn with `labels` given.
    """
    score: FloatArray = _f1_by_class(sums).mean(-1)
    return score


def _f1_by_class(sums: FloatArray) -> FloatArray:
    true, predicted, hits, _ = _parts(sums)
    return ratio(2 * hits, true + predicted)


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
    Metric("f1", "F1", f1, of_positive=True, flawless=_flawless, last=_last),
    Metric("macro_f1", "macro F1", macro_f1, flawless=_flawless, last=_last),
)


@cache
def metrics_of(names: tuple[str, ...], positive: str) -> tuple[Metric, ...]:
    """Those of such classes: of two the F1 of the `positive` one, of more there is no such one."""
    if len(names) != 2:
        return tuple(metric for metric in CLASS_METRICS if not metric.of_positive)
    place = names.index(positive) if positive else 1
    return tuple(
        replace(metric, title=f"{metric.title} of {names[place]}", score=partial(f1, positive=place))
        if metric.of_positive
        else metric
        for metric in CLASS_METRICS
    )


def by_class(labels: IntArray, predictions: IntArray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of each class its `label`, the true `rows`, those `predicted`, `found`, `precision`, `recall` and `f1`.

    What is a share of no rows is 0, as in scikit-learn with `zero_division=0`.
    """
    true, predicted, hits = (
        np.bincount(chosen, minlength=len(names)).astype(np.float64)
        for chosen in (labels, predictions, labels[labels == predictions])
    )
    shares = {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, true),
        "f1": ratio(2 * hits, true + predicted),
    }
    return [
        {
            "label": label,
            "rows": int(true[place]),
            "predicted": int(predicted[place]),
            "found": int(hits[place]),
            **{name: float(each[place]) for name, each in shares.items()},
        }
        for place, label in enumerate(names)
    ]


def confusions(labels: IntArray, predictions: IntArray, names: Sequence[str]) -> list[dict[str, Any]]:
    """The `MOST_CONFUSED` pairs of classes most often confused, each with `label`, `predicted`, `rows`."""
    wrong = labels != predictions
    cells, counts = np.unique(labels[wrong] * len(names) + predictions[wrong], return_counts=True)
    most = np.argsort(-counts, kind="stable")[:MOST_CONFUSED]
    return [
        {"label": names[cell // len(names)], "predicted": names[cell % len(names)], "rows": int(count)}
        for cell, count in zip(cells[most], counts[most], strict=True)
    ]
