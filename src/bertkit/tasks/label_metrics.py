"""Scores of rows that have any number of labels: what each row adds, and metrics as functions of the sums.

A row adds `SUMS` numbers, however many labels there are. Counts of labels that are right, told and true make
the F1 over all labels. Means over labels are no functions of a few sums: of them a row adds their linear
part, which is the mean and how far the row moves it (the infinitesimal jackknife, Efron 1982, section 6.3).
So their score is exact, and their intervals hold to first order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.examples import Targets
from bertkit.tasks.label_sets import BoolArray, dense
from bertkit.tasks.metrics import Adds, FloatArray, Metric, ratio

SUMS = 7
"""Labels hit, told and true, rows, rows all right, macro F1, average precision."""
_LABELS_AT_ONCE = 64


def probabilities(logits_NC: npt.NDArray[Any]) -> FloatArray:
    """Of each label for itself, in (0, 1)."""
    from scipy.special import expit

    found: FloatArray = expit(np.asarray(logits_NC, dtype=np.float64))
    return found


def adds_of_sets(targets: Targets, margins_NC: npt.NDArray[Any]) -> Adds:
    """What each of N rows adds, float64 [N, SUMS].

    Args:
        targets: the labels that rows have.
        margins_NC: how sure the model is of each label; it tells those above 0. What is no number is not
            told, and the least sure.
    """
    true = dense(targets, margins_NC.shape[1])
    told = margins_NC > 0
    rows = len(true)
    hits = (true & told).sum(axis=1)
    right = (true == told).all(axis=1)
    return np.column_stack(
        [
            *(hits, told.sum(axis=1), true.sum(axis=1), np.ones(rows), right),
            *(_macro_f1(true, told), _average_precision(true, margins_NC)),
        ]
    ).astype(np.float64)


def _macro_f1(true: BoolArray, told: BoolArray) -> FloatArray:
    """The linear part of the mean over labels of their F1, [N]; 0 for a label neither true nor told."""
    both = np.stack([(true & told).sum(0), told.sum(0), true.sum(0)]).astype(np.float64)
    size = both[1] + both[2]
    scores = ratio(2 * both[0], size)
    # How a row of a label moves its F1: (2 hit - F1 (told + true)) / (told + true of all rows).
    per_hit, per_one = ratio(np.full_like(size, 2.0), size), ratio(scores, size)
    moved = (true & told) @ per_hit - told @ per_one - true @ per_one
    found: FloatArray = scores.mean() + len(true) / true.shape[1] * moved
    return found


def _average_precision(true: BoolArray, margins_NC: npt.NDArray[Any]) -> FloatArray:
    """The linear part of the mean over labels of their average precision, [N]."""
    found = np.zeros(len(true))
    labels = true.shape[1]
    for start in range(0, labels, _LABELS_AT_ONCE):
        part = slice(start, start + _LABELS_AT_ONCE)
        scores, moved = precision_parts(true[:, part], margins_NC[:, part])
        found += (scores + len(true) * moved).sum(axis=1) / labels
    return found


def precision_parts(true_NC: BoolArray, margins_NC: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Average precision of each label, [C], and its derivative by the weight of each row, [N, C].

    With weights w, average precision is the mean over rows that have the label of T / R, where T counts such
    rows and R all rows that are at least as sure. Equal ones share one place, and a label that no row has
    scores 0, as in scikit-learn.
    """
    rows, labels = true_NC.shape
    sure = np.where(np.isnan(margins_NC), -np.inf, margins_NC)
    order = np.argsort(-sure, axis=0, kind="stable")
    ranked, hit = np.take_along_axis(sure, order, 0), np.take_along_axis(true_NC, order, 0)
    # The last and the first place of those that are equal.
    places = np.arange(rows)[:, None]
    new = np.ones((rows, labels), dtype=np.bool_)
    new[1:] = ranked[1:] != ranked[:-1]
    first = np.maximum.accumulate(np.where(new, places, 0), axis=0)
    last = np.where(np.roll(new, -1, axis=0), places, rows - 1)
    last[-1] = rows - 1
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    seen = last + 1.0
    precision = np.take_along_axis(np.cumsum(hit, axis=0), last, 0) / seen
    positives = hit.sum(axis=0)
    scores = ratio((precision * hit).sum(axis=0), positives.astype(np.float64))
    # A row enters T and R of all true rows that are no surer than it: from its own place downwards.
    below = _from(hit / seen, first), _from(hit * precision / seen, first)
    moved = hit * precision + hit * below[0] - below[1] - hit * scores
    moved = np.where(positives > 0, moved / np.maximum(positives, 1), 0.0)
    back = np.empty_like(moved)
    np.put_along_axis(back, order, moved, axis=0)
    return scores, back


