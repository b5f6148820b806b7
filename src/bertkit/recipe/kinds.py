"""Which kind of recipe a file is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from bertkit.recipe.base import read_table
from bertkit.recipe.finetune import Recipe
from bertkit.recipe.pretrain import PretrainRecipe


def kind_of_recipe(path: Path) -> type[Recipe] | type[PretrainRecipe]:
    """The kind that knows more of the file's keys; that of fine-tuning where both know as many.

    Raises:
        UserError: no such file, or not TOML.
    """
    table = read_table(path, "recipe")
    pretraining = _known(PretrainRecipe(), table) > _known(Recipe(), table)
    return PretrainRecipe if pretraining else Recipe


def _known(recipe: Recipe | PretrainRecipe, table: dict[str, Any]) -> int:
    keys = {(part.name, key.name) for part in fields(recipe) for key in fields(getattr(recipe, part.name))}
    sections = {part.name for part in fields(recipe)}
    inner = {(name, key) for name, part in table.items() if isinstance(part, dict) for key in part}
    return len(keys & inner) + len(sections & table.keys())
