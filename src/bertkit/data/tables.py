"""Tables of texts and labels: TSV, CSV, JSON lines, Parquet and plain lines, row by row with line numbers."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, islice, zip_longest
from pathlib import Path
from typing import Any

from bertkit.data.files import COMPRESSIONS, open_bytes, read_lines, undecoded
from bertkit.errors import UserError, nearest

Column = str | int
Lines = Iterator[tuple[int, str]]
Cells = dict[str, Any]
"""All cells of a row by the names of their columns; empty where none was asked for, or could be read."""
# A line number, and the cells of that record or a sentence about what is wrong with it.
_Split = tuple[int, list[Any] | str]
# A line number, the asked cells of that record or a sentence about what is wrong with it, and all its cells.
Record = tuple[int, list[Any] | str, Cells]

_SURROGATE = re.compile("[\ud800-\udfff]")
# The csv module's own limit of 131,072 characters a field is below one long document; its type is a C long.
_CSV_FIELD_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class Columns:
    """Where the parts of an example stand, each by name or by number from 1 (a string of digits is one).

    `pair` is the second text, `label` the class; None where there is none to read.
    """

    text: Column
    pair: Column | None = None
    label: Column | None = None

    def __post_init__(self) -> None:
        for part in ("text", "pair", "label"):
            column = getattr(self, part)
            if isinstance(column, str) and column.isdecimal():
                object.__setattr__(self, part, int(column))

    @property
    def asked(self) -> list[Column]:
        """The columns to read, in the order text, pair, label."""
        return [column for column in (self.text, self.pair, self.label) if column is not None]


@dataclass(frozen=True)
class Row:
    """One row as it stands in the file: texts untouched and perhaps empty, the label stripped of spaces."""

    line: int
    text: str
    pair: str | None = None
    label: str | None = None
    cells: Cells = field(default_factory=dict)


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read; `problem` is a sentence that names file and line."""

    line: int
    problem: str
    cells: Cells = field(default_factory=dict)


def iterate_rows(
    path: str | Path,
    columns: Columns,
    *,
    header: bool | None = None,
    ending: str | None = None,
    whole: bool = False,
) -> Iterator[Row | BadRow]:
    """Read a table in constant memory; the format is told by the ending of its name, or by `ending`.

    - `.tsv`: cells between tabs; quotes are characters like others, as in the files of CoLA and GLUE.
    - `.csv`: commas and RFC 4180 quotes; a cell may span lines, its row has the number of the first.
    - `.jsonl`: one object a line, columns are its keys.
    - `.txt`: one text a line, which is column 1.
    - `.parquet`: needs the extra `parquet`; the number of a line is that of the row, from 1.

    All but Parquet may be compressed (`.gz`, `.zst`). A blank line of a table with several columns is no
    row. A row that cannot be read is yielded as a `BadRow`, never passed over; see `read_rows`.

    Args:
        path: the file.
        columns: what to read.
        header: whether the first row of a TSV or CSV file names the columns; None: exactly if a column is
            asked for by name.
        ending: a key of `READERS`, for a file (or standard input) whose name tells another or none.
        whole: give each row all its `cells`, in the order of the columns. One that has no name is called
            `column_3`, the only one `text`, the second of a name `name_2`.

    Raises:
        UserError: the file cannot be opened, its format is unknown, it has no rows, or not the columns.
    """
    path = Path(path)
    empty = True
    for line, found, cells in READERS[ending or table_ending(path)](path, columns.asked, header, whole):
        empty = False
        if isinstance(found, str):
            yield BadRow(line, f"{place(path, line)}: {found}", cells)
        else:
            yield _row(path, line, found, columns, cells)
    if empty:
        raise UserError(f"{path} is empty or holds only a header; at least one row is needed.")


def read_rows(
    path: str | Path, columns: Columns, *, header: bool | None = None, ending: str | None = None
) -> Iterator[Row]:
    """As `iterate_rows`, for those who want every row good.

    Raises:
        UserError: also at the first bad row.
    """
    for row in iterate_rows(path, columns, header=header, ending=ending):
        if isinstance(row, BadRow):
            raise UserError(row.problem)
        yield row


