"""What a run found: the result of all its seeds together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bertkit.model.compute import Computing
from bertkit.runs.result import Answers, SeedResult
from bertkit.tasks.examples import count_left_out
from bertkit.tasks.metrics import seeds_interval
from bertkit.train.prepare import Prepared
from bertkit.version import __version__


def aggregate(
    prepared: Prepared,
    parameters: int,
    precision: Computing,
    seeds: list[SeedResult],
    answers: Sequence[Answers],
    feature_seconds: float,
) -> dict[str, Any]:
    """The content of `result.json`.

    With one seed `score` is that seed's and `interval` the bootstrap over dev rows; with several `score` is
    their mean and `interval` covers rows and seeds. What is said of single rows is of the best seed, whose
    model is the one kept. `seconds` has those that features of a frozen encoder took.
    """
    kind, names, dev = prepared.kind, prepared.labels, prepared.dev
    scoring, metric = prepared.scoring, prepared.scoring.metric
    place = metric.best([result.score for result in seeds])
    best, outputs = seeds[place], answers[place].outputs
    _, predictions = kind.decided(dev, outputs, scoring)
    shown = scoring.summary(dev, predictions)
    if len(seeds) > 1:
        scores = [result.score for result in seeds]
        shown |= {
            "score": statistics.mean(scores),
            "interval": list(seeds_interval(metric, [each.adds for each in answers])),
            "deviation": statistics.stdev(scores),
        }
    seconds = feature_seconds + sum(result.seconds for result in seeds)
    return {
        "task": prepared.task.name,
        "kind": kind.name,
        "model": prepared.facts.model,
        "rows": len(dev),
        "train_rows": prepared.facts.train_rows,
        "left_out": count_left_out(prepared.train, prepared.dev, prepared.test),
        "notes": list(prepared.facts.notes),
        "truncated": prepared.dev_encoded.sequences.truncated,
        "train_truncated": prepared.train_encoded.sequences.truncated,
        **shown,
        "baselines": prepared.baselines,
        "floor": prepared.floor,
        "seeds": [asdict(result) for result in seeds],
        "failed": sum(result.status != "learned" for result in seeds),
        "best_seed": best.seed,
        "best_epoch": best.best_epoch,
        **kind.spread(prepared.train.known, names),
        "dev_fingerprint": dev.fingerprint(kind.told(dev.known, names)),
        **kind.scored(dev, predictions, names),
        **kind.examine(dev, outputs, scoring),
        "mistakes": kind.mistakes(dev, outputs, predictions, names),
        "parameters": parameters,
        "precision": precision,
        "seconds": seconds,
        "feature_seconds": feature_seconds,
        "tokens_per_second": sum(result.tokens for result in seeds) / seconds if seconds else 0.0,
        "version": __version__,
    }
