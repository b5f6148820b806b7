"""The run folder: who may make, continue or replace one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from bertkit.checkpoint.atomic import remove_leftovers, replace_file
from bertkit.errors import UserError
from bertkit.recipe import BaseRecipe

RECIPE = "recipe.toml"
RESULT = "result.json"
STOPPED = "stopped.json"
"""Why a pretraining run could not go on."""
STATE = "checkpoint/state.safetensors"
FINGERPRINT = "fingerprint.txt"


def check_run(out: Path, recipe: BaseRecipe, *, resume: bool, overwrite: bool) -> None:
    """See that a run may be made, replaced or continued at `out`; nothing is written.

    Raises:
        UserError: `out` exists and neither flag says what to do with it, it is no run folder, there is
            nothing to resume, or the recipe to resume with is another one (the differences are listed).
    """
    if resume:
        _check_same(out, recipe)
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not overwrite:
            raise UserError(f"{out} exists; continue it with --resume, or replace it with --overwrite.")
        if not (out / RECIPE).is_file():
            raise UserError(
                f"{out} is no run folder (it has no {RECIPE}), so it is not overwritten; remove it yourself."
            )


def open_run(
    out: Path, recipe: BaseRecipe, *, resume: bool, fingerprint: str, inputs: Iterable[Path]
) -> None:
    """Make the folder `out`, which `check_run` found free to make or replace, or see that it may go on.

    Args:
        out: the run folder.
        recipe: written into a new one.
        resume: continue what is there.
        fingerprint: of the encoded data; a run goes on only over the data that it began with.
        inputs: files and folders that the run reads.

    Raises:
        UserError: the data are others than at the beginning, or replacing `out` would delete an input.
    """
    if resume:
        remove_leftovers(out)
        if (out / FINGERPRINT).read_text(encoding="utf-8") != fingerprint:
            raise UserError(
                f"The data are not those that the run at {out} began with; give it those, or start a new run."
            )
        # It is tried again: what is then wrong is said then.
        (out / STOPPED).unlink(missing_ok=True)
        return
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            raise UserError(f"{path} lies in {out}, which would be replaced; choose another folder with -o.")
    out.mkdir(parents=True, exist_ok=True)
    for old in out.iterdir():  # Not `out` itself: it may be a link, a mount point, or where somebody stands.
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    (out / FINGERPRINT).write_text(fingerprint, encoding="utf-8")
    with replace_file(out / RECIPE) as temporary:
        temporary.write_text(recipe.to_toml(), encoding="utf-8")


def _check_same(out: Path, recipe: BaseRecipe) -> None:
    if not ((out / RECIPE).is_file() and (out / FINGERPRINT).is_file()):
        raise UserError(f"There is no run to resume at {out}.")
    if (out / RESULT).is_file():
        raise UserError(f"The run at {out} is finished; there is nothing to resume.")
    before = type(recipe).from_toml(out / RECIPE)
    if told := differences(before, recipe):
        raise UserError(f"The run at {out} has another recipe: {'; '.join(told)}.")


def differences(before: BaseRecipe, now: BaseRecipe) -> list[str]:
    """Each key whose value differs, as `section.key: old, now new`.

    Where shards lie is no difference: the fingerprint says whether they are the same.
    """
    old, new = before.flat(), now.flat()
    return [f"{key}: {old[key]!r}, now {new[key]!r}" for key in old if old[key] != new[key]]
