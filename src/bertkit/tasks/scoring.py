"""What a model's answers to labelled rows come to, beside their score."""

from __future__ import annotations

from typing import Any

import numpy as np

from bertkit.tasks.examples import Examples

MISTAKES = 30


def status(predictions: np.ndarray[Any, Any], interval: list[float], majority: float) -> str:
    """See `SeedResult.status`."""
    if len(np.unique(predictions)) == 1:
        return "collapsed"
    return "learned" if interval[0] > majority else "not learned"


def mistakes(
    rows: Examples, names: tuple[str, ...], probabilities: np.ndarray[Any, Any]
) -> list[dict[str, Any]]:
    """The wrongly answered rows of which the model was surest, surest first; none of a model that broke."""
    labels = rows.known_labels
    predicted = probabilities.argmax(axis=1)
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
