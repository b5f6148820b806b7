"""Rows that ask which of several texts is the right one: how they are read, and how labels tell it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from bertkit.data.files import text_problem
from bertkit.data.tables import (
    BadRow,
    CellRow,
    Column,
    Columns,
    Row,
    bad_row,
    iterate_cells,
    place,
)
from bertkit.errors import UserError, quoted, shown

LEAST = 2
"""Choices of a row."""
# Whole numbers, also as pandas writes those of a column with gaps.
_NUMBER = re.compile(r"(\d{1,9})(\.0*)?")


def choice_columns(given: str) -> dict[str, tuple[Column, ...]]:
    """The columns of choices, as `Columns.more` has them, of an option: names or numbers between commas."""
    names = tuple(name.strip() for name in given.split(",") if name.strip())
    return {"choices": names} if names else {}


def read_choices(path: str | Path, columns: Columns, **how: Any) -> Iterator[Row | BadRow]:
    """Read rows of choices from a table of any format.

    A row has as many choices as it has cells of them that are not empty; those that it lacks are the last
    ones. A list may be one of texts, of objects `{"label", "text"}` as in CommonsenseQA, or an object of two
    lists with these names, as `datasets` has it. With labels, all rows are read before the first is given.

    Args:
        path: the file.
        columns: in `more`, `choices`: a column for each choice, or one with a list of them; in `label_as` how
            labels tell the right choice, "" is told from all of them together.
        how: see `iterate_rows`.

    Returns:
        Rows with the `choices` in `more`; the label is which of them is right, from 0.

    Raises:
        UserError: the file cannot be opened, its format is unknown, it has no rows, or not the columns; or
            its labels can be understood in two ways.
    """
    path = Path(path)
    if "choices" not in columns.more:
        raise UserError(
            f"{path}: say where the choices stand: --choices A,B,C (a column each), or "
            "--choices COLUMN for one with lists."
        )
    cells = iterate_cells(path, columns.asked, **how)
    known = (row if isinstance(row, BadRow) else _checked(path, row, columns) for row in cells)
    if columns.label is None:
        yield from (row if isinstance(row, BadRow) else row.row for row in known)
        return
    rows = list(known)
    told = columns.label_as or _way_of(path, [row for row in rows if isinstance(row, _Choices)])
    yield from (row if isinstance(row, BadRow) else _with_right(path, row, told) for row in rows)


def label_as_of(path: Path, columns: Columns, most: int, **how: Any) -> str:
    """How the labels of the first rows of a file tell the right choice; see `read_choices`.

    Raises:
        UserError: see `read_choices`.
    """
    cells = islice(iterate_cells(path, columns.asked, **how), most)
    rows = (row if isinstance(row, BadRow) else _checked(path, row, columns) for row in cells)
    return _way_of(path, [row for row in rows if isinstance(row, _Choices)])


@dataclass(frozen=True)
class _Choices:
    """A row with its choices, what the file calls them (nothing, if it does not), and its label as it is."""

    row: Row
    texts: tuple[str, ...]
    names: tuple[str, ...]
    label: str


def _checked(path: Path, row: CellRow, columns: Columns) -> _Choices | BadRow:
    asked = iter(row.found)
    parts: dict[str, Any] = {}
    for part in ("text", "pair", "label"):
        if (column := getattr(columns, part)) is None:
            continue
        value = next(asked)
        value = _as_text(value) if part == "label" else value
        if problem := text_problem(value):
            problem = f"column {quoted(column)} {problem}; mend or remove the row."
        elif part != "pair" and not value.strip():
            problem = f"the {part} is empty; fill it in or remove the row."
        if problem:
            return bad_row(path, row.line, problem, row.cells)
        parts[part] = value
    found = list_of_choices(columns.more["choices"], list(asked))
    if isinstance(found, str):
        return bad_row(path, row.line, found, row.cells)
    texts, names = found
    label = parts.pop("label", "").strip()
    return _Choices(
        Row(row.line, **parts, cells=row.cells, more={"choices": list(texts)}), texts, names, label
    )


def list_of_choices(
    columns: Sequence[Column], cells: Sequence[Any]
) -> tuple[tuple[str, ...], tuple[str, ...]] | str:
    """The choices of a row and what the file calls them, or what is wrong with them, as a sentence.

    Args:
        columns: those of the choices.
        cells: what stands there.
    """
    names: Sequence[Any] = [column for column in columns if isinstance(column, str)]
    values: Any = list(cells)
    if len(columns) == 1:
        names, values = _unpacked(cells[0])
        if values is None:
            return (
                f"column {quoted(columns[0])} holds no list of choices; give one column a choice: "
                "--choices A,B,C."
            )
    texts = ["" if value is None else _as_text(value) for value in values]
    if problem := next(filter(None, map(text_problem, texts)), None):
        return f"one of the choices {problem}; mend or remove the row."
    while texts and not texts[-1].strip():
        texts.pop()
    if len(texts) < LEAST:
        some = f"only one choice, {quoted(texts[0])}" if texts else "no choice"
        return f"there is {some}; choosing needs two."
    if empty := [number for number, text in enumerate(texts, 1) if not text.strip()]:
        return f"choice {empty[0]} of {len(texts)} is empty; fill it in or remove the row."
    if len({" ".join(text.split()) for text in texts}) == 1:
        return f"all {len(texts)} choices are {quoted(texts[0])}; mend or remove the row."
    return tuple(texts), tuple(map(str, names[: len(texts)]))


def _unpacked(cell: Any) -> tuple[Sequence[Any], Sequence[Any] | None]:
    """The names and the choices in a cell with a list of them; None where it is none."""
    if isinstance(cell, dict) and isinstance(texts := cell.get("text"), list):
        labels = cell.get("label")
        return (labels if isinstance(labels, list) and len(labels) == len(texts) else ()), texts
    if not isinstance(cell, list):
        return (), None
    if cell and all(isinstance(each, dict) and "text" in each for each in cell):
        labels = [each["label"] for each in cell if "label" in each]
        return (labels if len(labels) == len(cell) else ()), [each["text"] for each in cell]
    return (), cell


def _as_text(value: Any) -> Any:
    """A number or a truth of JSON as it is written there."""
    return json.dumps(value) if isinstance(value, bool | int | float) and value == value else value


def _number(label: str, first: int, choices: int) -> int | None:
    match = _NUMBER.fullmatch(label)
    found = int(match[1]) - first if match else -1
    return found if 0 <= found < choices else None


def _letter(label: str, choices: int) -> int | None:
    found = ord(label.upper()) - ord("A") if len(label) == 1 else -1
    return found if 0 <= found < min(choices, 26) else None


def _only(label: str, texts: Sequence[str]) -> int | None:
    """Where it stands; None where it does not, or more than once."""
    folded = [" ".join(text.split()) for text in texts]
    label = " ".join(label.split())
    return folded.index(label) if folded.count(label) == 1 else None


@dataclass(frozen=True)
class _Way:
    """A way to tell the right choice: its place by a row's label, or None; and what a label then must be."""

    place: Callable[[_Choices], int | None]
    words: Callable[[_Choices], str]


