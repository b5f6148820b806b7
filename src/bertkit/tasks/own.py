"""A user's own tasks: TOML files with the keys of a recipe's `[task]`, by path or by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bertkit.errors import UserError, nearest
from bertkit.recipe import USUAL_DEV, TaskRecipe, from_table, share_of
from bertkit.recipe.base import read_table
from bertkit.tasks.named import TASKS

FOLDER = "BERTKIT_TASKS"
"""The variable of the folder whose `NAME.toml` are tasks by the name NAME."""
_ENDING = ".toml"
# What a file cannot say of itself.
_NOT_OWN = ("name", "folder")


def own_tasks() -> dict[str, Path]:
    """The files in `$BERTKIT_TASKS`, by name."""
    folder = os.environ.get(FOLDER)
    return {path.stem: path for path in sorted(Path(folder).glob(f"*{_ENDING}"))} if folder else {}


def is_task(what: str | Path) -> bool:
    """Whether `what` is the name of a task, or a file that describes one (a recipe has other keys)."""
    path = Path(what)
    if str(what) in TASKS or str(what) in own_tasks():
        return True
    return (
        path.suffix == _ENDING and path.is_file() and isinstance(read_table(path, "task").get("train"), str)
    )


def all_names() -> list[str]:
    """Of the named tasks, and of the user's own."""
    return [*TASKS, *own_tasks()]


def expand(recipe: TaskRecipe) -> TaskRecipe:
    """A recipe whose task is one of the user's own, with what its file says; any other as it is.

    What the recipe says itself counts more.

    Raises:
        UserError: no such file or name, an unknown key (the nearest is offered), a value of another type, no
            file of rows, or a name that is also that of a named task.
    """
    name = recipe.name
    path = Path(name) if name.endswith(_ENDING) else own_tasks().get(name)
    if path is None:
        if name and name not in TASKS:
            raise UserError(f"There is no task {name!r}.{nearest(name, all_names())}")
        return recipe
    if name in TASKS:
        raise UserError(f"{name!r} is a task of bertkit's, and {path} has the same name; rename the file.")
    usual = asdict(TaskRecipe())
    said = {key: value for key, value in asdict(recipe).items() if value != usual[key]}
    return replace(_read(path), **{**said, "name": ""})


def _read(path: Path) -> TaskRecipe:
    table = read_table(path, "task")
    try:
        if hidden := next((key for key in _NOT_OWN if key in table), None):
            raise UserError(f"{hidden!r} is no key of a task's own file: the file is its name.")
        recipe = from_table(TaskRecipe, {"title": path.stem, **table, "labels": _labels(table)}, "")
        if not recipe.train and not recipe.dev:
            raise UserError(
                "it names no rows: train, and perhaps dev and test, are files, or shares of train."
            )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    files: dict[str, Any] = {"dev": USUAL_DEV}
    for key in ("train", "dev", "test"):
        if given := getattr(recipe, key):
            files[key] = str(_place(path, given))
    return replace(recipe, **files)


def _labels(table: Mapping[str, Any]) -> Any:
    """A table of names by label, or a list of labels that are called as they are written."""
    given = table.get("labels", {})
    if isinstance(given, list) and all(isinstance(label, str) for label in given):
        return {label: label for label in given}
    return given


def _place(path: Path, given: str) -> str | Path:
    """A file as it is found from the task's own; a share as it is."""
    return given if share_of(given) else (path.parent / given).absolute()
