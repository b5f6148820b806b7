"""Tables of answers, written row by row in the formats that `tables` reads."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from bertkit.data.columnar import need_pyarrow
from bertkit.data.files import COMPRESSIONS
from bertkit.data.formats import FORMATS, WORD_A_LINE
from bertkit.data.tables import Cells
from bertkit.errors import UserError
from bertkit.text.jsons import to_json

Write = Callable[[Cells], None]
"""Appends a row; a column that it lacks is left empty."""
Types = Mapping[str, set[type]]
"""The columns of a table in their order, and the types of what stands in each."""

ROWS_IN_GROUP = 4_096
"""Rows of a row group of Parquet, all that is held in memory."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_BREAK = re.compile("[\t\n\r]")
"""What TSV has no way to hold."""


def output_ending(out: Path) -> str:
    """The format that the name of a file to write tells, a key of `WRITERS`.

    Raises:
        UserError: it tells none.
    """
    ending = out.suffix.lower()
    if ending not in WRITERS:
        raise UserError(f"{out}: name the file {', '.join(WRITERS)}; the ending tells the format.")
    return ending


def answers_name(path: Path, asked: str | None = None) -> str:
    """What the answers to the rows of a file are called: `new.predicted.csv` of `new.csv.gz`.

    Args:
        path: the file.
        asked: its format, where the name does not tell it.
    """
    plain = path.with_suffix("") if path.suffix in COMPRESSIONS else path
    ending = asked or plain.suffix.lower()
    return f"{plain.stem}.predicted{ending if ending in WRITERS else _LIKE.get(ending, '.csv')}"


def breaks_lines(cells: Cells) -> bool:
    """Whether a cell holds what becomes a space in TSV."""
    return any(isinstance(cell, str) and _BREAK.search(cell) for cell in cells.values())


@contextmanager
def table_writer(out: Path | None, ending: str, types: Types, like: Path | None = None) -> Iterator[Write]:
    """A writer of rows to a file, or to standard output where there is none.

    CSV and TSV have a header and hold numbers, lists and objects as JSON writes them; in TSV a tab or line
    end becomes a space. JSON and JSON lines have an object for each row. Parquet keeps the types of a Parquet
    file, and else whole numbers, numbers, texts and truth values where a column holds nothing else; all other
    columns are texts. A file with a word a line has those of the last columns of words and of tags.

    Args:
        out: the file.
        ending: a key of `WRITERS`.
        types: the columns; JSON does without.
        like: a Parquet file whose columns keep their types.

    Raises:
        UserError: Parquet is asked for and cannot be written.
    """
    writer = WRITERS[ending]
    if writer is _parquet:
        if out is None:
            raise UserError("Parquet cannot go to standard output; name a file with -o.")
        with _parquet(out, types, like) as write:
            yield write
    elif out is None:
        with writer(sys.stdout, types) as write:
            yield write
    else:
        with out.open("w", encoding="utf-8", newline="") as file, writer(file, types) as write:
            yield write


@contextmanager
def _csv(file: TextIO, types: Types) -> Iterator[Write]:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(types)
    yield lambda cells: writer.writerow([_text(cells.get(name)) for name in types])


@contextmanager
def _tsv(file: TextIO, types: Types) -> Iterator[Write]:
    def line(cells: Sequence[str]) -> None:
        file.write("\t".join(_BREAK.sub(" ", cell) for cell in cells) + "\n")

    line(list(types))
    yield lambda cells: line([_text(cells.get(name)) for name in types])


@contextmanager
def _jsonl(file: TextIO, types: Types) -> Iterator[Write]:
    yield lambda cells: print(to_json(_plain(cells)), file=file)


@contextmanager
def _json(file: TextIO, types: Types) -> Iterator[Write]:
    begun = False

    def write(cells: Cells) -> None:
        nonlocal begun
        file.write(f"{',' if begun else '['}\n{to_json(_plain(cells))}")
        begun = True

    yield write
    file.write("\n]\n" if begun else "[]\n")


@contextmanager
def _parquet(out: Path, types: Types, like: Path | None) -> Iterator[Write]:
    need_pyarrow(out, "writing")
    import pyarrow
    import pyarrow.parquet

    known = {} if like is None else {field.name: field.type for field in pyarrow.parquet.read_schema(like)}
    kinds = {
        frozenset({str}): pyarrow.string(),
        frozenset({int}): pyarrow.int64(),
        frozenset({float}): pyarrow.float64(),
        frozenset({int, float}): pyarrow.float64(),
        frozenset({bool}): pyarrow.bool_(),
    }
    of_texts = {name for name in types if name not in known and frozenset(types[name]) not in kinds}
    schema = pyarrow.schema(
        {
            name: known.get(name) or kinds.get(frozenset(found), pyarrow.string())
            for name, found in types.items()
        }
    )
    rows: list[Cells] = []

    def flush() -> None:
        columns = {name: [row.get(name) for row in rows] for name in types}
        for name in types:
            if name not in known:
                make = _or_none if name in of_texts else _plain
                columns[name] = [make(cell) for cell in columns[name]]
        file.write_table(pyarrow.Table.from_pydict(columns, schema=schema))
        rows.clear()

    def write(cells: Cells) -> None:
        rows.append(cells)
        if len(rows) == ROWS_IN_GROUP:
            flush()

    with pyarrow.parquet.ParquetWriter(out, schema, compression="zstd") as file:
        yield write
        flush()


@contextmanager
def _conll(file: TextIO, types: Types) -> Iterator[Write]:
    names = list(types)[::-1]
    words, tags = (next((name for name in names if name.endswith(part)), "") for part in _OF_WORDS)
    if not (words and tags):
        raise UserError(
            "A file with a word a line takes the tags of words, which a model of another kind does not give; "
            "name the output .csv or .jsonl."
        )

    def write(cells: Cells) -> None:
        for word, tag in zip(cells.get(words) or (), cells.get(tags) or (), strict=True):
            file.write(f"{_BREAK.sub(' ', _plain(word))}\t{tag}\n")
        file.write("\n")

    yield write


_OF_WORDS = ("words", "tags")
WRITERS: dict[str, Callable[..., Any]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _jsonl,
    ".json": _json,
    ".parquet": _parquet,
    WORD_A_LINE: _conll,
}
# The format of the answers to rows of a format that is not written.
_LIKE = {".ndjson": ".jsonl", ".arrow": ".parquet", **dict.fromkeys(FORMATS[WORD_A_LINE], WORD_A_LINE)}


def _plain(value: Any) -> Any:
    """A value as JSON has it, its texts without halves of characters."""
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_plain(each) for each in value]
        case dict():
            return {_plain(str(key)): _plain(each) for key, each in value.items()}
    return str(value)


def _text(value: Any) -> str:
    """A value as the text of a cell; of none the empty one."""
    plain = _plain(value)
    return "" if plain is None else plain if isinstance(plain, str) else to_json(plain)


def _or_none(value: Any) -> str | None:
    return None if value is None else _text(value)
