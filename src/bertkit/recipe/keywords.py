"""Keys of a recipe by the names of their options: what Python's keywords stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bertkit.config.model import PRESETS
from bertkit.errors import UserError, nearest
from bertkit.recipe.base import BaseRecipe, Changes

OTHER_NAMES: tuple[tuple[str, str, str], ...] = (
    ("batch", "batch", "sequences"),
    ("batch", "batch", "tokens"),
    ("data", "task", "folder"),
    ("lower_case", "vocabulary", "lowercase"),
    ("model", "model", "start"),
    ("optimiser", "optimiser", "name"),
    ("task", "task", "name"),
    ("vocab", "vocabulary", "file"),
    ("vocab_size", "vocabulary", "size"),
)
"""Options that are not called as the keys that they stand for: option, section, key."""
HOW_LONG: Mapping[str, Any] = {"epochs": 0, "steps": 0, "budget": 0.0, "replay": ""}
"""Keys of which the last word wins over what a recipe has said, and what stands for their absence."""


def minutes(text: str) -> float:
    """`30m`, `1h`, `1h30m`, `90s` or a plain number of minutes.

    Raises:
        ValueError: it is none of these.
    """
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?", text.strip())
    if found is None or not any(found.groups()):
        return float(text)
    hours, whole, seconds = (float(part or 0) for part in found.groups())
    return 60 * hours + whole + seconds / 60


def changes_of(recipe: BaseRecipe, given: Mapping[str, Any]) -> Changes:
    """What keywords such as `epochs=3` change in a recipe: each is called as its option, or its key.

    Raises:
        UserError: there is none of that name, and the nearest is offered.
    """
    known = {
        spec.name: (section.name, spec.name)
        for section in reversed(fields(recipe))
        for spec in reversed(fields(getattr(recipe, section.name)))
    }
    for name, section, key in OTHER_NAMES:
        if hasattr(getattr(recipe, section, None), key):
            known[name] = section, key
    changes: Changes = {}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"There is no option {name!r}.{nearest(name, sorted(known))}")
        section, key = known[name]
        if key == "budget" and isinstance(value, str):
            try:
                value = minutes(value)
            except ValueError:
                raise UserError(f"budget={value!r} is no time such as '30m' or '1h'.") from None
        changes.setdefault(section, {})[key] = value
    return with_last_word(recipe, changes)


def with_last_word(recipe: BaseRecipe, changes: Changes) -> Changes:
    """The changes of a recipe, and what it has said itself that they overrule.

    Where they say how long it runs, that is what it has said of that; where they give another trained model,
    the pooling of the head, which is then that of the new one.
    """
    flat, start = recipe.flat(), changes.get("model", {}).get("start")
    if start not in (None, flat.get("model.start"), *PRESETS) and flat.get("head.pooling"):
        changes = {**changes, "head": {"pooling": "", **changes.get("head", {})}}
    said, training = changes.get("training", {}), getattr(recipe, "training", None)
    if not HOW_LONG.keys() & said.keys():
        return changes
    absent = {key: value for key, value in HOW_LONG.items() if hasattr(training, key)}
    return {**changes, "training": {**absent, **said}}
