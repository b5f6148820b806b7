"""Tables of texts and labels in every format, row by row with line numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, islice, zip_longest
from pathlib import Path
from typing import Any

from bertkit.data.columnar import arrow_rows, excel_records, parquet_rows
from bertkit.data.delimited import Delimited, Lines, separator_of, split_records
from bertkit.data.files import open_bytes, read_lines, text_problem, undecoded
from bertkit.data.folders import FOLDERS, folder_records
from bertkit.data.formats import PLAIN, WORD_A_LINE, counts_rows, format_of, no_rows
from bertkit.data.objects import json_values
from bertkit.errors import UserError, nearest, quoted

Column = str | int
Cells = dict[str, Any]
"""All cells of a row by the names of their columns; empty where none was asked for, or could be read."""
# A line number, the asked cells of that record or a sentence about what is wrong with it, and all its cells.
Record = tuple[int, list[Any] | str, Cells]
# Of a file and the asked columns (None: all of them, and a record of their names first where all have names).
Reader = Callable[[Path, list[Column] | None, "Manner"], Iterator[Record]]
# Of a file, the asked columns and whether the first record names them: all cells of all records.
Records = Callable[[Path, Sequence[Column], bool, "Manner"], Delimited]
_JsonRecords = Iterator[tuple[int, Cells | str]]


@dataclass(frozen=True)
class Columns:
    """Where the parts of an example stand, each by name or by number from 1 (a string of digits is one).

    `pair` is the second text; `label` the class, or several columns where each is of one label; None where
    there is none to read. `label_separator` stands between the labels of a cell that may have several.
    `label_as` says how the label tells what it means, to a kind whose labels may tell it in several ways; ""
    leaves it to the file. `more` are other columns, by the name of what they are to a kind of task.
    """

    text: Column
    pair: Column | None = None
    label: Column | tuple[Column, ...] | None = None
    label_separator: str = ","
    more: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    label_as: str = ""

    def __post_init__(self) -> None:
        for part in ("text", "pair", "label"):
            object.__setattr__(self, part, _numbered(getattr(self, part)))
        numbered = {name: tuple(map(_numbered, columns)) for name, columns in self.more.items()}
        object.__setattr__(self, "more", numbered)

    @property
    def asked(self) -> list[Column]:
        """The columns to read, in the order text, pair, label, and those of `more`."""
        labels = self.label if isinstance(self.label, tuple) else (self.label,)
        usual = [column for column in (self.text, self.pair, *labels) if column is not None]
        return [*usual, *chain.from_iterable(self.more.values())]


def _numbered(column: Any) -> Any:
    if isinstance(column, tuple):
        return tuple(map(_numbered, column))
    return int(column) if isinstance(column, str) and column.isdecimal() else column


@dataclass(frozen=True)
class Row:
    """One row as it stands in the file: texts untouched and perhaps empty, the label stripped of spaces.

    The label is a text of tables; a kind of task with a reader of its own may have anything for it. `more`
    are the cells of `Columns.more`, as they stand there, or what such files have of a row.
    """

    line: int
    text: str
    pair: str | None = None
    label: Any = None
    cells: Cells = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read; `problem` is a sentence that names file and line, `reason` is it without."""

    line: int
    problem: str
    cells: Cells = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class CellRow:
    """What stands in the columns of a row that were asked for, in their order, and all its cells if asked."""

    line: int
    found: list[Any]
    cells: Cells = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a table is read, see `iterate_rows`."""

    header: bool | None = None
    separator: str = ""
    encoding: str = ""
    whole: bool = False


def iterate_rows(
    path: str | Path,
    columns: Columns,
    *,
    header: bool | None = None,
    ending: str | None = None,
    separator: str = "",
    encoding: str = "",
    whole: bool = False,
) -> Iterator[Row | BadRow]:
    """Read a table in constant memory; the format is what `format_of` tells, or `ending`.

    - `.tsv`: cells between tabs; quotes are characters like others, as in the files of CoLA and GLUE.
    - `.csv`: commas, semicolons, tabs or bars, and RFC 4180 quotes; a cell may span lines, its row has the
      number of the first.
    - `.jsonl`: one object a line, columns are its keys; `question.stem` is the key of an object inside.
    - `.json`: a list of objects, or objects one behind the other; the number of a line is that of the row.
    - `.txt`: one text a line, which is column 1; with other columns it is a table with a separator.
    - `.parquet`, `.arrow` (a folder of `datasets`, too): need the extra `parquet`; numbers are those of rows.
    - `.xlsx`: needs the extra `excel`; the first sheet.
    - A folder with a folder for each label and in it a file for each text: columns text, label and file.

    Text may be compressed (`.gz`, `.zst`, `.bz2`, `.xz`). A blank line of a table with several columns is no
    row. A row that cannot be read is yielded as a `BadRow`, never passed over; see `read_rows`.

    Args:
        path: the file.
        columns: what to read.
        header: whether the first row of a TSV, CSV or Excel file names the columns; None: exactly if a column
            is asked for by name.
        ending: a key of `READERS`, for a file (or standard input) that tells another or none.
        separator: of the columns of CSV, TSV and text, see `separator_of`; "" finds it.
        encoding: of text; "" is UTF-8 or what the byte-order mark tells.
        whole: give each row all its `cells`, in the order of the columns. One that has no name is called
            `column_3`, the only one `text`, the second of a name `name_2`.

    Raises:
        UserError: the file cannot be opened, its format is unknown, it has no rows, or not the columns.
    """
    how: dict[str, Any] = {"header": header, "separator": separator, "encoding": encoding, "whole": whole}
    for row in iterate_cells(path, columns.asked, ending=ending, **how):
        yield row if isinstance(row, BadRow) else _row(Path(path), row, columns)


def iterate_cells(
    path: str | Path, asked: Sequence[Column], *, ending: str | None = None, **how: Any
) -> Iterator[CellRow | BadRow]:
    """The cells of some columns of a table as they stand there, whatever they are; see `iterate_rows`."""
    path, empty = Path(path), True
    for line, found, cells in READERS[ending or format_of(path)](path, list(asked), Manner(**how)):
        empty = False
        yield bad_row(path, line, found, cells) if isinstance(found, str) else CellRow(line, found, cells)
    if empty:
        raise UserError(f"{path} is empty or holds only a header; at least one row is needed.")


class NoColumn(UserError):
    """A table has not the one `column` that was asked for."""

    def __init__(self, problem: str, column: Column) -> None:
        super().__init__(problem)
        self.column = column


@contextmanager
def offering_options(columns: Columns) -> Iterator[None]:
    """Where text, pair and label have an option each: an error about a column that is not there names it."""
    try:
        yield
    except NoColumn as error:
        parts = ("text", "pair", "label")
        part = next((part for part in parts if getattr(columns, part) == error.column), "")
        raise UserError(f"{error} Say which: --{part} COLUMN." if part else str(error)) from None


def read_rows(path: str | Path, columns: Columns, **how: Any) -> Iterator[Row]:
    """As `iterate_rows`, for those who want every row good.

    Raises:
        UserError: also at the first bad row.
    """
    for row in iterate_rows(path, columns, **how):
        if isinstance(row, BadRow):
            raise UserError(row.problem)
        yield row


def first_rows(path: str | Path, most: int, *, separator: str = "", encoding: str = "") -> list[list[Any]]:
    """The first rows of a table with all their columns, a row of names before them if there is one.

    There always is one in formats whose columns have names (`has_names`), and may be in others. Bad rows are
    left out.

    Raises:
        UserError: the file cannot be opened, its format is unknown, or it has no rows.
    """
    path = Path(path)
    manner = Manner(header=False, separator=separator, encoding=encoding)
    found = [cells for _, cells, _ in islice(READERS[format_of(path)](path, None, manner), most)]
    if not found:
        raise UserError(f"{path} is empty or holds only a header; at least one row is needed.")
    return [cells for cells in found if not isinstance(cells, str)]


def has_names(path: Path) -> bool:
    """Whether the format of a table is one in which columns always have names."""
    return format_of(path) in (".jsonl", ".json", ".parquet", ".arrow", FOLDERS)


def bad_row(path: str | Path, line: int, reason: str, cells: Cells | None = None) -> BadRow:
    """A row of a file that cannot be used, for a reason that ends its sentence."""
    return BadRow(line, f"{place(path, line)}: {reason}", cells or {}, reason)


def place(path: str | Path, line: int) -> str:
    """How a message names a row of a table."""
    return f"{path}, {'row' if counts_rows(path) else 'line'} {line}"


def _row(path: Path, row: CellRow, columns: Columns) -> Row | BadRow:
    """The asked cells as a `Row`, or what is wrong with one of them."""
    asked = iter(row.found)
    values: dict[str, str] = {}
    for part in ("text", "pair", "label"):
        column = getattr(columns, part)
        if column is None:
            continue
        value = next(asked)
        if part == "label" and isinstance(value, bool | int | float) and value == value:
            value = json.dumps(value)
        if problem := text_problem(value):
            reason = f"column {quoted(column)} {problem}; mend or remove the row."
            return bad_row(path, row.line, reason, row.cells)
        values[part] = value.strip() if part == "label" else value
    more = {name: [next(asked) for _ in names] for name, names in columns.more.items()}
    return Row(row.line, **values, cells=row.cells, more=more)


def _lines(path: Path, encoding: str) -> Lines:
    with open_bytes(path) as stream:
        yield from read_lines(stream, str(path), encoding)


def _is_named(asked: Sequence[Column] | None, manner: Manner) -> bool:
    """Whether the first record is the header."""
    by_name = any(isinstance(column, str) for column in asked or ())
    return by_name if manner.header is None else manner.header


def _delimited(kind: str) -> Records:
    """The records of text with separators."""

    def records(path: Path, asked: Sequence[Column], named: bool, manner: Manner) -> Delimited:
        separator = separator_of(manner.separator)
        return split_records(kind, _lines(path, manner.encoding), separator, asked, named)

    return records


def _tabular(records_of: Records) -> Reader:
    """The reader of records that all have as many cells as the first, which may name the columns."""

    def read(path: Path, asked: list[Column] | None, manner: Manner) -> Iterator[Record]:
        named = _is_named(asked, manner)
        records = records_of(path, asked or [], named, manner)
        first = next(records, None)
        if first is None:
            return
        line, cells = first
        if isinstance(cells, str) or (cells_problem := _bytes_problem(cells if named else [])):
            raise UserError(f"{place(path, line)}: {cells if isinstance(cells, str) else cells_problem}")
        head = [cell.strip() for cell in cells]
        width = len(cells)
        places = _find(path, asked, head if named else width)
        names = _names(head if named else [""] * width) if manner.whole else []
        for line, cells in records if named else chain([first], records):
            found = cells if isinstance(cells, str) else _checked(cells, width, places)
            given = [] if isinstance(cells, str) else cells
            called = names
            if manner.whole and len(given) > len(names):
                # A row that is too long cannot be used, and yet nothing of it is lost.
                called = _names([*names, *[""] * (len(given) - len(names))])
            yield line, found, dict(zip_longest(called, given[: len(called)]))

    return read


def _names(head: Sequence[str]) -> list[str]:
    """What the columns are called: each has a name of its own."""
    names: list[str] = []
    for number, name in enumerate(head, 1):
        name = name or ("text" if len(head) == 1 else f"column_{number}")
        names.append(name if name not in names else next(free_names(name, names)))
    return names


def free_names(name: str, taken: Collection[str]) -> Iterator[str]:
    """`name_2`, `name_3` and so on, but for those that are taken."""
    return (each for number in count(2) if (each := f"{name}_{number}") not in taken)


def _bytes_problem(cells: Iterable[str]) -> str | None:
    return next(filter(None, map(undecoded, cells)), None)


def _checked(cells: list[str], width: int, places: list[int]) -> list[Any] | str:
    if len(cells) != width:
        much = "few" if len(cells) < width else "many"
        return f"too {much} columns ({len(cells)} where the first row has {width}); mend or remove the row."
    return _bytes_problem(cells) or [cells[place] for place in places]


def _find(path: Path, asked: Sequence[Column] | None, names: Sequence[str] | int) -> list[int]:
    """Where the asked columns (None: all) stand among `names`, or that many where they have no names."""
    width = names if isinstance(names, int) else len(names)
    if asked is None:
        return list(range(width))
    places = []
    for column in asked:
        if isinstance(column, int):
            if not 1 <= column <= width:
                raise NoColumn(f"{path} has no column {column}: its columns are 1 to {width}.", column)
            places.append(column - 1)
        elif isinstance(names, int):
            problem = f"{path} has no header, so there is no column {quoted(column)}; give its number from 1."
            raise NoColumn(problem, column)
        elif (found := names.count(column)) != 1:
            if found:
                raise UserError(f"{path} has {found} columns {quoted(column)}; give the number from 1.")
            raise NoColumn(f"{path} has no column {quoted(column)}.{nearest(column, list(names))}", column)
        else:
            places.append(names.index(column))
    return places


def _objects(
    path: Path, asked: list[Column] | None, manner: Manner, records: _JsonRecords
) -> Iterator[Record]:
    """Objects as records; where all keys are asked, those of the first come before them."""
    for column in asked or ():
        if isinstance(column, int):
            raise UserError(f"{path}: columns of JSON have names, not numbers like {column}.")
    for number, record in records:
        if isinstance(record, str):
            yield number, record, {}
            continue
        if asked is None:
            asked = list(record)
            yield 0, list(record), {}
        yield number, _asked_keys(record, asked), record if manner.whole else {}


def _jsonl(path: Path, asked: list[Column] | None, manner: Manner) -> Iterator[Record]:
    lines = _lines(path, manner.encoding)
    yield from _objects(path, asked, manner, ((n, _json_record(line)) for n, line in lines if line.strip()))


def json_cells(line: str, asked: Sequence[Column]) -> list[Any] | str:
    """The asked keys of a line of JSON lines, or a sentence about what is wrong with it."""
    record = _json_record(line)
    return record if isinstance(record, str) else _asked_keys(record, asked)


def _json_record(line: str) -> Cells | str:
    if problem := undecoded(line):
        return problem
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON ({error}); each line must be one object."
    return _object(record, "line")


def _object(record: Any, each: str) -> Cells | str:
    if isinstance(record, dict):
        return record
    return f"a JSON {type(record).__name__}, where each {each} must be one object."


def _asked_keys(record: Cells, asked: Sequence[Column]) -> list[Any] | str:
    found: list[Any] = []
    for column in asked:
        inside: Any = record
        for key in [str(column)] if column in record else str(column).split("."):
            if not isinstance(inside, dict) or key not in inside:
                return f"there is no key {quoted(column)}.{nearest(str(column), list(record))}"
            inside = inside[key]
        found.append(inside)
    return found


def _json(path: Path, asked: list[Column] | None, manner: Manner) -> Iterator[Record]:
    values = json_values(_lines(path, manner.encoding), path)
    yield from _objects(path, asked, manner, ((number, _object(value, "row")) for number, value in values))


def _columnar(rows_of: Callable[[Path, Callable[[list[str]], list[str]]], Iterator[Cells]]) -> Reader:
    """The reader of a format that a library reads, whose columns have names and can be read one by one."""

    def read(path: Path, asked: list[Column] | None, manner: Manner) -> Iterator[Record]:
        picked: list[str] = []

        def wanted(names: list[str]) -> list[str]:
            picked.extend(names[place] for place in _find(path, asked, names))
            return names if manner.whole else sorted({*picked})

        for number, cells in enumerate(rows_of(path, wanted), 1):
            if asked is None and number == 1:
                yield 0, picked, {}
            yield number, [cells[name] for name in picked], cells if manner.whole else {}

    return read


READERS: dict[str, Reader] = {
    ".tsv": _tabular(_delimited(".tsv")),
    ".csv": _tabular(_delimited(".csv")),
    ".jsonl": _jsonl,
    ".json": _json,
    PLAIN: _tabular(_delimited(PLAIN)),
    ".parquet": _columnar(parquet_rows),
    ".arrow": _columnar(arrow_rows),
    ".xlsx": _tabular(lambda path, asked, named, manner: excel_records(path)),
    FOLDERS: lambda path, asked, manner: _objects(path, asked, manner, folder_records(path, manner.encoding)),
    WORD_A_LINE: no_rows,
}
