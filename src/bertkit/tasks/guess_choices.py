"""Which columns of somebody's own table are texts that one is to be chosen from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bertkit.data.tables import Column
from bertkit.tasks.choices import list_of_choices

LISTS = ("choices", "options", "endings", "candidates", "alternatives")
"""Usual names of a column that holds lists of them."""
_FAMILY = re.compile(
    r"(choice|option|ending|answer|alternative|candidate|sol|solution)[ _]?([0-9]|[a-z])", re.I
)


def flattened(names: Sequence[Column], rows: Sequence[Sequence[Any]]) -> tuple[list[Column], list[list[Any]]]:
    """A table in which an object's keys are columns of their own, `question.stem`; lists stay as they are."""
    inside = {
        place: [*rows[0][place]] for place in range(len(names)) if rows and isinstance(rows[0][place], dict)
    }
    inside = {place: keys for place, keys in inside.items() if "text" not in keys}
    found: list[Column] = []
    for place, name in enumerate(names):
        found += [f"{name}.{key}" for key in inside[place]] if place in inside else [name]
    cells = [
        [
            cell
            for place, value in enumerate(row)
            for cell in (
                [value.get(key) if isinstance(value, dict) else None for key in inside[place]]
                if place in inside
                else [value]
            )
        ]
        for row in rows
    ]
    return found, cells


def choices_among(names: Sequence[Column], rows: Sequence[Sequence[Any]]) -> list[Column]:
    """The columns of choices: one with a usual name that holds lists, or two or more that are numbered; else
    none.
    """
    for place, name in enumerate(names):
        called = str(name).rpartition(".")[2].lower()
        if called in LISTS and any(_is_list(row[place]) for row in rows):
            return [name]
    families: dict[str, list[Column]] = {}
    for name in names:
        if match := _FAMILY.fullmatch(str(name)):
            families.setdefault(match[1].lower(), []).append(name)
    return max(families.values(), key=len, default=[]) if any(len(f) > 1 for f in families.values()) else []


def _is_list(cell: Any) -> bool:
    return not isinstance(list_of_choices(["choices"], [cell]), str)