def _from(values: FloatArray, first: npt.NDArray[np.int64]) -> FloatArray:
    """Sums of a column from the place `first` to its end, for each place."""
    return np.take_along_axis(np.cumsum(values[::-1], axis=0)[::-1], first, 0)


def micro_f1(sums: FloatArray) -> FloatArray:
    """F1 over all labels of all rows; 0 where no label is told and none is true, as scikit-learn's."""
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def subset_accuracy(sums: FloatArray) -> FloatArray:
    """Share of rows whose labels are all told, and no other."""
    return ratio(sums[..., 4], sums[..., 3])


def macro_f1_of_sets(sums: FloatArray) -> FloatArray:
    """The mean over labels of their F1; a label that is neither true nor told of any row counts 0."""
    return ratio(sums[..., 5], sums[..., 3])


def average_precision(sums: FloatArray) -> FloatArray:
    """The mean over labels of their average precision, scikit-learn's "macro"; see `precision_parts`."""
    return ratio(sums[..., 6], sums[..., 3])


def _flawless(adds: Adds, level: float) -> FloatArray | None:
    """The sums at a rate of wrong rows of about 3 / N (the rule of three, see `Metric.flawless`).

    Every score loses that rate: of such rows no label is hit, and as many are told.
    """
    sums: FloatArray = adds.sum(0, dtype=np.float64)
    if sums[4] < sums[3]:
        return None
    kept = (1 - level) ** (1 / sums[3])
    sums[[0, 4, 5, 6]] *= kept
    return sums


SET_METRICS = tuple(
    Metric(name, title, score, flawless=_flawless)
    for name, title, score in (
        ("micro_f1", "micro F1", micro_f1),
        ("macro_f1", "macro F1", macro_f1_of_sets),
        ("average_precision", "average precision", average_precision),
        ("subset_accuracy", "subset accuracy", subset_accuracy),
    )
)


def by_label(targets: Targets, margins_NC: npt.NDArray[Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Of each label what `confusion.by_class` tells of a class, and its `average_precision`.

    What is a share of no rows is 0, as in scikit-learn with `zero_division=0`.
    """
    true, told = dense(targets, len(names)), margins_NC > 0
    counts = {"rows": true.sum(0), "predicted": told.sum(0), "found": (true & told).sum(0)}
    rows, predicted, found = (each.astype(np.float64) for each in counts.values())
    shares = {
        "precision": ratio(found, predicted),
        "recall": ratio(found, rows),
        "f1": ratio(2 * found, rows + predicted),
        "average_precision": np.concatenate(
            [
                precision_parts(true[:, start : start + _LABELS_AT_ONCE], part)[0]
                for start in range(0, len(names), _LABELS_AT_ONCE)
                if (part := margins_NC[:, start : start + _LABELS_AT_ONCE]).size
            ]
        ),
    }
    return [
        {
            "label": name,
            **{key: int(each[place]) for key, each in counts.items()},
            **{key: float(each[place]) for key, each in shares.items()},
        }
        for place, name in enumerate(names)
    ]
