"""What a run found: the result of one seed, and of all of them together."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit import __version__
from bertkit.checkpoint.atomic import replace_file
from bertkit.model.precision import Computing
from bertkit.tasks.calibration import examine
from bertkit.tasks.examples import Examples
from bertkit.tasks.intervals import seeds_interval
from bertkit.tasks.metrics import confusion_matrix, summary
from bertkit.text.jsons import to_json
from bertkit.train.prepare import Prepared

SEED_RESULT = "seed.json"
BY_ROW = ("probabilities", "labels")
"""What a seed's result has a value of for each dev row; too long for the result of them all."""
MISTAKES = 30


@dataclass(frozen=True)
class SeedResult:
    """One trained seed. `probabilities` [N, C] are the best checkpoint's on the dev rows, whose true
    classes are `labels` [N].

    `status` is "collapsed" if every dev row gets the same answer at the best checkpoint, "learned" if the
    interval of its score lies above the majority's score, "diverged" if its loss stopped being a number
    (the scores are then those of before), else "not learned". It also is "collapsed" if a collapse ended it,
    whose check `collapse` names. `restarts` are the attempts before it: see `train.attempts.Restart`.
    """

    seed: int
    score: float
    last_score: float
    status: str
    best_epoch: float
    steps: int
    pieces: int
    seconds: float
    probabilities: list[list[float]]
    labels: list[int] = field(default_factory=list)
    collapse: str = ""
    restarts: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Keep it in the folder of the seed: a seed with this file is done."""
        write_json(folder / SEED_RESULT, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> SeedResult | None:
        """The result of a seed that is done, else None."""
        path = folder / SEED_RESULT
        if not path.is_file():
            return None
        found = cls(**json.loads(path.read_text(encoding="utf-8")))
        # null stands for what was no number.
        known = [[math.nan if p is None else p for p in row] for row in found.probabilities]
        return replace(found, probabilities=known)


def status(predictions: np.ndarray[Any, Any], interval: list[float], majority: float) -> str:
    """See `SeedResult.status`."""
    if len(np.unique(predictions)) == 1:
        return "collapsed"
    return "learned" if interval[0] > majority else "not learned"


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


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` atomically, readable by people and by every parser; see `to_json`."""
    with replace_file(path) as temporary:
        temporary.write_text(to_json(value, indent=1) + "\n", encoding="utf-8")
