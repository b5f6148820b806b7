"""What of the named tasks is on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertkit.data.fetch import FetchListener, fetch_source
from bertkit.data.files import cache_folder
from bertkit.data.sources import Source, sources
from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe
from bertkit.tasks.guess import complete
from bertkit.tasks.load import load_examples
from bertkit.tasks.named import TASKS
from bertkit.tasks.own import all_names, expand, own_tasks
from bertkit.tasks.registry import find_task, get_task
from bertkit.tasks.task import Split, Task

HERE, PART, ABSENT = "here", "part", "absent"
_BROKEN: dict[str, Any] = {
    "kind": "",
    "data_set": "",
    "state": ABSENT,
    "folder": None,
    "bytes": 0,
    "rows": {},
    "missing": [],
    "licence": None,
    "cite": None,
}


def look(name: str) -> dict[str, Any]:
    """What is here of a named task.

    Returns:
        `task`, `kind`, `data_set`; `state`: "here", "part" (not all of its splits) or "absent"; `folder`,
        None where nothing is here; `bytes` of the files; `rows` by split, read as a training reads them;
        `problem`, why they cannot be, or None; `missing` files; `licence`, `cite`, None
        of a user's own.

    Raises:
        UserError: there is no such task.
    """
    task = find_task(complete(expand(TaskRecipe(name=name)))[0]) if name in own_tasks() else get_task(name)
    source = sources().get(task.data_set)
    names = _names(task)
    found = {each: path for each in names if (path := _path(task, each)) is not None}
    rows, problem = _rows(task)
    folder = next((path.parent for path in found.values()), None)
    return {
        "task": task.name,
        "kind": task.kind,
        "data_set": task.data_set,
        "state": HERE if len(found) == len(names) else PART if found else ABSENT,
        "folder": None if folder is None else str(folder),
        "bytes": sum(_size(path) for path in found.values()),
        "rows": rows,
        "problem": problem,
        "missing": [each for each in names if each not in found],
        "licence": source.licence if source else None,
        "cite": source.cite if source else None,
    }


def overview() -> list[dict[str, Any]]:
    """What is here of every named task, and of the user's own; one that cannot be read says why."""
    found = []
    for name in all_names():
        try:
            found.append(look(name))
        except UserError as error:
            found.append({"task": name, **_BROKEN, "problem": str(error)})
    return found


def origin(name: str) -> Source:
    """Where the files of a named task come from.

    Raises:
        UserError: there is no such task, or it is one of the user's own.
    """
    if (path := own_tasks().get(name)) and name not in TASKS:
        raise UserError(f"{name!r} is a task of your own: its rows are where {path} says.")
    return sources()[get_task(name).data_set]


def fetch_task(
    name: str, *, to: Path | None = None, local: Path | None = None, listener: FetchListener | None = None
) -> dict[str, Any]:
    """Fetch the files of a named task; into the cache, or into `to`.

    Arguments, result and errors are those of `fetch_source`, and of `origin`.
    """
    source = origin(name)
    folder = to or cache_folder() / source.folder
    return fetch_source(source, folder, task=name, local=local, listener=listener)


def _names(task: Task) -> list[str]:
    """The files of the splits; of a task without any, those to be answered."""
    files = list(dict.fromkeys(task.files.values()))
    return files or ([task.submission.file] if task.submission else [])


def _path(task: Task, name: str) -> Path | None:
    try:
        path = task.place(name)
    except UserError:
        return None
    return path if path.exists() else None


def _rows(task: Task) -> tuple[dict[Split, int], str | None]:
    """Rows by split, and the sentence about those that cannot be read."""
    counts: dict[Split, int] = {}
    for split in task.files:
        if task.has(split):
            try:
                counts[split] = len(load_examples(task, split)[0])
            except UserError as error:
                return counts, str(error)
    return counts, None


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in ([path] if path.is_file() else path.rglob("*")))
