"""From a task's tables to examples in memory."""

from __future__ import annotations

from dataclasses import replace

from bertkit.data.tables import read_rows
from bertkit.errors import UserError
from bertkit.tasks.examples import Examples, empty_part
from bertkit.tasks.kind import LabelColumn, Names
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.registry import Split, Task
from bertkit.tasks.split import split_rows, strata


def load_examples(task: Task, split: Split, names: Names | None = None) -> tuple[Examples, Names]:
    """Read one split of a task.

    Args:
        task: says which file and columns.
        split: "train", "dev" or "test".
        names: those of training, for rows to be scored; None: the task's own, or those of the file.

    Returns:
        The examples, and the names of what they ask for (empty for a task without a label column).

    Raises:
        UserError: a bad row, an empty text or label, labels that cannot be (see `Kind.targets`), or too few
            rows to set some aside.
    """
    path = task.file(split)
    rows = list(read_rows(path, task.columns, header=task.header))
    for row in rows:
        if problem := empty_part(path, row):
            raise UserError(problem)
    whole = Examples(
        texts=[row.text for row in rows],
        pairs=None if task.columns.pair is None else [row.pair for row in rows if row.pair is not None],
        targets=None,
        lines=[row.line for row in rows],
        path=path,
    )
    if task.columns.label is None:
        return whole, ()
    cells = [row.label for row in rows if row.label is not None]
    to_learn = split == "train" or split in task.shares
    column = LabelColumn(cells, whole.lines, path, task.name, task.labels, names, to_learn)
    kind = KINDS[task.kind]
    targets, found = kind.targets(column)
    whole = replace(whole, targets=targets)
    if split in task.shares or (split == "train" and task.shares):
        parts = split_rows(whole, task.shares, strata(targets, classes=kind.labels), seed=task.split_seed)
        whole = whole.only(parts[split])
    return whole, found
