"""Rows that have any number of labels: how tables write them, and what they ask for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.files import text_problem
from bertkit.data.tables import BadRow, CellRow, Column, Row, bad_row, iterate_cells
from bertkit.errors import listed, quoted
from bertkit.tasks.examples import Targets, checked
from bertkit.tasks.metrics import IntArray

LABEL_SEPARATOR = ","
BoolArray = npt.NDArray[np.bool_]
Found = tuple[str, ...] | str
"""The labels of a cell, or why it has none, as the end of a sentence."""

_ITEM = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s'",\[\]]+"""
_LIST = re.compile(rf"\[\s*(?:(?:{_ITEM})(?:\s*,\s*(?:{_ITEM}))*\s*,?\s*)?\]")
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false")


@dataclass(frozen=True)
class SetColumns:
    """Where the parts of a row stand, each by name or by number from 1 (a string of digits is one).

    Attributes:
        text: the first text.
        labels: one column that lists the labels of a row, or one of 0 and 1 for each label.
        pair: the second text; None where there is none.
        separator: of the labels in a cell that is a text.
    """

    text: Column
    labels: tuple[Column, ...]
    pair: Column | None = None
    separator: str = LABEL_SEPARATOR

    def __post_init__(self) -> None:
        for part in ("text", "pair"):
            object.__setattr__(self, part, _column(getattr(self, part)))
        object.__setattr__(self, "labels", tuple(map(_column, self.labels)))


def _column(given: Any) -> Any:
    return int(given) if isinstance(given, str) and given.isdecimal() else given


@dataclass(frozen=True)
class SetRow:
    """A row of a table and its labels, as they stand there; it may have none."""

    row: Row
    labels: tuple[str, ...]


def read_label_sets(
    path: str | Path, columns: SetColumns, **how: Any
) -> tuple[list[SetRow | BadRow], tuple[str, ...]]:
    """Read rows with any number of labels.

    A cell of labels is a list (JSON, Parquet), a list written as a text (`["a", "b"]`, or as Python writes
    it), or labels with separators between them; the first that is not empty tells which. An empty cell, an
    empty list and null are no labels.

    Args:
        path: the file.
        columns: what to read.
        how: `header`, `separator` and `encoding`, see `iterate_rows`.

    Returns:
        The rows, those that cannot be used as bad ones; and the names of the columns of 0 and 1, in their
        order, or () where labels are listed.

    Raises:
        UserError: see `iterate_rows`.
    """
    path = Path(path)
    texts = [column for column in (columns.text, columns.pair) if column is not None]
    by_number = any(isinstance(column, int) for column in columns.labels)
    asked = [*texts, *columns.labels]
    rows = list(iterate_cells(path, asked, whole=len(columns.labels) > 1 and by_number, **how))
    good = [row for row in rows if isinstance(row, CellRow)]
    names: tuple[str, ...] = ()
    if len(columns.labels) > 1:
        names = _names_of(columns.labels, good)
        read: Callable[[list[Any]], Found] = _of_each(names)
    else:
        read = _listed([row.found[-1] for row in good], columns.separator)
    return [row if isinstance(row, BadRow) else _read(path, row, columns, read) for row in rows], names


def _names_of(columns: Sequence[Column], rows: Sequence[CellRow]) -> tuple[str, ...]:
    """What the columns of 0 and 1 are called."""
    called = list(rows[0].cells) if rows else []
    return tuple(
        (called[each - 1] if called else f"column_{each}") if isinstance(each, int) else each
        for each in columns
    )


def _read(
    path: Path, row: CellRow, columns: SetColumns, read: Callable[[list[Any]], Found]
) -> SetRow | BadRow:
    texts: list[str] = []
    parts = [column for column in (columns.text, columns.pair) if column is not None]
    for column, cell in zip(parts, row.found, strict=False):
        if problem := text_problem(cell):
            return bad_row(path, row.line, f"column {quoted(column)} {problem}; mend or remove the row.")
        texts.append(cell)
    found = checked(path, Row(row.line, texts[0], texts[1] if len(texts) > 1 else None))
    if isinstance(found, BadRow):
        return found
    labels = read(row.found[len(parts) :])
    return bad_row(path, row.line, labels) if isinstance(labels, str) else SetRow(found, labels)


def _of_each(names: Sequence[str]) -> Callable[[list[Any]], Found]:
    """Of a row's cells of 0 and 1, one for each name."""

    def read(cells: list[Any]) -> Found:
        said = [_as_text(cell).lower() for cell in cells]
        for name, cell, text in zip(names, cells, said, strict=True):
            if text not in (*_YES, *_NO):
                return (
                    f"column {quoted(name)} has {quoted(cell)}, where a column for one label has 0 or 1; "
                    "make it one of these."
                )
        return tuple(name for name, text in zip(names, said, strict=True) if text in _YES)

    return read


