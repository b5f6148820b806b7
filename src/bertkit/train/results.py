"""What a run found: the result of all its seeds together."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.model.precision import Computing
from bertkit.runs.result import BY_ROW, SeedResult
from bertkit.tasks.calibration import examine
from bertkit.tasks.intervals import seeds_interval
from bertkit.tasks.metrics import confusion_matrix, summary
from bertkit.tasks.scoring import mistakes
from bertkit.train.prepare import Prepared
from bertkit.version import __version__


def aggregate(
    prepared: Prepared,
    parameters: int,
    precision: Computing,
    seeds: list[SeedResult],
    feature_seconds: float,
) -> dict[str, Any]:
    """The content of `result.json`.

    With one seed `score` is that seed's and `interval` the bootstrap over dev rows; with several `score` is
    their mean and `interval` covers rows and seeds. Confusion matrix and mistakes are of the best seed,
    whose model is the one kept. `seconds` has those that features of a frozen encoder took.
    """
    best = max(seeds, key=lambda result: result.score)
    labels = prepared.dev_labels
    probabilities = np.array(best.probabilities)
    predictions = np.array([np.argmax(result.probabilities, axis=1) for result in seeds])
    confusion = confusion_matrix(labels, predictions[seeds.index(best)], len(prepared.labels))
    shown = summary(confusion, prepared.task.metric)
    if len(seeds) > 1:
        shown |= _over_seeds(prepared, seeds, predictions)
    seconds = feature_seconds + sum(result.seconds for result in seeds)
    return {
        "task": prepared.task.name,
        "kind": prepared.task.kind,
        "model": prepared.facts.model,
        "rows": len(labels),
        "train_rows": prepared.facts.train_rows,
        "truncated": prepared.dev_sequences.truncated,
        "train_truncated": prepared.train_sequences.truncated,
        **shown,
        "baselines": prepared.baselines,
        "seeds": [{key: value for key, value in asdict(r).items() if key not in BY_ROW} for r in seeds],
        "failed": sum(result.status != "learned" for result in seeds),
        "best_seed": best.seed,
        "best_epoch": best.best_epoch,
        "labels": list(prepared.labels),
        "label_shares": prepared.facts.shares,
        "dev_fingerprint": prepared.dev.fingerprint(prepared.labels),
        "confusion": confusion.tolist(),
        **examine(probabilities, labels, prepared.labels, prepared.task.metric),
        "mistakes": mistakes(prepared.dev, prepared.labels, probabilities),
        "parameters": parameters,
        "precision": precision,
        "seconds": seconds,
        "feature_seconds": feature_seconds,
        "pieces_per_second": sum(result.pieces for result in seeds) / seconds if seconds else 0.0,
        "version": __version__,
    }


def _over_seeds(
    prepared: Prepared, seeds: list[SeedResult], predictions: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """The mean score of several seeds, its interval and how far they lie apart; predictions [seeds, N]."""
    scores = [result.score for result in seeds]
    interval = seeds_interval(prepared.dev_labels, predictions, len(prepared.labels), prepared.task.metric)
    return {
        "score": statistics.mean(scores),
        "interval": list(interval),
        "deviation": statistics.stdev(scores),
    }
