"""From a task's tables to examples in memory."""

from __future__ import annotations

from dataclasses import replace

from bertkit.data.tables import read_rows
from bertkit.errors import UserError
from bertkit.tasks.examples import Examples, empty_part
from bertkit.tasks.kind import LabelColumn, Names
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.registry import Split, Task


def load_examples(task: Task, split: Split, names: Names | None = None) -> tuple[Examples, Names]:
    """Read one split of a task.

    Args:
        task: says which file and columns.
        split: "train" or "dev".
        names: those of training, for rows to be scored; None: the task's own, or those of the file.

    Returns:
        The examples, and the names of what they ask for (empty for a task without a label column).

    Raises:
        UserError: a bad row, an empty text or label, or labels that cannot be: see `Kind.targets`.
    """
    path = task.file(split)
    rows = list(read_rows(path, task.columns, header=task.header))
    for row in rows:
        if problem := empty_part(path, row):
            raise UserError(problem)
    examples = Examples(
        texts=[row.text for row in rows],
        pairs=None if task.columns.pair is None else [row.pair for row in rows if row.pair is not None],
        targets=None,
        lines=[row.line for row in rows],
        path=path,
    )
    if task.columns.label is None:
        return examples, ()
    cells = [row.label for row in rows if row.label is not None]
    column = LabelColumn(cells, examples.lines, path, task.name, task.labels, names, split == "train")
    targets, found = KINDS[task.kind].targets(column)
    return replace(examples, targets=targets), found
