"""What scores of rows with any number of labels are laid beside: they tell labels whose margin is above 0."""

from __future__ import annotations

import numpy as np

from bertkit.tasks.examples import Examples
from bertkit.tasks.label_metrics import probabilities
from bertkit.tasks.label_sets import dense
from bertkit.tasks.metrics import FloatArray
from bertkit.tasks.ngrams import columns, features
from bertkit.tasks.thresholds import fit_thresholds, margins

_C = 10.0
# Of the solver: the scores are the same at a tenth of it, and take three times as long.
_TOLERANCE = 0.1
_MOST = 20_000_000
"""Rows times labels, which take a minute or two: of more, only the most frequent labels are learned."""
_NEVER = -100.0
"""The logit of a label that no training row has."""


def shares_margins(train: Examples, dev: Examples, names: tuple[str, ...]) -> FloatArray:
    """Always the same: the most frequent labels, as many as have the highest micro F1 on train, [N, C]."""
    counts = np.bincount(train.known.values, minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    hits, told = np.cumsum(counts[order]), len(train) * np.arange(1, len(names) + 1)
    most = int((hits / (told + counts.sum())).argmax()) + 1
    margins_C = np.where(np.isin(np.arange(len(names)), order[:most]), 1.0, -1.0)
    return np.tile(margins_C, (len(dev), 1))


def ngram_margins(train: Examples, dev: Examples, names: tuple[str, ...]) -> FloatArray:
    """A logistic regression a label on TF-IDF weights of words and pairs of words, [N, C].

    Labels that no training row has, and the rarest beyond `_MOST`, are told of no row. The thresholds are
    fitted on dev, each row by rows of other folds: as a model's are.
    """
    from sklearn.linear_model import LogisticRegression

    model = features(train)
    learned, asked = model.fit_transform(columns(train)), model.transform(columns(dev))
    true_NC = dense(train.known, len(names))
    logits_NC = np.full((len(dev), len(names)), _NEVER)
    order = np.argsort(-true_NC.sum(axis=0), kind="stable")
    for label in order[: max(1, _MOST // len(train))].tolist():
        if true_NC[:, label].all():
            logits_NC[:, label] = -_NEVER
        elif true_NC[:, label].any():
            classifier = LogisticRegression(
                C=_C, solver="liblinear", dual=True, tol=_TOLERANCE, random_state=0
            )
            classifier.fit(learned, true_NC[:, label])
            logits_NC[:, label] = classifier.decision_function(asked)
    fitted = fit_thresholds(probabilities(logits_NC), dense(dev.known, len(names)), macro=False)
    return margins(logits_NC, fitted.of_rows_NC)
