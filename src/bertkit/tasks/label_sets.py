"""Rows that have any number of labels: how tables write them, and what they ask for."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.tables import BadRow, Column, Columns, Row, bad_row, iterate_rows
from bertkit.errors import quoted
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.metrics import IntArray

BoolArray = npt.NDArray[np.bool_]
Found = tuple[str, ...] | str
"""The labels of a cell, or why it has none, as the end of a sentence."""

_LABELS = "labels"
_ITEM = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s'",\[\]]+"""
_LIST = re.compile(rf"\[\s*(?:(?:{_ITEM})(?:\s*,\s*(?:{_ITEM}))*\s*,?\s*)?\]")
_YES, _NO = ("1", "1.0", "true"), ("0", "0.0", "false")


def read_label_sets(path: str | Path, columns: Columns, **how: Any) -> Iterator[Row | BadRow]:
    """As `iterate_rows`, for rows with any number of labels: a row's label is a tuple of them.

    A cell of labels is a list (JSON, Parquet), a list written as a text (`["a", "b"]`, or as Python writes
    it), or labels with separators between them; the first that is not empty tells which. An empty cell, an
    empty list and null are no labels. Or each label has a column of 0 and 1, by whose name it is called.

    Args:
        path: the file.
        columns: what to read; without a label, rows have none.
        how: see `iterate_rows`.

    Raises:
        UserError: see `iterate_rows`.
    """
    if columns.label is None:
        return iterate_rows(path, columns, **how)
    asked = columns.label if isinstance(columns.label, tuple) else (columns.label,)
    # What columns that are given by number are called stands among all cells of a row.
    whole = how.pop("whole", False) or any(isinstance(column, int) for column in asked)
    parts = replace(columns, label=None, more={**columns.more, _LABELS: asked})
    rows = list(iterate_rows(path, parts, whole=whole, **how))
    good = [row for row in rows if isinstance(row, Row)]
    if isinstance(columns.label, tuple):
        read: Callable[[list[Any]], Found] = _of_each(_names_of(asked, good))
    else:
        read = _listed([row.more[_LABELS][0] for row in good], columns.label_separator)
    return (row if isinstance(row, BadRow) else _with_labels(Path(path), row, read) for row in rows)


def _names_of(columns: Sequence[Column], rows: Sequence[Row]) -> tuple[str, ...]:
    """What the columns of 0 and 1 are called."""
    called = list(rows[0].cells) if rows else []
    return tuple(called[each - 1] if isinstance(each, int) and called else str(each) for each in columns)


def _with_labels(path: Path, row: Row, read: Callable[[list[Any]], Found]) -> Row | BadRow:
    labels = read(row.more[_LABELS])
    if isinstance(labels, str):
        return bad_row(path, row.line, labels, row.cells)
    more = {name: cells for name, cells in row.more.items() if name != _LABELS}
    return replace(row, label=labels, more=more)


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


def is_yes_or_no(cell: Any) -> bool:
    """Whether a cell says 0 or 1 of a label."""
    return _as_text(cell).lower() in (*_YES, *_NO)


def is_list(cell: Any) -> bool:
    """Whether a cell is a list of labels, or one that is written as a text."""
    if isinstance(cell, str):
        return bool(_LIST.fullmatch(cell.strip()))
    return isinstance(cell, list) and all(map(_as_text, cell))


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


def rarest(targets: Targets) -> IntArray:
    """Of N rows the rarest label that each has, -1 of one without any: what rows are dealt out by, [N]."""
    counts = np.bincount(targets.values)
    return np.array(
        [
            min(labels_of_row, key=lambda label: (counts[label], label), default=-1)
            for labels_of_row in (targets.of(row).tolist() for row in range(len(targets)))
        ],
        dtype=np.int64,
    )


def set_notes(rows: Examples, names: Sequence[str]) -> Iterator[str]:
    """What is to be said of how the labels of rows were read."""
    sizes = np.diff(rows.known.starts)
    if without := int((sizes == 0).sum()):
        yield f"{rows.path}: {without:,} of {len(sizes):,} rows have no label, as examples of none"
    if len(sizes) and sizes.max() == 1:
        yield f"{rows.path}: no row has two labels; if a cell holds several, say --label-separator"
