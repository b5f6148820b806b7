"""Going on with a run: by the recipe that it has, or by one that differs in how long the run is alone."""

from __future__ import annotations

from pathlib import Path

from bertkit.checkpoint.atomic import remove_leftovers
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.checkpoints import Checkpoints
from bertkit.runs.folder import (
    FINGERPRINT,
    RECIPE,
    RESULT,
    forget_stop,
    has_begun,
    is_finished,
    is_run,
    keep_recipe,
    seed_folders,
)
from bertkit.runs.result import SEED_RESULT

_AnyRecipe = Recipe | PretrainRecipe
LENGTHS = ("training.epochs", "training.steps", "training.budget", "training.patience")
"""Keys of how long a run is, which may differ where it goes on: it then trains on."""


def check_resumable(out: Path, recipe: _AnyRecipe) -> None:
    """See that the run at `out` may go on by a recipe; nothing is written.

    Raises:
        UserError: there is nothing to resume, the recipe differs in more than `LENGTHS` (the differences are
            listed), or the run is finished and would train no longer, or has lost what it would go on from.
    """
    if not is_run(out):
        raise UserError(f"There is no run to resume at {out}.")
    before = type(recipe).from_toml(out / RECIPE)
    changed = _changed(before, recipe)
    if not has_begun(out):
        # No more than its text was made, which other keys do not change.
        changed = [key for key in changed if key.startswith(recipe.OF_TEXT)]
    # A schedule by steps does not become one by the clock.
    longer = set(changed) <= set(LENGTHS) and bool(before.training.budget) == bool(recipe.training.budget)
    if is_finished(out) and not (changed and longer):
        how = "--steps" if isinstance(recipe, PretrainRecipe) else "--epochs"
        raise UserError(
            f"The run at {out} is finished; there is nothing to resume. With a larger {how} (or --budget, if "
            f"it had one) it trains on, and a new run goes on from its model: --model {out}."
        )
    if changed and not longer:
        old, new = before.flat(), recipe.flat()
        told = "; ".join(f"{key}: {old[key]!r}, now {new[key]!r}" for key in changed)
        raise UserError(f"The run at {out} has another recipe: {told}.")
    for folder in seed_folders(out).values() if changed else ():
        if (folder / SEED_RESULT).is_file() and not Checkpoints(folder, 1).paths():
            raise UserError(
                f"{folder} has lost its checkpoint, so the run cannot train on; a new run goes on from its "
                f"model: --model {out}."
            )


def run_before(out: Path, recipe: _AnyRecipe) -> _AnyRecipe | None:
    """The recipe of the run at `out`, which goes on by `recipe`; None where they are the same."""
    before = type(recipe).from_toml(out / RECIPE)
    return before if _changed(before, recipe) else None


def go_on(out: Path, recipe: _AnyRecipe, *, fingerprint: str) -> None:
    """Lay down that the run at `out`, which `check_resumable` let pass and is held, goes on by `recipe`.

    What came of a run that trains on is gone; its models stay until there are better ones.

    Args:
        out: the run folder.
        recipe: by which it goes on.
        fingerprint: of the encoded data.

    Raises:
        UserError: the data are others than at the beginning.
    """
    remove_leftovers(out)
    if (out / FINGERPRINT).read_text(encoding="utf-8") != fingerprint:
        raise UserError(
            f"The data are not those that the run at {out} began with; give it those, or start a new run."
        )
    folders = {out, *seed_folders(out).values()}
    if run_before(out, recipe):
        # In this order a run that is killed in between goes on by the recipe that it had.
        for path in (out / RESULT, *(folder / SEED_RESULT for folder in folders)):
            path.unlink(missing_ok=True)
        keep_recipe(out, recipe)
    # It is tried again: what is then wrong is said then.
    for folder in folders:
        forget_stop(folder)


def _changed(before: _AnyRecipe, now: _AnyRecipe) -> list[str]:
    """Keys whose values differ; where shards lie is none: the fingerprint says whether they are the same."""
    old, new = before.flat(), now.flat()
    return [key for key in old if old[key] != new[key]]
