"""From a task's tables to examples in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

from bertkit.data.tables import BadRow, Row, bad_row, offering_options
from bertkit.errors import UserError
from bertkit.tasks.examples import Examples, checked, told_bad
from bertkit.tasks.kind import LabelColumn, Names
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.split import split_rows
from bertkit.tasks.task import Split, Task


def load_examples(
    task: Task, split: Split, names: Names | None = None, *, grows: bool = False
) -> tuple[Examples, Names]:
    """Read one split of a task.

    Args:
        task: says which file and columns, and whether rows that cannot be used are left out.
        split: "train", "dev" or "test".
        names: those of training, for rows to be scored; None: the task's own, or those of the file.
        grows: whether labels that are not among `names` are added behind them, where the task has no labels
            of its own; else their rows cannot be used.

    Returns:
        The examples, and the names of what they ask for (empty for a task without a label column).

    Raises:
        UserError: rows that cannot be used, unless they are left out; all are counted, with their lines and
            reasons. Or labels that cannot be (see `Kind.targets`), or too few
            rows to set some aside.
    """
    whole, found = _read(task, split, names, grows=grows)
    if whole.targets is not None and (split in task.shares or (split == "train" and task.shares)):
        whole = _dealt(task, whole)[split]
    return whole, found


def load_splits(task: Task) -> tuple[dict[Split, Examples], Names]:
    """The rows of train and dev, and of test where there are any; a file that several are of is read once.

    Labels that only dev or test has are added behind those of train.

    Raises:
        UserError: see `load_examples`.
    """
    whole, names = _read(task, "train", None)
    found: dict[Split, Examples] = _dealt(task, whole) if task.shares else {"train": whole}
    if "dev" not in found:
        found["dev"], names = _read(task, "dev", names, grows=True)
    if "test" in task.files and "test" not in found:
        found["test"], names = _read(task, "test", names, grows=True)
    return found, names


class ReadOnce:
    """`load_splits`, for several who ask for the same task one after the other."""

    def __init__(self) -> None:
        self._known: tuple[Task, tuple[dict[Split, Examples], Names]] | None = None

    def __call__(self, task: Task) -> tuple[dict[Split, Examples], Names]:
        """See `load_splits`."""
        if self._known is None or self._known[0] != task:
            self._known = task, load_splits(task)
        return self._known[1]


ReadSplits = Callable[[Task], tuple[dict[Split, Examples], Names]]
"""`load_splits`, or what is like it."""


def _dealt(task: Task, whole: Examples) -> dict[Split, Examples]:
    """The splits of the rows of one file."""
    alike = KINDS[task.kind].strata(whole.known)
    parts = split_rows(whole, task.shares, alike, seed=task.split_seed, fold=task.fold)
    return {split: whole.only(rows) for split, rows in parts.items()}


def _read(task: Task, split: Split, names: Names | None, *, grows: bool = False) -> tuple[Examples, Names]:
    """All rows of a split's file; see `load_examples`."""
    path, kind = task.file(split), KINDS[task.kind]
    with offering_options(task.columns):
        rows = [checked(path, row) for row in kind.reads(path, task.columns, **task.reading)]
    column: LabelColumn | None = None
    to_learn = split == "train" or split in task.shares
    if task.columns.label is not None:
        asked = LabelColumn([], [], path, task.name, task.labels, names, to_learn, grows)
        rows = _with_labels(rows, asked.of(_good(rows)), kind.label_problem)
        column = asked.of(_good(rows))
    good, bad = _good(rows), [row for row in rows if isinstance(row, BadRow)]
    if bad and (not good or not task.skip_bad):
        raise UserError(told_bad(path, bad, len(rows)))
    whole = kind.complete(replace(Examples.of(good, path), left_out=bad))
    if column is None:
        return whole, ()
    targets, found = kind.targets(column)
    return replace(whole, targets=targets), found


def _good(rows: Sequence[Row | BadRow]) -> list[Row]:
    return [row for row in rows if isinstance(row, Row)]


def _with_labels(
    rows: Sequence[Row | BadRow], column: LabelColumn, problem: Callable[[LabelColumn, int], str | None]
) -> list[Row | BadRow]:
    """The rows, as bad ones where their label cannot be."""
    numbers = count()
    return [
        bad_row(column.path, row.line, reason)
        if isinstance(row, Row) and (reason := problem(column, next(numbers)))
        else row
        for row in rows
    ]