_WAYS: dict[str, _Way] = {
    "name": _Way(lambda row: _only(row.label, row.names), lambda row: f"one of {', '.join(row.names)}"),
    "index": _Way(
        lambda row: _number(row.label, 0, len(row.texts)),
        lambda row: f"a number from 0 to {len(row.texts) - 1}",
    ),
    "number": _Way(
        lambda row: _number(row.label, 1, len(row.texts)),
        lambda row: f"a number from 1 to {len(row.texts)}",
    ),
    "letter": _Way(
        lambda row: _letter(row.label, len(row.texts)),
        lambda row: f"a letter from A to {chr(ord('A') + min(len(row.texts), 26) - 1)}",
    ),
    "text": _Way(lambda row: _only(row.label, row.texts), lambda row: "the text of just one of them"),
}
"""Those of an earlier row are meant before those of a later one, where both tell the same of all rows."""


def _way_of(path: Path, rows: Sequence[_Choices]) -> str:
    """How the labels of rows tell the right choice: the way that understands most of them.

    Raises:
        UserError: two ways understand as many, and do not tell the same.
    """
    told = {name: [way.place(row) for row in rows] for name, way in _WAYS.items()}
    known = {name: sum(each is not None for each in places) for name, places in told.items()}
    most = max(known.values())
    best = [name for name, count in known.items() if count == most]
    if most == 0:
        return "text"
    # Whatever the file itself calls its choices, a label that is such a name means that.
    other = next((name for name in best if told[name] != told[best[0]]), None)
    if other is None or best[0] == "name":
        return best[0]
    differ = [
        row for row, *places in zip(rows, told[best[0]], told[other], strict=True) if len({*places}) > 1
    ]
    raise UserError(
        f"{place(path, differ[0].row.line)}: the label {quoted(differ[0].label)} may be meant as "
        f"{_WAYS[best[0]].words(differ[0])}, or as {_WAYS[other].words(differ[0])}, and no other row tells "
        f"which. Say it: --label-as {best[0]} or --label-as {other}."
    )


def _with_right(path: Path, row: _Choices, told: str) -> Row | BadRow:
    way = _WAYS[told]
    right = way.place(row)
    if right is None:
        reason = (
            f"the right answer {quoted(row.label)} is none of the {len(row.texts)} choices; it must be "
            f"{shown(way.words(row))}."
        )
        return bad_row(path, row.row.line, reason, row.row.cells)
    return replace(row.row, label=right)
