"""Runs side by side: their scores, and how far a difference is more than chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertkit.diagnose.compare_finetunings import compare_finetunings
from bertkit.diagnose.compare_pretrainings import compare_pretrainings
from bertkit.errors import UserError
from bertkit.recipe import BaseRecipe
from bertkit.runs.folder import check_is_run
from bertkit.runs.history import phase_of
from bertkit.runs.reader import read_recipe, read_result, restart_settings
from bertkit.runs.restarts import with_settings
from bertkit.version import __version__


def compare(runs: Sequence[Path]) -> dict[str, Any]:
    """Lay runs of one kind, task and metric side by side; the first that is finished is what the others are
    compared with.

    Args:
        runs: two run folders or more.

    Returns:
        `kind` ("classify" or "pretraining"), `task` and `metric` (None of pretraining), `rows`, `first` (the
        run compared with; None where no run is finished), `remarks` (sentences on what the numbers do not
        say), `recipe` ({key: the value in each run}, of the keys that differ, as restarts left them),
        `version`. A row has `run`, `name` and `finished`; of a finished run also what it came to and its
        `difference` from the first: `value`, `interval` (None where the rows cannot be paired, and `why`),
        `ahead` (the share of the resampled sets of rows and seeds in which it is ahead), `seeds_drawn`
        (False where a run has one seed, so that the interval is of rows only) and `words`.

    Raises:
        UserError: fewer than two runs, one of them twice, no run folder, a damaged one, or runs of different
            kinds, tasks or metrics.
    """
    for run in runs:
        check_is_run(run)
    _check_several(runs)
    recipes = [read_recipe(run) for run in runs]
    pretraining = [phase_of(recipe) == "pretrain" for recipe in recipes]
    if len(set(pretraining)) > 1:
        one, other = (runs[pretraining.index(kind)] for kind in (True, False))
        raise UserError(f"{one} is a pretraining and {other} a fine-tuning; compare runs of one kind.")
    results = [read_result(run) for run in runs]
    recipe = differing([_as_run(asked, run) for asked, run in zip(recipes, runs, strict=True)])
    found = (
        compare_pretrainings(runs, results, recipe) if pretraining[0] else compare_finetunings(runs, results)
    )
    for name, row in zip(_names(runs), found["rows"], strict=True):
        row["name"] = name
    return {**found, "recipe": recipe, "version": __version__}


def _as_run(recipe: BaseRecipe, run: Path) -> dict[str, Any]:
    """The keys of a run's recipe, with what restarts changed in it."""
    return with_settings(recipe, restart_settings(run)).flat()


def _check_several(runs: Sequence[Path]) -> None:
    if len(runs) < 2:
        raise UserError("Give two runs or more, to compare the others with the first.")
    places = [run.resolve() for run in runs]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UserError(f"{runs[number]} is given twice; a run is always like itself.")


def _names(runs: Sequence[Path]) -> list[str]:
    """The folders' names where they tell the runs apart, else their paths."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]


def differing(recipes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The keys whose values are not the same in all recipes, with the value in each; None where it has none.

    A table in a recipe, such as `model.options`, counts key by key.
    """
    flat = []
    for recipe in recipes:
        keys: dict[str, Any] = {}
        for key, value in recipe.items():
            keys |= (
                {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
            )
        flat.append(keys)
    names = dict.fromkeys(name for keys in flat for name in keys)
    values = {name: [keys.get(name) for keys in flat] for name in names}
    return {name: found for name, found in values.items() if any(each != found[0] for each in found)}
