"""No false alarm: healthy recipes and runs of the project pass all checks before and after a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from bertkit import api
from bertkit.diagnose.doctor import examine
from bertkit.health.preflight_checks import check
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.train.preflight import preflight
from bertkit.train.preflight_pretrain import preflight_pretraining

RECIPES = Path(__file__).parents[2] / "recipes"


def test_a_toy_that_is_learned_has_no_findings(toy: Recipe, tmp_path: Path) -> None:
    recipe = toy.with_changes({"training": {"epochs": 30}, "optimiser": {"lr": 2e-2}})
    assert check(preflight(recipe, seconds=0.0)) == []
    api.finetune(recipe=recipe, out=tmp_path / "run")
    found = examine(tmp_path / "run")
    assert found.verdict.startswith("It learned")
    assert [finding.check for finding in found.findings] == []


def test_a_toy_pretraining_has_no_findings_before_but_its_few_updates(restoring: PretrainRecipe) -> None:
    found = check(preflight_pretraining(restoring, seconds=0.0))
    assert [finding.check for finding in found] == ["few_updates"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cola-scratch", "cola-minilm"])
def test_recipes_that_learn_have_no_findings_before(name: str) -> None:
    recipe = Recipe.from_toml(RECIPES / f"{name}.toml")
    assert [finding.check for finding in check(preflight(recipe, seconds=0.0))] == []
