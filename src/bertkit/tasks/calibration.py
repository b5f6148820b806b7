"""Whether a classifier's probabilities mean what they say, a temperature for them, and other thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.confusion import metrics_of, sums_of
from bertkit.tasks.metrics import FloatArray, IntArray, Metric, get_metric, wilson_interval

BINS = 15
"""Guo et al. 2017 ("On calibration of modern neural networks") bin so; an ECE depends on it."""
FOLDS = 5
TEMPERATURES = (0.1, 10.0)
"""Beyond these the rows do not say where to stop: all are right, or the answers know nothing."""
THRESHOLDS = np.arange(1, 100) / 100
_NO_GAIN = 1e-9
_LEAST = 1e-37  # float32 probabilities below it are 0, and have no logarithm.
_DRAWS = 200


def logarithms(probabilities: npt.ArrayLike) -> FloatArray:
    """Log-probabilities [N, C] of probabilities that may have been rounded to 0."""
    logs: FloatArray = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST))
    return logs


def tempered(logs: npt.NDArray[Any], temperature: float) -> FloatArray:
    """Log-probabilities [N, C] as if the logits had been divided by `temperature`.

    In float64, in which classes that differed still do: the likeliest one stays the likeliest.
    """
    scaled = np.asarray(logs, dtype=np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    normed: FloatArray = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return normed


def log_loss(logs: npt.NDArray[Any], labels: IntArray) -> float:
    """Mean negative log-probability of the true class, in nats, of logs [N, C] and labels [N]."""
    return -float(logs[np.arange(len(labels)), labels].mean())


def brier(logs: npt.NDArray[Any], labels: IntArray) -> float:
    """Mean squared distance of the probabilities from the truth, summed over classes, 0 to 2 (Brier 1950)."""
    distance = np.exp(np.asarray(logs, dtype=np.float64))
    distance[np.arange(len(labels)), labels] -= 1
    return float((distance**2).sum(axis=1).mean())


def calibration(logs: npt.NDArray[Any], labels: IntArray) -> dict[str, Any]:
    """How sure the predicted label is said to be against how often it is right.

    Args:
        logs: log-probability of each class on each of N rows, [N, C].
        labels: true classes, [N].

    Returns:
        `bins` (those with rows: `from`, `to`, `rows`, mean `confidence`, share `right` and its 95 %
        `interval`), `ece` (mean distance of confidence and share, weighted by rows), `ece_expected` (the
        mean, and what 95 % stay below, that probabilities which mean exactly what they say would show on so
        few rows), `log_loss`, `brier`, `bin_count`.
    """
    confidence = np.exp(np.asarray(logs, dtype=np.float64).max(axis=1))
    right = np.argmax(logs, axis=1) == labels
    places = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    rows = np.bincount(places, minlength=BINS)
    sums = np.bincount(places, weights=confidence, minlength=BINS).astype(np.float64)
    hits = np.bincount(places, weights=right, minlength=BINS)
    bins = [
        {
            "from": place / BINS,
            "to": (place + 1) / BINS,
            "rows": int(rows[place]),
            "confidence": float(sums[place] / rows[place]),
            "right": float(hits[place] / rows[place]),
            "interval": list(wilson_interval(float(hits[place]), int(rows[place]))),
        }
        for place in np.flatnonzero(rows)
    ]
    expected = _expected_errors(confidence, places, sums)
    return {
        "bins": bins,
        "bin_count": BINS,
        "ece": float(np.abs(hits - sums).sum() / len(labels)),
        "ece_expected": {"mean": float(expected.mean()), "high": float(np.quantile(expected, 0.95))},
        "log_loss": log_loss(logs, labels),
        "brier": brier(logs, labels),
    }


def _expected_errors(confidence: FloatArray, places: IntArray, sums: FloatArray) -> FloatArray:
    """ECE of rows that are right exactly as often as they are said to be, drawn several times, [_DRAWS].

    Few rows never meet their probabilities exactly (consistency resampling of Bröcker and Smith 2007).
    """
    random = np.random.default_rng(0)
    found = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        right = random.random(len(confidence)) < confidence
        hits = np.bincount(places, weights=right, minlength=BINS)
        found[draw] = np.abs(hits - sums).sum() / len(confidence)
    return found


def fit_temperature(logs: npt.NDArray[Any], labels: IntArray) -> float | None:
    """The temperature under which the rows are likeliest (Guo et al. 2017); it changes no prediction.

    Args:
        logs: log-probabilities [N, C], of a softmax or of a sigmoid and its counterpart.
        labels: true classes, [N].

    Returns:
        Above 1 where the answers are too sure, below where they are not sure enough. None where the rows
        set no limit, as the best would lie outside `TEMPERATURES`, or where a log is no number.
    """
    if np.isnan(logs).any():
        return None
    from scipy.optimize import minimize_scalar

    def loss(exponent: float) -> float:
        return log_loss(tempered(logs, float(np.exp(exponent))), labels)

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    if loss(0.0) - found.fun < _NO_GAIN:
        return 1.0
    margin = 1e-2
    return float(np.exp(found.x)) if low + margin < found.x < high - margin else None


def temperature_scaling(logs: npt.NDArray[Any], labels: IntArray) -> dict[str, Any]:
    """The temperature that fits the rows, and what it is worth on rows that it was not fitted on.

    Returns:
        `temperature` (or None, see `fit_temperature`) of all rows, and `ece_after`, `log_loss_after` and
        `brier_after`, for which each fifth of the rows has the temperature of the other four (None with
        fewer rows than two a fifth).
    """
    found: dict[str, Any] = {"temperature": fit_temperature(logs, labels)}
    names = ("ece", "log_loss", "brier")
    if len(labels) < 2 * FOLDS:
        return found | {f"{name}_after": None for name in names}
    after = np.empty(logs.shape)
    for inside, outside in folds(len(labels)):
        after[inside] = tempered(logs[inside], fit_temperature(logs[outside], labels[outside]) or 1.0)
    measured = calibration(after, labels)
    return found | {f"{name}_after": measured[name] for name in names}


def threshold_curve(
    probabilities: npt.NDArray[Any], labels: IntArray, metric: Metric, positive: str
) -> dict[str, Any]:
    """A metric of two classes over the probability from which on one of them, the positive one, is answered.

    Args:
        probabilities: of that class, [N].
        labels: 1 where it is true, else 0, [N].
        metric: of such classes, of which the second is the positive one.
        positive: its name.

    Returns:
        `label`, `metric`, `thresholds` and `scores` (from 0.01 to 0.99), `default` (the score at 0.5),
        `best` (`threshold` and `score`; of equal ones that next to 0.5), and `crossfitted`: the score where
        each fifth of the rows has the threshold that is best on the other four (None with fewer rows than two
        a fifth).
    """
    scores = metric.score(sums_of(_confusions(probabilities, labels)))
    top = _best_threshold(scores)
    crossfitted = None
    if len(labels) >= 2 * FOLDS:
        pooled = np.zeros((2, 2), dtype=np.int64)
        for inside, outside in folds(len(labels)):
            chosen = _best_threshold(
                metric.score(sums_of(_confusions(probabilities[outside], labels[outside])))
            )
            pooled += _confusions(probabilities[inside], labels[inside])[chosen]
        crossfitted = float(metric.score(sums_of(pooled)))
    return {
        "label": positive,
        "metric": metric.name,
        "thresholds": THRESHOLDS.tolist(),
        "scores": scores.tolist(),
        "default": float(scores[len(THRESHOLDS) // 2]),
        "best": {"threshold": float(THRESHOLDS[top]), "score": float(scores[top])},
        "crossfitted": crossfitted,
    }


def _confusions(probabilities: npt.NDArray[Any], labels: IntArray) -> IntArray:
    """The confusion matrix [2, 2] of the answers of each of `THRESHOLDS`."""
    said, true = probabilities > THRESHOLDS[:, None], labels == 1
    hits, answered = (said & true).sum(axis=1), said.sum(axis=1)
    missed, alarms = true.sum() - hits, answered - hits
    return np.array([[len(labels) - hits - missed - alarms, alarms], [missed, hits]]).transpose(2, 0, 1)


def _best_threshold(scores: FloatArray) -> int:
    """The index of the best score; of equal ones that next to 0.5."""
    tops = np.flatnonzero(scores == scores.max())
    return int(tops[np.argmin(np.abs(THRESHOLDS[tops] - 0.5))])


def examine(
    probabilities: npt.NDArray[Any],
    labels: IntArray,
    names: Sequence[str],
    metric: Metric,
    *,
    positive: str = "",
) -> dict[str, Any]:
    """What `result.json` says of probabilities [N, C] beside their score; `positive` is one of two names.

    Returns:
        `calibration`, of `calibration` and `temperature_scaling` together, and `thresholds` (None where there
        are not two classes); both None where a probability is no number.
    """
    if np.isnan(probabilities).any():
        return {"calibration": None, "thresholds": None}
    logs = logarithms(probabilities)
    curve = None
    if len(names) == 2:
        place = names.index(positive) if positive else 1
        # There the positive class is the second.
        second = get_metric(metrics_of((names[1 - place], names[place]), names[place]), metric.name)
        hits = (labels == place).astype(np.int64)
        curve = threshold_curve(probabilities[:, place], hits, second, names[place])
    return {
        "calibration": calibration(logs, labels) | temperature_scaling(logs, labels),
        "thresholds": curve,
    }


def folds(rows: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Each fifth of the row numbers, drawn always alike, and the others."""
    fold = np.random.default_rng(0).permutation(rows) % FOLDS
    for number in range(FOLDS):
        yield np.flatnonzero(fold == number), np.flatnonzero(fold != number)
