"""The kind of task whose rows have any number of labels."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading
from bertkit.errors import UserError, quoted
from bertkit.tasks.classify import label_problem, names_in_order, shares_in_words
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
    Scoring,
    Wanted,
    encode_rows,
)
from bertkit.tasks.label_baselines import ngram_margins, shares_margins
from bertkit.tasks.label_metrics import SET_METRICS, adds_of_sets, by_label, probabilities
from bertkit.tasks.label_sets import dense, rarest, read_label_sets, set_notes, sets_of
from bertkit.tasks.metrics import Adds, FloatArray
from bertkit.tasks.thresholds import USUAL, Thresholds, fit_thresholds, margins
from bertkit.text.tokenizer import Tokenizer

BETWEEN = ","
"""Stands between the labels of a row in a table."""
MACRO = ("macro_f1",)
"""Metrics for which each label has the threshold that is best for it alone."""


def _label_problem(column: LabelColumn, row: int) -> str | None:
    problems = (label_problem(column, label) for label in column.cells[row])
    return next((problem for problem in problems if problem), None)


def _targets(column: LabelColumn) -> tuple[Targets, Names]:
    sets = [tuple(column.names.get(label, label) for label in labels) for labels in column.cells]
    names = names_in_order(column, chain.from_iterable(sets))
    if column.to_learn and len({frozenset(labels) for labels in sets}) == 1:
        every = f"the labels {quoted(BETWEEN.join(sets[0]))}" if sets[0] else "no label"
        raise UserError(f"{column.path}: every row has {every}; learning needs rows of different ones.")
    return sets_of(sets, names), names


def _told(targets: Targets, names: Names) -> list[Any]:
    return [[names[label] for label in targets.of(row)] for row in range(len(targets))]


def _encode(tokenizer: Tokenizer, rows: Examples, reading: Reading, names: Names) -> Encoded:
    encoded = encode_rows(tokenizer, rows, reading, names)
    if rows.targets is None:
        return encoded
    sets_NC = dense(rows.targets, len(names)).astype(np.uint8)
    return replace(encoded, targets=Targets.single(sets_NC))


def _predict(rows: Examples, outputs: Outputs, names: Names, decision: Decision) -> FloatArray:
    """How far each logit is above that of its label's threshold, [N, C]: labels above 0 are told."""
    kept = decision.get("thresholds", {})
    return margins(outputs, np.array([float(kept.get(name, USUAL)) for name in names]))


def _fitted(rows: Examples, outputs: Outputs, scoring: Scoring) -> Thresholds:
    true_NC = dense(rows.known, len(scoring.names))
    return fit_thresholds(probabilities(outputs), true_NC, macro=scoring.metric.name in MACRO)


def _decide(rows: Examples, outputs: Outputs, scoring: Scoring) -> tuple[Decision, Predictions]:
    found = _fitted(rows, outputs, scoring)
    thresholds = dict(zip(scoring.names, found.of_labels_C.tolist(), strict=True))
    return {"thresholds": thresholds}, margins(outputs, found.of_rows_NC)


def _losses(encoded: Encoded, outputs: HeadOutputs, scale: Scale) -> npt.NDArray[Any]:
    """Binary cross-entropy, in nats, the mean over labels."""
    logits = outputs.astype(np.float64)
    found: FloatArray = (np.logaddexp(0.0, logits) - logits * encoded.learned.values).mean(axis=1)
    return found


def _one_answer(rows: Examples, predictions: Predictions) -> bool:
    told = predictions > 0
    return bool((told == told[0]).all())


def _adds(rows: Examples, predictions: Predictions, names: Names) -> Adds:
    return adds_of_sets(rows.known, predictions)


def _shares(targets: Targets, names: Names) -> FloatArray:
    """Of the rows those that have each label, [C]."""
    shares: FloatArray = np.bincount(targets.values, minlength=len(names)) / len(targets)
    return shares


def _prior(targets: Targets, names: Names) -> FloatArray:
    """With them the loss begins at its floor; else the first steps only learn that labels are rare."""
    counts = np.bincount(targets.values, minlength=len(names))
    prior: FloatArray = np.log((counts + 0.5) / (len(targets) - counts + 0.5))
    return prior


def _floor(encoded: Encoded, scale: Scale, names: Names, weights: FloatArray | None) -> float:
    """The mean over labels of the entropy of having it or not, in nats: no constant answer has less loss."""
    from scipy.special import entr

    shares = encoded.learned.values.mean(axis=0)
    return float((entr(shares) + entr(1 - shares)).mean())


def _words(targets: Targets, names: Names) -> tuple[str, str]:
    mean = len(targets.values) / len(targets)
    return "labels", f"{shares_in_words(names, _shares(targets, names))}; {mean:.2f} a row"


