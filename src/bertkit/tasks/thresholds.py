"""From which probability on a label is told: fitted on rows, and scored on rows that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.calibration import FOLDS, THRESHOLDS, folds
from bertkit.tasks.label_sets import BoolArray
from bertkit.tasks.metrics import FloatArray, IntArray, ratio

USUAL = 0.5
MANNERS = ("one half", "shared", "own")
"""One half for all labels, one fitted threshold for all, or one for each; of equally good ones the first."""
LEAST_ROWS = 10
"""A label that fewer rows have keeps the shared threshold: its own would be that of chance."""
_RARE = np.array([0.001, 0.002, 0.005])
_ALL = np.concatenate([_RARE, THRESHOLDS, 1 - _RARE])
# Of equally good thresholds that next to one half is the first, and so the one that is chosen.
_GRID = _ALL[np.argsort(np.abs(_ALL - USUAL), kind="stable")]
_ROUNDS = 50


@dataclass(frozen=True)
class Thresholds:
    """From which probability on each of C labels is told.

    Attributes:
        manner: the one of `MANNERS` that has the best score on rows that it was not fitted on.
        of_labels_C: fitted on all rows.
        scores: by manner, each row scored with what was fitted on the other folds; empty of too few rows.
        of_rows_NC: with what each row was scored so, in that manner.
    """

    manner: str
    of_labels_C: FloatArray
    scores: dict[str, float]
    of_rows_NC: FloatArray


def fit_thresholds(probabilities_NC: npt.NDArray[Any], true_NC: BoolArray, *, macro: bool) -> Thresholds:
    """The thresholds under which the F1 of rows is highest.

    Args:
        probabilities_NC: of C labels on N rows.
        true_NC: which of them each row has.
        macro: fit the mean over labels of their F1, instead of the F1 over all labels.

    Returns:
        One half for all where there are fewer rows than two a fold, or a probability is no number.
    """
    rows, labels = true_NC.shape
    if rows < 2 * FOLDS or not np.isfinite(probabilities_NC).all():
        return Thresholds(MANNERS[0], np.full(labels, USUAL), {}, np.full(true_NC.shape, USUAL))
    parts = [inside for inside, _ in folds(rows)]
    counted = [_counts(probabilities_NC[inside], true_NC[inside]) for inside in parts]
    # What is counted of all folds but one is all less that one: no row is counted twice.
    every = np.sum(counted, axis=0)
    fitted = [_places(every - part, macro) for part in counted]
    pairs = list(zip(counted, fitted, strict=True))
    scores = {
        manner: float(_f1(np.sum([_at(part, found[manner]) for part, found in pairs], axis=0), macro))
        for manner in MANNERS
    }
    manner = max(MANNERS, key=scores.__getitem__)
    of_rows_NC = np.empty(true_NC.shape)
    for inside, found in zip(parts, fitted, strict=True):
        of_rows_NC[inside] = _GRID[found[manner]]
    return Thresholds(manner, _GRID[_places(every, macro)[manner]], scores, of_rows_NC)


def _counts(probabilities_NC: npt.NDArray[Any], true_NC: BoolArray) -> FloatArray:
    """Of each threshold of the grid and each label the rows that are hit, told and true, [3, G, C]."""
    labels, size = true_NC.shape[1], len(_ALL)
    # How many thresholds a probability is above.
    above_NC = np.searchsorted(_ALL, probabilities_NC, side="left")
    cells_NC = above_NC * labels + np.arange(labels)
    histograms = [
        np.bincount(cells, minlength=(size + 1) * labels).reshape(size + 1, labels)
        for cells in (cells_NC[true_NC], cells_NC.ravel())
    ]
    hit, told = (each[::-1].cumsum(axis=0)[::-1][1:] for each in histograms)
    true = np.broadcast_to(true_NC.sum(axis=0), hit.shape)
    order = np.searchsorted(_ALL, _GRID)
    return np.stack([hit, told, true]).astype(np.float64)[:, order]


def _places(counts: FloatArray, macro: bool) -> dict[str, IntArray]:
    """Where the best thresholds of the C labels stand in the grid, by manner."""
    labels = counts.shape[2]
    shared = int(_f1(counts, macro).argmax())
    own = _f1_of_each(counts).argmax(axis=0) if macro else _best_micro(counts)
    rare = counts[2, 0] < LEAST_ROWS
    found = (np.zeros(labels), np.full(labels, shared), np.where(rare, shared, own))
    return {manner: places.astype(np.int64) for manner, places in zip(MANNERS, found, strict=True)}


def _best_micro(counts: FloatArray) -> IntArray:
    """The thresholds of highest F1 over all labels, [C].

    F1 is a ratio of sums over labels, which is at least f where 2 hit - f (told + true) is 0 or more: for a
    given f each label is for itself, and f rises to the greatest that can be (Dinkelbach 1967).
    """
    reached = 0.0
    places = np.zeros(counts.shape[2], dtype=np.int64)
    for _ in range(_ROUNDS):
        found = (2 * counts[0] - reached * counts[1]).argmax(axis=0)
        if (score := float(_f1(_at(counts, found), macro=False))) <= reached:
            break
        reached, places = score, found
    return places


def _at(counts: FloatArray, places: IntArray) -> FloatArray:
    """What is counted at a threshold for each label, [3, C]."""
    return np.take_along_axis(counts, places[None, None], axis=1)[:, 0]


def _f1_of_each(counts: FloatArray) -> FloatArray:
    return ratio(2 * counts[0], counts[1] + counts[2])


def _f1(counts: FloatArray, macro: bool) -> FloatArray:
    """Of counts [3, ..., C] the F1 over all labels, or the mean of theirs, [...]."""
    if macro:
        mean: FloatArray = _f1_of_each(counts).mean(axis=-1)
        return mean
    return _f1_of_each(counts.sum(axis=-1))


def margins(logits_NC: npt.NDArray[Any], thresholds: FloatArray) -> FloatArray:
    """How far logits are above those of the thresholds ([C], or [N, C]): a label is told above 0."""
    found: FloatArray = logits_NC - np.log(thresholds / (1 - thresholds))
    return found
