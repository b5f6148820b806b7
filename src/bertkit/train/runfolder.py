"""The run folder: who may make, continue or replace one."""

from __future__ import annotations

import shutil
from pathlib import Path

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError
from bertkit.recipe import Recipe

RECIPE = "recipe.toml"
RESULT = "result.json"
STATE = "checkpoint/state.safetensors"


def open_run(out: Path, recipe: Recipe, *, resume: bool, overwrite: bool) -> None:
    """Make the folder `out` with its recipe, or check that the one there is what `resume` continues.

    A folder is replaced only with `overwrite`, and only if it is empty or a run; files of other kinds are
    never deleted.

    Raises:
        UserError: `out` exists and neither flag says what to do with it, it is no run folder, there is
            nothing to resume, or the recipe to resume with is another one (the differences are listed).
    """
    if resume:
        _check_same(out, recipe)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not overwrite:
            raise UserError(f"{out} exists; continue it with --resume, or replace it with --overwrite.")
        if not (out / RECIPE).is_file():
            raise UserError(
                f"{out} is no run folder (it has no {RECIPE}), so it is not overwritten; remove it yourself."
            )
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    with replace_file(out / RECIPE) as temporary:
        temporary.write_text(recipe.to_toml(), encoding="utf-8")


def _check_same(out: Path, recipe: Recipe) -> None:
    if not (out / RECIPE).is_file():
        raise UserError(f"There is no run to resume at {out}: it has no {RECIPE}.")
    if (out / RESULT).is_file():
        raise UserError(f"The run at {out} is finished; there is nothing to resume.")
    before = Recipe.from_toml(out / RECIPE)
    if before != recipe:
        raise UserError(f"The run at {out} has another recipe: {'; '.join(differences(before, recipe))}.")


def differences(before: Recipe, now: Recipe) -> list[str]:
    """Each key whose value differs, as `section.key: old, now new`."""
    told = []
    for section in before.__dataclass_fields__:
        old, new = getattr(before, section), getattr(now, section)
        for key in old.__dataclass_fields__:
            if getattr(old, key) != getattr(new, key):
                told.append(f"{section}.{key}: {getattr(old, key)!r}, now {getattr(new, key)!r}")
    return told
