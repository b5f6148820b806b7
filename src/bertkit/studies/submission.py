"""Files of answers that a benchmark's server takes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.data.tables import read_rows
from bertkit.errors import UserError
from bertkit.infer.predict import Predictor
from bertkit.tasks.task import Task


def write_answers(predictor: Predictor, task: Task, path: Path) -> int:
    """Answer the rows of a task's submission; returns how many there are.

    The file has the columns `index`, from 0, and `prediction`: a label as the task's own files have it, or a
    number within the bounds of the task.

    Args:
        predictor: a model of the task, or of the one that it is `trained_on`.
        task: it has a submission, whose rows are on this machine.
        path: of the file to write.

    Raises:
        UserError: the rows cannot be read, or the model has other labels.
    """
    wanted = task.submission
    assert wanted is not None, "the caller has asked"
    rows = list(read_rows(task.place(wanted.file), wanted.columns))
    pairs = None if wanted.columns.pair is None else [row.pair or "" for row in rows]
    answers = predictor.predict([row.text for row in rows], pairs)
    cells = {name: cell for cell, name in task.labels.items()}
    if cells and set(cells) != set(predictor.labels):
        raise UserError(
            f"{predictor.name} tells {', '.join(predictor.labels)}; {task.name} needs other labels."
        )
    with replace_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write("index\tprediction\n")
        for number, answer in enumerate(answers):
            file.write(f"{number}\t{_cell(answer, cells, wanted.low, wanted.high)}\n")
    return len(rows)


def _cell(answer: Mapping[str, Any], cells: Mapping[str, str], low: float, high: float) -> str:
    return cells[answer["label"]] if cells else f"{min(max(answer['score'], low), high):.3f}"


def write_zip(path: Path, files: Iterable[Path]) -> None:
    """Pack files side by side."""
    with replace_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, file.name)
