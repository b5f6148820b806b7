"""The kind of task whose rows have a number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError, quoted
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import (
    MISTAKES,
    Baseline,
    Decision,
    HeadOutputs,
    Kind,
    LabelColumn,
    Names,
    Outputs,
    Predictions,
    Scale,
    Wanted,
)
from bertkit.tasks.metrics import Adds, FloatArray, Metric, ratio
from bertkit.tasks.ngrams import columns, features

NAMES: Names = ("score",)
POINTS = 2_000
"""Rows that a result names with their numbers, for the picture."""
TENTHS = 10
"""Rows of each tenth of the numbers are set aside alike."""
SAME = 0.01
"""Of the targets' deviation: predictions that lie no further apart are one number."""
_GREATEST = 1e18
"""Of a score: its square is one that float32 holds."""
# Of scores whose range is a smaller share of their size, numbers of seven digits tell too few apart.
_ALIKE = 1e-5
_ALPHA = 1.0
# Sums of squares that are so much smaller than what they are the difference of are rounding.
_ROUNDING = 1e-9


def _targets(column: LabelColumn) -> tuple[Targets, Names]:
    values = np.array([float(cell) for cell in column.cells])
    if column.to_learn and np.ptp(values) == 0:
        raise UserError(
            f"{column.path}: every row has the score {values[0]:g}; learning needs rows of different ones."
        )
    if column.to_learn and np.ptp(values) < _ALIKE * np.abs(values).max():
        raise UserError(
            f"{column.path}: the scores, from {values.min():.9g} to {values.max():.9g}, are too much alike "
            "for numbers of seven digits, which a model has; take the same number from each."
        )
    return Targets.single(values), NAMES


def _label_problem(column: LabelColumn, row: int) -> str | None:
    cell = column.cells[row]
    try:
        value = float(cell)
    except ValueError:
        return f"the score {quoted(cell)} is not a number."
    if not math.isfinite(value):
        return f"the score {quoted(cell)} is not a finite number."
    if abs(value) > _GREATEST:
        return f"the score {quoted(cell)} is beyond {_GREATEST:g}; give scores in a larger unit."
    return None


def _told(targets: Targets, names: Names) -> list[Any]:
    found: list[Any] = targets.values.tolist()
    return found


def _scale(targets: Targets) -> Scale:
    return Scale(float(targets.values.mean()), float(targets.values.std()))


def _predict(rows: Examples, outputs: Outputs, names: Names, decision: Decision) -> FloatArray:
    found: FloatArray = outputs[:, 0].astype(np.float64)
    return found


def _losses(encoded: Encoded, outputs: HeadOutputs, scale: Scale) -> npt.NDArray[Any]:
    """Squared error on the standardised scale."""
    error = outputs[:, 0].astype(np.float64) - encoded.learned.values
    found: FloatArray = np.square(error / scale.deviation)
    return found


def _adds(rows: Examples, predictions: Predictions, names: Names) -> Adds:
    """One, the sums of a correlation of numbers and of ranks, and the errors.

    Ranks are those in the whole set, also where rows of it are drawn anew.
    """
    from scipy.stats import rankdata

    targets = rows.known.values
    error = predictions - targets
    return np.column_stack(
        [
            np.ones(len(targets)),
            *_products(predictions, targets),
            *_products(rankdata(predictions), rankdata(targets)),
            error**2,
            np.abs(error),
        ]
    )


def _products(one: FloatArray, other: FloatArray) -> list[FloatArray]:
    """What a correlation sums; centred, so that numbers far from 0 lose no digits."""
    x, y = one - one.mean(), other - other.mean()
    return [x, y, x * x, y * y, x * y]


def _correlation(sums: FloatArray, place: int) -> FloatArray:
    rows = sums[..., 0]
    x, y, xx, yy, xy = (sums[..., place + index] for index in range(5))
    spreads = [
        np.where(total > _ROUNDING * rows * square, total, 0.0)
        for total, square in ((rows * xx - x * x, xx), (rows * yy - y * y, yy))
    ]
    return ratio(rows * xy - x * y, np.sqrt(spreads[0] * spreads[1]))


def pearson(sums: FloatArray) -> FloatArray:
    """Pearson's correlation; 0 where the predictions, or the targets, are one number."""
    return _correlation(sums, 1)


def spearman(sums: FloatArray) -> FloatArray:
    """Spearman's: that of the ranks, of which equal numbers have the mean of theirs."""
    return _correlation(sums, 6)


def squared_error(sums: FloatArray) -> FloatArray:
    """Mean squared error, in the targets' own unit."""
    return ratio(sums[..., 11], sums[..., 0])