def first_rows(path: str | Path, most: int) -> list[list[Any]]:
    """The first rows of a table with all their columns, a row of names before them if there is one.

    There always is one but in TSV, CSV and plain lines (`has_names`), where it may be. Bad rows are left out.

    Raises:
        UserError: the file cannot be opened, its format is unknown, or it has no rows.
    """
    path = Path(path)
    found = [cells for _, cells, _ in islice(READERS[table_ending(path)](path, None, False, False), most)]
    if not found:
        raise UserError(f"{path} is empty or holds only a header; at least one row is needed.")
    return [cells for cells in found if not isinstance(cells, str)]


def has_names(path: Path) -> bool:
    """Whether the format of a table is one in which columns always have names."""
    return table_ending(path) in (".jsonl", ".parquet")


def place(path: str | Path, line: int) -> str:
    """How a message names a row of a table."""
    return f"{path}, {'row' if Path(path).suffix == '.parquet' else 'line'} {line}"


def table_ending(path: Path) -> str:
    """The key of `READERS` that a file's name ends in, but for a compression.

    Raises:
        UserError: it ends in none of them, or is a folder.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it.")
    plain = path.with_suffix("") if path.suffix in COMPRESSIONS else path
    if plain.suffix not in READERS or (plain != path and plain.suffix == ".parquet"):
        compressed = " or ".join(COMPRESSIONS)
        raise UserError(
            f"{path}: the ending of the name does not tell the format of a table; "
            f"known are {', '.join(READERS)}, all but .parquet also with {compressed} behind."
        )
    return plain.suffix


def _row(path: Path, line: int, found: list[Any], columns: Columns, cells: Cells) -> Row | BadRow:
    """The asked cells as a `Row`, or what is wrong with one of them."""
    asked = iter(found)
    values: dict[str, str] = {}
    for part in ("text", "pair", "label"):
        column = getattr(columns, part)
        if column is None:
            continue
        value = next(asked)
        if part == "label" and isinstance(value, bool | int | float) and value == value:
            value = json.dumps(value)
        if problem := text_problem(value):
            said = f"{place(path, line)}: column {column!r} {problem}; mend or remove the row."
            return BadRow(line, said, cells)
        values[part] = value.strip() if part == "label" else value
    return Row(line, **values, cells=cells)


def text_problem(value: Any) -> str | None:
    """Why `value` cannot be the text of an example, as the end of a sentence; None where it can."""
    if not isinstance(value, str):
        return f"is not a string but of type {type(value).__name__}"
    if "\0" in value:
        return "holds a NUL byte"
    if not value.isascii() and (found := _SURROGATE.search(value)):
        return f"holds half a character (the lone surrogate U+{ord(found[0]):04X})"
    return None


def _lines(path: Path) -> Lines:
    with open_bytes(path) as stream:
        yield from read_lines(stream, str(path))


def _delimited(
    split: Callable[[Lines], Iterator[_Split]],
    path: Path,
    asked: list[Column] | None,
    header: bool | None,
    whole: bool,
) -> Iterator[Record]:
    """The asked cells (None: all) of records that all have as many cells as the first."""
    records = split(_lines(path))
    first = next(records, None)
    if first is None:
        return
    line, cells = first
    if isinstance(cells, str):
        raise UserError(f"{place(path, line)}: {cells}")
    asked = list(range(1, len(cells) + 1)) if asked is None else asked
    named = any(isinstance(column, str) for column in asked) if header is None else header
    head = [cell.strip() for cell in cells] if named else []
    places = _find(path, asked, head if named else len(cells))
    width = len(cells)
    names = _names(head or [""] * width) if whole else []
    for line, cells in records if named else chain([first], records):
        found = cells if isinstance(cells, str) else _checked(cells, width, places)
        given = [] if isinstance(cells, str) else cells
        yield line, found, dict(zip_longest(names, given[: len(names)]))


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


def _checked(cells: list[str], width: int, places: list[int]) -> list[Any] | str:
    if len(cells) != width:
        much = "few" if len(cells) < width else "many"
        return f"too {much} columns, {len(cells)} where the first row has {width}; mend or remove the row."
    for cell in cells:
        if problem := undecoded(cell):
            return problem
    return [cells[place] for place in places]


def _find(path: Path, asked: Sequence[Column], names: list[str] | int) -> list[int]:
    """Where the asked columns stand among `names`, or among that many where they have no names."""
    width = names if isinstance(names, int) else len(names)
    places = []
    for column in asked:
        if isinstance(column, int):
            if not 1 <= column <= width:
                raise UserError(f"{path} has no column {column}: its columns are 1 to {width}.")
            places.append(column - 1)
        elif isinstance(names, int):
            raise UserError(
                f"{path} has no header, so there is no column {column!r}; give its number from 1."
            )
        elif names.count(column) != 1:
            if column in names:
                raise UserError(f"{path} has two columns {column!r}; give the number from 1.")
            raise UserError(f"{path} has no column {column!r}.{nearest(column, names)}")
        else:
            places.append(names.index(column))
    return places


def _split_tsv(lines: Lines) -> Iterator[_Split]:
    several = False
    for number, line in lines:
        several = several or "\t" in line
        if line or not several:
            yield number, line.split("\t")


def _split_txt(lines: Lines) -> Iterator[_Split]:
    for number, line in lines:
        yield number, [line]


def _split_csv(lines: Lines) -> Iterator[_Split]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    reader = csv.reader((f"{line}\n" for _, line in lines), strict=True)
    several = False
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"quotes that do not close or a character behind them ({error}); mend the row."
            continue
        several = several or len(cells) > 1
        if cells or not several:
            yield number, cells or [""]


def _jsonl(path: Path, asked: list[Column] | None, header: bool | None, whole: bool) -> Iterator[Record]:
    if asked is None:
        first: dict[str, Any] = next((json.loads(line) for _, line in _lines(path) if is_object(line)), {})
        yield 0, list(first), {}
        asked = list(first)
    for column in asked:
        if isinstance(column, int):
            raise UserError(f"{path}: columns of JSON lines have names, not numbers like {column}.")
    for number, line in _lines(path):
        if line.strip():
            record = _json_record(line)
            if isinstance(record, str):
                yield number, record, {}
            else:
                yield number, _asked_keys(record, asked), record if whole else {}


def is_object(line: str) -> bool:
    """Whether a line is a JSON object."""
    return not isinstance(json_cells(line, ()), str)


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
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__}, where each line must be one object."
    return record


def _asked_keys(record: Cells, asked: Sequence[Column]) -> list[Any] | str:
    for column in asked:
        if column not in record:
            return f"there is no key {column!r}.{nearest(str(column), list(record))}"
    return [record[str(column)] for column in asked]


def _parquet(path: Path, asked: list[Column] | None, header: bool | None, whole: bool) -> Iterator[Record]:
    need_pyarrow(path, "reading")
    import pyarrow
    import pyarrow.parquet

    with open_bytes(path) as stream:
        try:
            table = pyarrow.parquet.ParquetFile(stream)
            names = table.schema_arrow.names
            if asked is None:
                yield 0, list(names), {}
                asked = list(range(1, len(names) + 1))
            places = _find(path, asked, names)
            numbers = count(1)
            wanted = names if whole else sorted({names[place] for place in places})
            for batch in table.iter_batches(columns=wanted):
                parts = {name: batch.column(name).to_pylist() for name in wanted}
                for row in range(batch.num_rows):
                    asked_cells = [parts[names[place]][row] for place in places]
                    cells = {name: parts[name][row] for name in wanted} if whole else {}
                    yield next(numbers), asked_cells, cells
        except (pyarrow.ArrowException, OSError) as error:
            raise UserError(f"{path} is not a Parquet file or is damaged ({error}).") from None


def need_pyarrow(path: Path, doing: str) -> None:
    """Raise `UserError` unless the library that reads and writes Parquet is installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            f"{path}: {doing} Parquet needs pyarrow; install it with `pip install 'bertkit[parquet]'`."
        ) from None


READERS: dict[str, Callable[[Path, list[Column] | None, bool | None, bool], Iterator[Record]]] = {
    ".tsv": partial(_delimited, _split_tsv),
    ".csv": partial(_delimited, _split_csv),
    ".jsonl": _jsonl,
    ".txt": partial(_delimited, _split_txt),
    ".parquet": _parquet,
}
