"""One command that makes all changes that findings propose, of a run that was and of one to come."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertkit.checkpoint.locate import find_pretrained
from bertkit.config.model import changed_preset
from bertkit.diagnose.answers import typed_settings
from bertkit.errors import UserError
from bertkit.health.advice import PRETRAINED
from bertkit.health.checks import check_before
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.base import add_settings
from bertkit.recipe.finetune import VocabularyRecipe
from bertkit.runs.findings import Change, Finding, ways
from bertkit.runs.folder import RECIPE
from bertkit.runs.history import History
from bertkit.train.start import preflight

Settings = Mapping[str, str]
"""By key, as `--set` takes them."""


def remedy_after(run: Path, history: History, findings: Sequence[Finding]) -> str:
    """The command that does a run again with what restarts changed and what its findings propose."""
    settings = typed_settings(history) | chosen_changes(history.recipe, findings)
    words = [history.phase, "--recipe", str(run / RECIPE)]
    return _command(words, settings, f"{run}-again")


def examine_recipe(
    recipe: Recipe | PretrainRecipe, *, seconds: float, file: str | Path | None = None
) -> dict[str, Any]:
    """Look at what a recipe would do, by a few steps on copies of its model.

    Args:
        recipe: of a run to come.
        seconds: for these steps, at most.
        file: the recipe file that it was made from, if any: it shortens the command.

    Returns:
        `measures`, `findings`, the gravest first, and `again`, the command with all their changes.

    Raises:
        UserError: bad data or options.
    """
    measures = preflight(recipe, seconds=seconds)
    findings = name_pretrained(recipe, check_before(measures))
    return {
        "measures": measures.to_json(),
        "findings": [each.to_json() for each in findings],
        "again": remedy_before(recipe, findings, file),
    }


def name_pretrained(recipe: Recipe | PretrainRecipe, findings: Sequence[Finding]) -> list[Finding]:
    """The findings; where they advise a pretrained model, by the name of one that is on this machine.

    Options of fresh weights, or of their vocabulary, do not go with it: the advice then stays as it is.
    """
    advised = any(PRETRAINED in finding.changes for finding in findings)
    own = recipe.model.options or getattr(recipe, "vocabulary", None) not in (None, VocabularyRecipe())
    if not advised or own or (found := find_pretrained()) is None:
        return list(findings)
    named = [Change("model.start", found[0], "a pretrained model")]
    if recipe.optimiser.lr > (usual := type(recipe)().optimiser.lr):
        named.append(Change("optimiser.lr", usual, together=True))
    # A run keeps the pooling that was chosen for its own start.
    if isinstance(recipe, Recipe) and recipe.head.pooling:
        named.append(Change("head.pooling", "", together=True))
    return [
        replace(
            finding,
            changes=tuple(
                each for change in finding.changes for each in (named if change == PRETRAINED else [change])
            ),
        )
        for finding in findings
    ]


def remedy_before(
    recipe: Recipe | PretrainRecipe, findings: Sequence[Finding], file: str | Path | None = None
) -> str:
    """The command that makes such a run with what its findings propose; "" where no key can say any of it."""
    if not (chosen := chosen_changes(recipe, findings)):
        return ""
    usual = _flat(type(recipe).of(file))
    asked = {key: value for key, value in _flat(recipe).items() if usual.get(key) != value}
    name = asked.pop(".".join(recipe.ABOUT), "")
    words = ["finetune" if isinstance(recipe, Recipe) else "pretrain", *filter(None, [name])]
    words += ["--recipe", str(file)] if file else []
    name = Path(str(name or asked.get("task.train") or file or "again")).name.partition(".")[0]
    settings = {key: Change(key, value).typed.removeprefix("--set ") for key, value in asked.items()}
    return _command(words, settings | chosen, f"runs/{name}")


def _flat(recipe: Recipe | PretrainRecipe) -> dict[str, Any]:
    """Each key with its value, those of the model's options and of places, too."""
    options = {f"model.options.{name}": value for name, value in recipe.model.options.items()}
    about = {".".join(recipe.ABOUT): getattr(getattr(recipe, recipe.ABOUT[0]), recipe.ABOUT[1])}
    return {
        **about,
        **{key: each for key, each in recipe.flat().items() if key != "model.options"},
        **options,
    }


def _command(words: Sequence[str], settings: Settings, out: str) -> str:
    typed = [word for setting in settings.values() for word in ("--set", setting)]
    return shlex.join(["bertkit", *words, *typed, "-o", out])


def chosen_changes(recipe: Recipe | PretrainRecipe, findings: Sequence[Finding]) -> dict[str, str]:
    """By key what each finding proposes first, and what acts with that.

    The gravest finding's word counts where two want another value of a key, and a change that makes no recipe
    beside those before it is left out.
    """
    chosen: dict[str, str] = {}
    for finding in findings:
        proposed = ([change for change in way if change.key] for way in ways(finding.changes))
        for change in next(filter(None, proposed), []):
            # A change as people read it has no quotes; a shell may need them.
            setting = change.typed.removeprefix("--set ")
            if change.key not in chosen and _makes_a_recipe(recipe, [*chosen.values(), setting]):
                chosen[change.key] = setting
    return chosen


def _makes_a_recipe(recipe: Recipe | PretrainRecipe, settings: Sequence[str]) -> bool:
    """Whether a recipe takes these settings, and its model's options with them."""
    try:
        model = recipe.with_changes(add_settings({}, settings, recipe.model.options)).model
        if model.start != recipe.model.start and model.options:
            return False
        if model.fresh:
            changed_preset(model.start, model.options)
    except (UserError, TypeError):
        return False
    return True