def _spread(targets: Targets, names: Names) -> dict[str, Any]:
    sizes = np.diff(targets.starts)
    return {
        "label_shares": dict(zip(names, _shares(targets, names).tolist(), strict=True)),
        "labels_a_row": float(sizes.mean()),
        "rows_without_label": int((sizes == 0).sum()),
    }


def _scored(rows: Examples, predictions: Predictions, names: Names) -> dict[str, Any]:
    return {"labels": list(names), "by_label": by_label(rows.known, predictions, names)}


def _examine(rows: Examples, outputs: Outputs, scoring: Scoring) -> dict[str, Any]:
    """`label_thresholds`: those that fit these rows best, and what they are worth on rows that they were not
    fitted on; see `Thresholds`. None where a probability is no number.
    """
    if not np.isfinite(outputs).all():
        return {"label_thresholds": None}
    found = _fitted(rows, outputs, scoring)
    return {
        "label_thresholds": {
            "manner": found.manner,
            "thresholds": found.of_labels_C.tolist(),
            "scores": found.scores,
        }
    }


def _joined(labels: Iterable[str]) -> str:
    return ", ".join(labels) or "none"


def _mistakes(rows: Examples, outputs: Outputs, predicted: Predictions, names: Names) -> list[dict[str, Any]]:
    """The rows with a wrong label, told or missed, of which the model was surest; none of one that broke."""
    wrong_NC = (predicted > 0) != dense(rows.known, len(names))
    sure_N = np.where(wrong_NC, np.abs(predicted), 0.0).max(axis=1)
    found = np.flatnonzero(wrong_NC.any(axis=1) & np.isfinite(outputs).all(axis=1))
    found = found[np.argsort(-sure_N[found], kind="stable")][:MISTAKES]
    label_of = np.where(wrong_NC, np.abs(predicted), -1.0).argmax(axis=1)
    return [
        {
            "line": rows.lines[row],
            "text": rows.texts[row],
            "pair": rows.pairs[row] if rows.pairs else None,
            "label": _joined(names[label] for label in rows.known.of(row)),
            "predicted": _joined(names[label] for label in np.flatnonzero(predicted[row] > 0)),
            "wrong": names[label_of[row]],
            "probability": float(probabilities(outputs[row, label_of[row]])),
        }
        for row in found.tolist()
    ]


def _answers(rows: Examples, outputs: Outputs, predicted: Predictions, names: Names) -> list[dict[str, Any]]:
    return [
        {
            "labels": [names[label] for label in np.flatnonzero(told)],
            "probabilities": dict(zip(names, row, strict=True)),
        }
        for told, row in zip(predicted > 0, probabilities(outputs).tolist(), strict=True)
    ]


def _columns(names: Names, wanted: Wanted) -> dict[str, type]:
    columns: dict[str, type] = {"labels": str}
    if wanted.top > 1:
        for rank in range(1, min(wanted.top, len(names)) + 1):
            columns |= {f"label_{rank}": str, f"probability_{rank}": float}
    return columns | {f"probability_of_{name}": float for name in names if wanted.every}


def _cells(answer: Mapping[str, Any], wanted: Wanted) -> list[Any]:
    """The labels that are told, and are likely enough; those that are likeliest; the probability of each."""
    found = answer["probabilities"]
    told = BETWEEN.join(label for label in answer["labels"] if found[label] >= wanted.least)
    top = heapq.nlargest(wanted.top, found.items(), key=itemgetter(1)) if wanted.top > 1 else ()
    return [told, *chain.from_iterable(top), *(found.values() if wanted.every else ())]


def _overview(told: Sequence[Any]) -> dict[str, str]:
    """How many rows each label is told of, the most frequent first, and how many have none."""
    counts = Counter(label for labels in told for label in (labels.split(BETWEEN) if labels else ("",)))
    return {
        label or "no label": f"{count:,} ({count / len(told):.1%})" for label, count in counts.most_common()
    }


MULTILABEL = Kind(
    name="multilabel",
    usual="micro_f1",
    metrics=SET_METRICS,
    metrics_of=lambda names, positive: SET_METRICS,
    baselines=(
        Baseline(
            "shares",
            "shares",
            "most frequent labels",
            "always answering the most frequent labels",
            shares_margins,
        ),
        Baseline("ngram", "n-gram", "n-gram model", "an n-gram model", ngram_margins),
    ),
    learned="to tell which rows have a label",
    reads=read_label_sets,
    label_problem=_label_problem,
    targets=_targets,
    told=_told,
    strata=rarest,
    notes=set_notes,
    encode=_encode,
    predict=_predict,
    decide=_decide,
    losses=_losses,
    one_answer=_one_answer,
    adds=_adds,
    prior=_prior,
    floor=_floor,
    floor_title="predicting the labels' frequencies",
    floor_words="the mean entropy of the labels",
    uniform=lambda encoded, names: math.log(2),
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