def absolute_error(sums: FloatArray) -> FloatArray:
    """Mean absolute error, in the targets' own unit."""
    return ratio(sums[..., 12], sums[..., 0])


def _one_answer(rows: Examples, predictions: Predictions) -> bool:
    return bool(np.ptp(predictions) <= SAME * rows.known.values.std())


def _floor(encoded: Encoded, scale: Scale, names: Names, weights: FloatArray | None) -> float:
    """The variance of the standardised numbers."""
    return float(np.square(encoded.learned.values.std() / scale.deviation))


def _strata(targets: Targets) -> npt.NDArray[Any]:
    """Tenths of the numbers, equal ones alike."""
    values = targets.values
    return np.searchsorted(np.sort(values), values) * TENTHS // max(1, len(values))


def _words(targets: Targets, names: Names) -> tuple[str, str]:
    values = targets.values
    return "scores", (
        f"{values.min():g} to {values.max():g}, mean {values.mean():.4g}, deviation {values.std():.4g}"
    )


def _spread(targets: Targets, names: Names) -> dict[str, Any]:
    values = targets.values
    return {
        "targets": {
            "mean": float(values.mean()),
            "deviation": float(values.std()),
            "least": float(values.min()),
            "greatest": float(values.max()),
        }
    }


def _mean(train: Examples, dev: Examples, names: Names) -> Predictions:
    return np.full(len(dev), train.known.values.mean())


def _ridge(train: Examples, dev: Examples, names: Names) -> Predictions:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(features(train), Ridge(alpha=_ALPHA, solver="sparse_cg"))
    model.fit(columns(train), train.known.values)
    return np.asarray(model.predict(columns(dev)))


def _scored(rows: Examples, predictions: Predictions, names: Names) -> dict[str, Any]:
    """`points`: of up to `POINTS` rows, spread evenly over them, the target and the prediction."""
    some = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), POINTS)).astype(np.int64))
    return {"points": np.column_stack([rows.known.values, predictions])[some].tolist()}


def _mistakes(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    """The rows that are furthest off, the furthest first; none of a model that broke."""
    targets = rows.known.values
    told = np.flatnonzero(np.isfinite(predictions))
    far = told[np.argsort(-np.abs(predictions - targets)[told], kind="stable")][:MISTAKES]
    return [
        {
            "line": rows.lines[row],
            "text": rows.texts[row],
            "pair": rows.pairs[row] if rows.pairs else None,
            "score": float(targets[row]),
            "predicted": float(predictions[row]),
        }
        for row in far
    ]


def _answers(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    return [{"score": value} for value in predictions.tolist()]


def _columns(names: Names, wanted: Wanted) -> dict[str, type]:
    if wanted != Wanted():
        raise UserError(
            "--all, --top and --min-probability are about the probabilities of labels, and this model "
            "answers with numbers; leave them out."
        )
    return dict.fromkeys(NAMES, float)


def _cells(answer: Mapping[str, Any], wanted: Wanted) -> list[Any]:
    return [answer["score"]]


def _overview(scores: Sequence[Any]) -> dict[str, str]:
    """The least and the greatest, and what cuts them into quarters."""
    shares = {"lowest": 0.0, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "highest": 1.0}
    found = np.quantile(np.asarray(scores, dtype=np.float64), list(shares.values()))
    return {name: f"{value:.4g}" for name, value in zip(shares, found.tolist(), strict=True)}


NUMBER_METRICS = (
    Metric("pearson", "Pearson", pearson),
    Metric("spearman", "Spearman", spearman),
    Metric("mse", "MSE", squared_error, higher=False),
    Metric("mae", "MAE", absolute_error, higher=False),
)

REGRESS = Kind(
    name="regress",
    most=1,
    usual="pearson",
    metrics=NUMBER_METRICS,
    metrics_of=lambda names, positive: NUMBER_METRICS,
    baselines=(
        Baseline("mean", "mean", "mean", "always answering the mean", _mean),
        Baseline("ridge", "ridge", "ridge regression", "a ridge regression on n-grams", _ridge),
    ),
    learned="to tell high scores from low ones",
    label_problem=_label_problem,
    targets=_targets,
    told=_told,
    strata=_strata,
    scale=_scale,
    predict=_predict,
    losses=_losses,
    adds=_adds,
    one_answer=_one_answer,
    floor=_floor,
    floor_title="predicting the mean",
    floor_words="the variance of the scores",
    uniform=lambda encoded, names: 1.0,
    words=_words,
    spread=_spread,
    scored=_scored,
    mistakes=_mistakes,
    answers=_answers,
    columns=_columns,
    cells=_cells,
    overview=_overview,
)
