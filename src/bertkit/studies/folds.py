"""Cross-validation: every row is scored by a model that did not learn from it (Stone 1974)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bertkit.errors import UserError
from bertkit.recipe import Recipe
from bertkit.runs.folder import RESULT, is_finished
from bertkit.runs.records import read_object, write_json
from bertkit.runs.result import Answers, answers_of_seeds
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.metrics import summary
from bertkit.version import __version__

FOLDS = "folds.json"
TrainFold = Callable[[Recipe, Path, int], bool]
"""Of a fold's recipe, its folder and its number, from 1: makes the run; whether it was finished."""


def recipe_of_fold(recipe: Recipe, number: int, folds: int) -> Recipe:
    """The recipe of one fold.

    Raises:
        UserError: rows that no fold can be made of, several seeds, or fewer than two folds.
    """
    task = recipe.task
    if folds < 2:
        raise UserError(f"Cross-validation needs two folds or more, not {folds}.")
    if task.name or not task.train:
        raise UserError("Folds are made of rows of your own: name the file to train on.")
    if task.dev:
        raise UserError(f"Folds are the rows to score on, in turn; leave --dev {task.dev} out.")
    if recipe.training.seeds > 1:
        raise UserError("Each fold is one run; leave --seeds out.")
    return recipe.with_changes({"task": {"dev": f"{number}/{folds}"}})


def cross_validate(recipe: Recipe, out: Path, folds: int, train: TrainFold) -> dict[str, Any] | None:
    """Train a model for each fold, on the rows of the others, in `out`/fold-1 and so on; score all rows.

    Args:
        recipe: of own rows without dev.
        out: the folder of the runs; those that are finished there are not made again.
        folds: how many.
        train: makes one run.

    Returns:
        What `folds.json` then holds, see `pooled`; None where a run was not finished.

    Raises:
        UserError: see `recipe_of_fold`.
    """
    recipes = [recipe_of_fold(recipe, number, folds) for number in range(1, folds + 1)]
    places = [out / f"fold-{number}" for number in range(1, folds + 1)]
    for number, (each, place) in enumerate(zip(recipes, places, strict=True), 1):
        if not train(each, place, number):
            return None
    found = pooled(places)
    write_json(out / FOLDS, found)
    return found


def pooled(places: Sequence[Path]) -> dict[str, Any]:
    """What the runs of all folds say together.

    The score and its interval are of all rows, each answered by the model of its fold; a correlation's ranks
    are those within folds. A baseline's scores are the means over the folds, which its rows weigh.

    Returns:
        The keys of `metrics.summary`; `deviation` over the folds; `baselines`; `each` fold's rows, score,
        interval, status and folder.

    Raises:
        UserError: a run is not finished, or is damaged.
    """
    results = [_result(place) for place in places]
    answers: list[Answers] = [
        answers_of_seeds(place, [result["seeds"][0]["seed"]])[0]
        for place, result in zip(places, results, strict=True)
    ]
    first, rows = results[0], [result["rows"] for result in results]
    metrics = [metric for metric in KINDS[first["kind"]].metrics if metric.name in first["metrics"]]
    positive = {"positive": first["positive"]} if first.get("positive") else {}
    return {
        "task": first["task"],
        "kind": first["kind"],
        "model": first["model"],
        "rows": sum(rows),
        **summary(metrics, np.concatenate([each.adds for each in answers]), first["metric"]),
        **positive,
        "deviation": statistics.stdev(result["score"] for result in results),
        "baselines": {
            name: {
                "score": _mean([result["baselines"][name]["score"] for result in results], rows),
                "metrics": {
                    metric.name: _mean([r["baselines"][name]["metrics"][metric.name] for r in results], rows)
                    for metric in metrics
                },
            }
            for name in first["baselines"]
        },
        "each": [
            {
                "rows": result["rows"],
                "score": result["score"],
                "interval": result["interval"],
                "status": result["seeds"][0]["status"],
                "run": str(place),
            }
            for place, result in zip(places, results, strict=True)
        ],
        "version": __version__,
    }


def _result(place: Path) -> Mapping[str, Any]:
    found = read_object(place / RESULT) if is_finished(place) else None
    if found is None:
        raise UserError(f"{place} is not finished; go on with --resume.")
    return found.values


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    return float(np.average(values, weights=weights))