def _as_text(cell: Any) -> str:
    """A text as it is, a number as JSON writes it, of anything else ""."""
    if isinstance(cell, str):
        return cell.strip()
    return json.dumps(cell) if isinstance(cell, bool | int | float) and cell == cell else ""


def _listed(cells: Sequence[Any], separator: str) -> Callable[[list[Any]], Found]:
    """Of a row's only cell of labels: the first that is not empty tells how all are written."""
    first = next((cell for cell in cells if _says(cell)), None)
    if isinstance(first, list):
        return lambda cells: _items(cells[0])
    if isinstance(first, str) and _LIST.fullmatch(first.strip()):
        return lambda cells: _written_list(cells[0])
    return lambda cells: _separated(cells[0], separator)


def _says(cell: Any) -> bool:
    return bool(cell.strip() if isinstance(cell, str) else cell is not None)


def _items(cell: Any) -> Found:
    if not _says(cell):
        return ()
    if not isinstance(cell, list):
        return f"{quoted(cell)} is not a list of labels, as the rows before have one; make it one."
    labels = []
    for item in cell:
        label = _as_text(item)
        if not label:
            return f"{quoted(item)} in the list of labels is neither a text nor a number; mend or remove it."
        labels.append(label)
    if len({*labels}) < len(labels) and {*labels} <= {"0", "1"}:
        return (
            f"the list of labels {quoted(cell)} says 0 or 1 of each; give the labels' names or numbers, or a "
            "column of 0 and 1 for each label."
        )
    return tuple(dict.fromkeys(labels))


def _written_list(cell: Any) -> Found:
    if not _says(cell):
        return ()
    text = _as_text(cell)
    if not _LIST.fullmatch(text):
        return f"{quoted(cell)} is not a list of labels, as the rows before have one; make it one."
    try:
        return _items(json.loads(text))
    except ValueError:
        pass
    try:
        found = [_unquoted(item) for item in re.findall(_ITEM, text[1:-1])]
    except (SyntaxError, ValueError):
        return f"{quoted(cell)} is not a list of labels that can be read; write it as JSON does."
    return _items(found)


def _unquoted(item: str) -> Any:
    return ast.literal_eval(item) if item[0] in "'\"" else item


def _separated(cell: Any, separator: str) -> Found:
    if not _says(cell):
        return ()
    text = _as_text(cell)
    if not text:
        return (
            f"{quoted(cell)} is of type {type(cell).__name__}, not a text of labels; mend or remove the row."
        )
    return tuple(dict.fromkeys(label for part in text.split(separator) if (label := part.strip())))


def sets_of(rows: Sequence[Sequence[str]], names: Sequence[str]) -> Targets:
    """The labels of N rows as their numbers among `names`, those of a row in rising order."""
    number = {name: place for place, name in enumerate(names)}
    found = [sorted(number[label] for label in labels) for labels in rows]
    values = np.array([each for labels in found for each in labels], dtype=np.int64)
    return Targets(values, np.cumsum([0, *map(len, found)]))


def dense(targets: Targets, labels: int) -> BoolArray:
    """Which of C labels each of N rows has, [N, C]."""
    found = np.zeros((len(targets), labels), dtype=np.bool_)
    found[np.repeat(np.arange(len(targets)), np.diff(targets.starts)), targets.values] = True
    return found


def rarest(targets: Targets, labels: int) -> IntArray:
    """Of N rows the rarest label that each has, -1 of one without any: what rows are dealt out by, [N]."""
    counts = np.bincount(targets.values, minlength=labels)
    return np.array(
        [
            min(labels_of_row, key=lambda label: (counts[label], label), default=-1)
            for labels_of_row in (targets.of(row).tolist() for row in range(len(targets)))
        ],
        dtype=np.int64,
    )


ONCE = 2
"""Rows below which a label is too rare to be learned."""


def set_notes(targets: Targets, names: Sequence[str]) -> Iterator[str]:
    """What is to be said of the labels of rows to learn from."""
    sizes = np.diff(targets.starts)
    if without := int((sizes == 0).sum()):
        yield f"{without:,} of {len(sizes):,} rows have no label: each is an example of none"
    if len(sizes) and sizes.max() == 1:
        yield "no row has two labels: if a cell holds several, say --label-separator"
    counts = np.bincount(targets.values, minlength=len(names))
    if rare := [name for name, count in zip(names, counts, strict=True) if 0 < count < ONCE]:
        yield f"labels of one row only, too rare to be learned: {listed(rare)}"
