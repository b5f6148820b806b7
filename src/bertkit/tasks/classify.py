"""The kind of task whose rows have one of several labels."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError, listed, quoted
from bertkit.tasks import calibration
from bertkit.tasks.confusion import (
    CLASS_METRICS,
    adds_of,
    by_class,
    confusion_matrix,
    confusions,
    metrics_of,
)
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import (
    MISTAKES,
    UNSURE,
    Baseline,
    Decision,
    HeadOutputs,
    Kind,
    LabelColumn,
    Names,
    Outputs,
    Predictions,
    Scale,
    Scoring,
    Wanted,
    no_positive,
)
from bertkit.tasks.metrics import Adds, FloatArray, IntArray, entropy
from bertkit.tasks.ngrams import columns, features

MATRIX = 30
"""Classes at most whose confusion matrix a result has; of more it has the pairs most often confused."""
LARGEST, SMALLEST = 8, 4
"""Labels that the header of a run names, where there are more."""
# Rows of TF-IDF have length 1, for which scikit-learn's default of 1 holds the weights down too much.
_C = 10.0


def _label_problem(column: LabelColumn, row: int) -> str | None:
    return label_problem(column, column.cells[row])


def label_problem(column: LabelColumn, cell: str) -> str | None:
    """Why a label of a column cannot be, as the end of a sentence; None where it can."""
    if column.names and cell not in column.names:
        return f"the label {quoted(cell)} is none of those of task {column.task!r}: {listed(column.names)}."
    known = column.known or ()
    if known and not column.grows and column.names.get(cell, cell) not in known:
        return f"the label {quoted(cell)} is not one of those trained on: {listed(known)}."
    return None


def _targets(column: LabelColumn) -> tuple[Targets, Names]:
    labels = [column.names.get(cell, cell) for cell in column.cells]
    classes = names_in_order(column, labels)
    number = {name: index for index, name in enumerate(classes)}
    if column.to_learn and len(set(labels)) == 1:
        raise UserError(
            f"{column.path}: every row has the label {quoted(labels[0])}; learning needs rows of two classes."
        )
    return Targets.single(np.array([number[label] for label in labels], dtype=np.int64)), classes


def names_in_order(column: LabelColumn, labels: Iterable[str]) -> Names:
    """The names that are known of a column, and behind them those of its other labels."""
    found = {*labels}
    known = tuple(column.known or column.names.values() or _in_order(found))
    return known + tuple(_in_order(found - {*known}))


def _in_order(labels: set[str]) -> list[str]:
    """Sorted, as whole numbers where all are: 10 behind 9."""
    numeric = all(label.isdecimal() for label in labels)
    return sorted(labels, key=lambda label: (int(label) if numeric else 0, label))


def _told(targets: Targets, names: Names) -> list[Any]:
    return [names[label] for label in targets.values]


def _predict(rows: Examples, outputs: Outputs, names: Names, decision: Decision) -> IntArray:
    found: IntArray = outputs.argmax(axis=1)
    return found


def _losses(encoded: Encoded, outputs: HeadOutputs, scale: Scale) -> npt.NDArray[Any]:
    """Cross-entropy, in nats."""
    found: npt.NDArray[Any] = -outputs[np.arange(len(outputs)), encoded.learned.values]
    return found


def _one_answer(rows: Examples, predictions: Predictions) -> bool:
    return len(np.unique(predictions)) == 1


def _adds(rows: Examples, predictions: Predictions, names: Names) -> Adds:
    return adds_of(rows.known.values, predictions, len(names))


def _shares(targets: Targets, names: Names) -> FloatArray:
    counts = np.bincount(targets.values, minlength=len(names))
    shares: FloatArray = counts / counts.sum()
    return shares


def _weights(how: str, targets: Targets, names: Names) -> FloatArray:
    """In inverse proportion to the rows of a class, as scikit-learn's "balanced", or to their square root."""
    counts = np.bincount(targets.values, minlength=len(names))
    weights = 1 / np.maximum(counts, 1) ** (0.5 if how == "sqrt" else 1.0)
    # A class that only other rows have is nothing that the weights make up for.
    found: FloatArray = np.where(counts, weights * counts.sum() / (weights * counts).sum(), 1.0)
    return found


def _floor(encoded: Encoded, scale: Scale, names: Names, weights: FloatArray | None) -> float:
    """Entropy of the labels' shares in the loss, in nats: no constant answer has a lower loss."""
    shares = _shares(encoded.learned, names)
    return entropy((shares if weights is None else shares * weights).tolist())


def _words(targets: Targets, names: Names) -> tuple[str, str]:
    return "labels", shares_in_words(names, _shares(targets, names))


def shares_in_words(names: Names, shares: FloatArray) -> str:
    """Each label with its share; of many the largest and the smallest."""
    told = [f"{label} {share:.1%}" for label, share in zip(names, shares, strict=True)]
    if len(names) <= LARGEST + SMALLEST:
        return ", ".join(told)
    order = np.argsort(-shares, kind="stable")
    first, last = ([told[place] for place in part] for part in (order[:LARGEST], order[-SMALLEST:]))
    between = len(names) - len(first) - len(last)
    return f"{len(names):,}: {', '.join(first)}, {between:,} others, {', '.join(last)}"


def _positive(asked: str, targets: Targets, names: Names) -> str:
    """The one that is asked for, else the rarer one of training, the second where both are as frequent."""
    if asked and asked not in names and len(names) == 2:
        raise UserError(f"The positive label {asked!r} is none of these: {', '.join(names)}.")
    if len(names) != 2:
        return no_positive(asked, targets, names)
    counts = np.bincount(targets.values, minlength=2)
    return asked or names[0 if counts[0] < counts[1] else 1]


