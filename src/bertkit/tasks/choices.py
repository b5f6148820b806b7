"""Rows that ask which of several texts is the right one: how they are read, and how labels tell it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

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

LabelAs = Literal["", "index", "number", "letter", "name", "text"]
"""How a label tells which choice is right: it counts them from 0, or from 1, or is their letter from A, or
what the file calls the choice (a label beside it, or its column), or is its text. "" is told by the file."""
LEAST = 2
"""Choices of a row."""
# Whole numbers, also as pandas writes those of a column with gaps.
_NUMBER = re.compile(r"(\d{1,9})(\.0*)?")


@dataclass(frozen=True)
class ChoiceRow(Row):
    """A prompt (`text`), perhaps a question about it (`pair`), and texts of which one is right.

    Attributes:
        choices: two of them or more.
        names: what the file calls them; empty where it does not.
        right: which one is right, from 0; None where labels were not asked for.
    """

    choices: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    right: int | None = None


def choice_columns(given: str) -> tuple[Column, ...]:
    """The columns of choices as an option says them: names, or numbers from 1, between commas.

    Raises:
        UserError: none is named.
    """
    names = [name.strip() for name in given.split(",") if name.strip()]
    if not names:
        raise UserError(
            "Say where the choices stand: --choices A,B,C for a column each, or --choices COLUMN for one "
            "with lists."
        )
    return tuple(int(name) if name.isdecimal() else name for name in names)


def read_choices(
    path: str | Path, columns: Columns, choices: Sequence[Column], *, label_as: LabelAs = "", **how: Any
) -> Iterator[ChoiceRow | BadRow]:
    """Read rows of choices from a table of any format.

    A row has as many choices as it has cells of them that are not empty; those that it lacks are the last
    ones. A list may be one of texts, of objects `{"label", "text"}` as in CommonsenseQA, or an object of two
    lists with these names, as `datasets` has it. With labels, all rows are read before the first is given.

    Args:
        path: the file.
        columns: of the prompt, the question and the label.
        choices: a column for each choice, or one with a list of them.
        label_as: how labels tell the right choice; "" is told from all of them together.
        how: see `iterate_rows`.

    Raises:
        UserError: the file cannot be opened, its format is unknown, it has no rows, or not the columns; or
            its labels can be understood in two ways.
    """
    path = Path(path)
    cells = iterate_cells(path, [*columns.asked, *choices], **how)
    rows = (row if isinstance(row, BadRow) else _row(path, row, columns, choices) for row in cells)
    if columns.label is None:
        yield from rows
        return
    known = list(rows)
    good = [row for row in known if isinstance(row, ChoiceRow)]
    told = label_as or way_of(path, good)
    yield from (row if isinstance(row, BadRow) else _with_right(path, row, told) for row in known)


def _row(path: Path, row: CellRow, columns: Columns, choices: Sequence[Column]) -> ChoiceRow | BadRow:
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
        parts[part] = value.strip() if part == "label" else value
    found = list_of_choices(choices, list(asked))
    if isinstance(found, str):
        return bad_row(path, row.line, found, row.cells)
    texts, names = found
    return ChoiceRow(row.line, **parts, cells=row.cells, choices=texts, names=names)


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

    place: Callable[[ChoiceRow, str], int | None]
    words: Callable[[ChoiceRow], str]


_WAYS: dict[LabelAs, _Way] = {
    "name": _Way(lambda row, label: _only(label, row.names), lambda row: f"one of {', '.join(row.names)}"),
    "index": _Way(
        lambda row, label: _number(label, 0, len(row.choices)),
        lambda row: f"a number from 0 to {len(row.choices) - 1}",
    ),
    "number": _Way(
        lambda row, label: _number(label, 1, len(row.choices)),
        lambda row: f"a number from 1 to {len(row.choices)}",
    ),
    "letter": _Way(
        lambda row, label: _letter(label, len(row.choices)),
        lambda row: f"a letter from A to {chr(ord('A') + min(len(row.choices), 26) - 1)}",
    ),
    "text": _Way(lambda row, label: _only(label, row.choices), lambda row: "the text of just one of them"),
}
"""Those of an earlier row are meant before those of a later one, where both tell the same of all rows."""


def way_of(path: Path, rows: Sequence[ChoiceRow]) -> LabelAs:
    """How the labels of rows tell the right choice: the way that understands most of them.

    Raises:
        UserError: two ways understand as many, and do not tell the same.
    """
    told = {name: [way.place(row, row.label or "") for row in rows] for name, way in _WAYS.items()}
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
        f"{place(path, differ[0].line)}: the label {quoted(differ[0].label)} may be meant as "
        f"{_WAYS[best[0]].words(differ[0])}, or as {_WAYS[other].words(differ[0])}, and no other row tells "
        f"which. Say it: --label-as {best[0]} or --label-as {other}."
    )


def _with_right(path: Path, row: ChoiceRow, told: LabelAs) -> ChoiceRow | BadRow:
    way, label = _WAYS[told], row.label or ""
    right = way.place(row, label)
    if right is None:
        must = shown(way.words(row))
        reason = (
            f"the right answer {quoted(label)} is none of the {len(row.choices)} choices; it must be {must}."
        )
        return bad_row(path, row.line, reason, row.cells)
    return replace(row, right=right)