def _spread(targets: Targets, names: Names) -> dict[str, Any]:
    return {"label_shares": dict(zip(names, _shares(targets, names).tolist(), strict=True))}


def _scored(rows: Examples, predictions: Predictions, names: Names) -> dict[str, Any]:
    labels = rows.known.values
    told: dict[str, Any] = {
        "labels": list(names),
        "by_class": by_class(labels, predictions, names),
        "confusions": confusions(labels, predictions, names),
    }
    if len(names) <= MATRIX:
        told["confusion"] = confusion_matrix(labels, predictions, len(names)).tolist()
    return told


def majority_of(train: IntArray, dev: IntArray) -> int:
    """By the rows of each class, [C]: that which train has most of; of several dev's largest, then the last.

    So the score that stands for knowing nothing hangs on no alphabet. Of two labels the last is the positive
    one then, and to answer it always has the higher F1.
    """
    return int(np.lexsort((dev, train))[-1])


def _majority(train: Examples, dev: Examples, names: Names) -> Predictions:
    counts = [np.bincount(rows.known.values, minlength=len(names)) for rows in (train, dev)]
    return np.full(len(dev), majority_of(*counts))


def _ngram(train: Examples, dev: Examples, names: Names) -> Predictions:
    """A logistic regression on TF-IDF weights of words and pairs of words.

    Wang and Manning 2012 show how hard this family is to beat on short texts.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    # liblinear is several times as fast as the default solver on sparse text, and takes two classes only.
    classifier = OneVsRestClassifier(LogisticRegression(C=_C, solver="liblinear"))
    model = make_pipeline(features(train), classifier)
    model.fit(columns(train), train.known.values)
    return np.asarray(model.predict(columns(dev)))


def _examine(rows: Examples, outputs: Outputs, scoring: Scoring) -> dict[str, Any]:
    return calibration.examine(
        np.exp(outputs), rows.known.values, scoring.names, scoring.metric, positive=scoring.positive
    )


def _mistakes(rows: Examples, outputs: Outputs, predicted: Predictions, names: Names) -> list[dict[str, Any]]:
    """The wrongly answered rows of which the model was surest, surest first; none of a model that broke."""
    labels, probabilities = rows.known.values, np.exp(outputs)
    told = np.isfinite(probabilities).all(axis=1)
    wrong = np.flatnonzero(told & (predicted != labels))
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:MISTAKES]
    return [
        {
            "line": rows.lines[row],
            "text": rows.texts[row],
            "pair": rows.pairs[row] if rows.pairs else None,
            "label": names[labels[row]],
            "predicted": names[predicted[row]],
            "probability": float(probabilities[row, predicted[row]]),
        }
        for row in wrong
    ]


def _answers(rows: Examples, outputs: Outputs, predicted: Predictions, names: Names) -> list[dict[str, Any]]:
    return [
        {"label": names[label], "probabilities": dict(zip(names, row, strict=True))}
        for label, row in zip(predicted, np.exp(outputs).tolist(), strict=True)
    ]


def _columns(names: Names, wanted: Wanted) -> dict[str, type]:
    if wanted.least and UNSURE in names:
        raise UserError(
            f"One of the labels is called {UNSURE!r} itself, so --min-probability would not be understood; "
            "leave it out, and look at the column of the probability."
        )
    columns: dict[str, type] = {"label": str, "probability": float}
    for rank in range(2, min(wanted.top, len(names)) + 1):
        columns |= {f"label_{rank}": str, f"probability_{rank}": float}
    return columns | {f"probability_of_{name}": float for name in names if wanted.every}


def _cells(answer: Mapping[str, Any], wanted: Wanted) -> list[Any]:
    """The likeliest labels, the first of equal ones first, as `argmax` has it."""
    probabilities = answer["probabilities"]
    ranked = heapq.nlargest(wanted.top, probabilities.items(), key=itemgetter(1))
    (label, probability), *others = ranked
    every = probabilities.values() if wanted.every else ()
    return [UNSURE if probability < wanted.least else label, probability, *chain(*others), *every]


def _overview(labels: Sequence[Any]) -> dict[str, str]:
    """How often each occurs, the most frequent first."""
    return {label: f"{count:,} ({count / len(labels):.1%})" for label, count in Counter(labels).most_common()}


CLASSIFY = Kind(
    name="classify",
    usual="accuracy",
    metrics=CLASS_METRICS,
    metrics_of=metrics_of,
    positive=_positive,
    baselines=(
        Baseline("majority", "majority", "majority", "always answering the majority", _majority),
        Baseline("ngram", "n-gram", "n-gram model", "an n-gram model", _ngram),
    ),
    learned="to tell the labels apart",
    classes=True,
    label_problem=_label_problem,
    targets=_targets,
    told=_told,
    strata=lambda targets: targets.values,
    predict=_predict,
    losses=_losses,
    one_answer=_one_answer,
    adds=_adds,
    weights=_weights,
    floor=_floor,
    floor_title="predicting the class frequencies",
    floor_words="the entropy of the classes",
    uniform=lambda encoded, names: math.log(len(names)),
    words=_words,
    spread=_spread,
    scored=_scored,
    examine=_examine,
    mistakes=_mistakes,
    answers=_answers,
    columns=_columns,
    cells=_cells,
    overview=_overview,
)
