"""Raw text in files of any format: one text after the other, or one document after the other.

Documents come in chunks too, each with how far it came, so that reading can be taken up again.
"""

from __future__ import annotations

import glob
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from bertkit.data.cutting import Chunk
from bertkit.data.files import COMPRESSIONS, STANDARD_INPUT, open_bytes, open_text, read_lines, sha256
from bertkit.data.formats import FORMATS, PLAIN, arrow_files, format_of, is_known
from bertkit.data.journal import FileEntry, Position
from bertkit.data.tables import BadRow, Column, Columns, Row, bad_row, iterate_rows, read_rows
from bertkit.errors import UserError
from bertkit.recipe.pretrain import Layout

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TEXT_COLUMN = "text"
"""Where JSON, Parquet and Arrow files keep their text unless something else is said."""

_NAMED = (".jsonl", ".json", ".parquet", ".arrow")

# Characters of a text of which a compressed file has about one byte.
COMPRESSION = 3
LOOK_AHEAD = 2**20
# Without a blank line a document of plain text would never end; memory must.
LONGEST_DOCUMENT = 2**24
# Bytes of a file in a folder that is taken for one document where nobody says.
LARGEST_FILE = 2**20


def read_texts(
    path: str | Path,
    *,
    column: Column | None = None,
    header: bool | None = None,
    kind: str | None = None,
    separator: str = "",
    encoding: str = "",
) -> Iterator[str]:
    """Yield the texts of a file in constant memory.

    A table has one a row, see `bertkit.data.tables.iterate_rows`; any other file has one a line.

    Args:
        path: the file.
        column: which column of a table, by name or by number from 1; None for `text` of JSON, Parquet and
            Arrow. Plain text has none.
        header: as in `iterate_rows`, and so the next ones.
        kind: what the file is, a key of `FORMATS`; None: what it tells.
        separator: of a table.
        encoding: of text.

    Raises:
        UserError: the file is no text or cannot be opened, a line cannot be read, or there is no such column.
    """
    path = Path(path)
    kind = kind or format_of(path, text=True)
    if kind == PLAIN:
        for _, line in open_text(path, encoding):
            yield line
        return
    how: dict[str, Any] = {"header": header, "ending": kind, "separator": separator, "encoding": encoding}
    for row in read_rows(path, _columns(path, kind, column), **how):
        yield row.text


def find_files(texts: Iterable[str | Path]) -> tuple[list[Path], int]:
    """The files that are meant by files, folders and patterns, and how many were passed over in folders.

    Args:
        texts: a file, whatever its name; a folder, of which all files with a known ending are taken, those of
            its folders too, in the order of their paths; a pattern such as `corpus/*.txt.gz`; or `-` for
            standard input.

    Raises:
        UserError: there is no such file, a pattern matches none, or a folder has none of a known ending.
    """
    files: list[Path] = []
    others = 0
    for text in map(str, texts):
        path = Path(text)
        if text == "-" or path == STANDARD_INPUT:
            files.append(STANDARD_INPUT)
        elif saved := arrow_files(path):
            files += saved
        elif path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.is_file())
            known = [file for file in inside if is_known(file)]
            if not known:
                endings = ", ".join(FORMATS)
                raise UserError(f"{path} has no file that ends in {endings}, with or without a compression.")
            files += known
            others += len(inside) - len(known)
        elif path.exists() or not glob.has_magic(text):
            files.append(path)
        # Of a whole pattern pathlib can do no more than what lies below one folder.
        elif found := sorted(glob.glob(text, recursive=True)):  # noqa: PTH207
            files += [Path(name) for name in found if not Path(name).is_dir()]
        else:
            raise UserError(f"No file matches {text}.")
    return files, others


def characters_in(files: Iterable[Path]) -> int:
    """About how many characters the files have, by their sizes on the disk; nothing is opened."""
    return sum(
        path.stat().st_size * (COMPRESSION if path.suffix in COMPRESSIONS else 1)
        for path in files
        if path.is_file()
    )


def settle_layout(texts: Sequence[str | Path], files: Sequence[Path], reading: CorpusReading) -> Layout:
    """What "auto" comes to for `files`, which `find_files` found for `texts`.

    A file is a document where folders were given and nothing else, and they have several files of plain text,
    none of them larger than a MiB.
    """
    if reading.layout != "auto" or not all(Path(text).is_dir() for text in texts):
        return reading.layout
    plain = [path for path in files if reading.kind_of(path) == PLAIN]
    small = all(path.stat().st_size <= LARGEST_FILE for path in plain)
    return "files" if len(plain) > 1 and small else "auto"


@dataclass(frozen=True)
class CorpusReading:
    """How to find the documents in files.

    Attributes:
        layout: of plain text.
        column: of tables, as in `read_texts`.
        header: of tables, as in `read_texts`.
        kind: what all files are, a key of `FORMATS`; None: each tells it, standard input being plain.
        separator: of tables.
        encoding: of text.
    """

    layout: Layout = "auto"
    column: Column | None = None
    header: bool | None = None
    kind: str | None = None
    separator: str = ""
    encoding: str = ""

    def kind_of(self, path: Path) -> str:
        """The key of `FORMATS` for a file."""
        return self.kind or format_of(path, text=True)

    def check(self, path: Path) -> None:
        """Raise `UserError` unless the file can be opened and its column is known."""
        if path != STANDARD_INPUT:
            open_bytes(path).close()
        if self.kind_of(path) != PLAIN:
            _columns(path, self.kind_of(path), self.column)

    def documents(
        self, path: Path, watch: Callable[[BinaryIO], BinaryIO] | None = None
    ) -> Iterator[Row | BadRow]:
        """Yield the documents of a file in constant memory, and in their places what cannot be read.

        JSON lines come as they stand in the file, for whoever can parse them on another processor, see
        `bertkit.data.tables.json_cells`. Bytes of plain text that are not UTF-8 stay recognisable, see
        `bertkit.data.files.undecoded`.

        Args:
            path: the file.
            watch: put around the bytes of plain text and of JSON lines; see `bertkit.data.files.open_bytes`.

        Raises:
            UserError: the file cannot be opened, or its compressed data breaks off.
        """
        kind = self.kind_of(path)
        if kind not in (PLAIN, ".jsonl"):
            columns = _columns(path, kind, self.column)
            how: dict[str, Any] = {
                "header": self.header,
                "separator": self.separator,
                "encoding": self.encoding,
            }
            yield from iterate_rows(path, columns, ending=kind, **how)
            return
        # The lines are closed before the stream, also where nobody reads to the end.
        with (
            open_bytes(path, watch) as stream,
            closing(read_lines(stream, str(path), self.encoding)) as numbered,
        ):
            lines: Iterable[tuple[int, str]] = numbered
            one_a_line = kind == ".jsonl" or self.layout == "lines"
            if kind == PLAIN and self.layout == "auto":
                seen, parted = _look_ahead(numbered)
                lines, one_a_line = chain(seen, numbered), not parted
            if one_a_line:
                yield from (Row(number, line) for number, line in lines if line and not line.isspace())
            else:
                yield from _blocks(path, lines, whole=kind == PLAIN and self.layout == "files")

    def json_columns(self, path: Path) -> list[Column]:
        """What to give to `json_cells` for the lines of a file; empty where they are no JSON lines."""
        kind = self.kind_of(path)
        return _columns(path, kind, self.column).asked if kind == ".jsonl" else []


def _look_ahead(lines: Iterable[tuple[int, str]]) -> tuple[list[tuple[int, str]], bool]:
    """The first numbered lines, taken, and whether a blank one parts two others among them."""
    seen: list[tuple[int, str]] = []
    characters = 0
    text = parted = False
    for number, line in lines:
        seen.append((number, line))
        characters += len(line) + 1
        blank = not line.strip()
        if parted and not blank:
            return seen, True
        parted = blank and (text or parted)
        text = text or not blank
        if characters > LOOK_AHEAD:
            break
    return seen, False


def _blocks(path: Path, lines: Iterable[tuple[int, str]], *, whole: bool) -> Iterator[Row | BadRow]:
    """Documents with blank lines between them, or the `whole` file; a row's number is its first line's."""
    block: list[str] = []
    first = characters = 0
    for number, line in lines:
        if not block:
            first, characters = number, 0
        if not line or line.isspace():
            if block and not whole:
                yield Row(first, "\n".join(block))
                block = []
            continue
        block.append(line)
        characters += len(line)
        if characters > LONGEST_DOCUMENT:
            yield Row(first, "\n".join(block))
            block = []
            problem = (
                f"the document of line {first} is longer than {LONGEST_DOCUMENT:,} characters and is cut"
            )
            yield bad_row(path, number, f"{problem}; put blank lines between documents.")
    if block:
        yield Row(first, "\n".join(block))


def _columns(path: Path, kind: str, column: Column | None) -> Columns:
    if column is None and kind not in _NAMED:
        raise UserError(f"{path} has columns; say which one holds the text, by name or by number from 1.")
    return Columns(text=TEXT_COLUMN if column is None else column)


# Of a chunk, about: long enough that handing it over costs little, short enough that progress is steady.
CHUNK_CHARACTERS = 2**19
CHUNK_ROWS = 2**12
_READ_AT_ONCE = 2**17


@dataclass(frozen=True)
class Mark:
    """Where a chunk ends: the position behind it, and the file that is done with it, if one is."""

    position: Position
    done: Sequence[FileEntry] = ()


def read_chunks(
    files: Sequence[Path], reading: CorpusReading, start: Position
) -> Iterator[tuple[Mark, Chunk]]:
    """Yield the documents of all files from `start` on, in constant memory.

    Raises:
        UserError: a file cannot be read to its end; what stands before was yielded.
    """
    for index in range(start.file, len(files)):
        yield from _chunks(files[index], reading, index, start.documents if index == start.file else 0)


def _chunks(path: Path, reading: CorpusReading, index: int, skip: int) -> Iterator[tuple[Mark, Chunk]]:
    meter = Meter()
    if reading.kind_of(path) not in (PLAIN, ".jsonl") and path != STANDARD_INPUT:
        # Tables are opened by their own readers, Parquet out of order: they are measured as a whole.
        meter = Meter(path.stat().st_size, sha256(path))
    columns = reading.json_columns(path)
    taken = skip
    rows: list[Row] = []
    problems: list[tuple[int, str]] = []

    def chunk() -> Chunk:
        return Chunk(str(path), columns, tuple(rows), tuple(problems))

    def mark() -> Mark:
        return Mark(Position(index, taken, meter.count, meter.sha256))

    characters = 0
    try:
        for row in islice(reading.documents(path, meter.watch), skip, None):
            taken += 1
            if isinstance(row, BadRow):
                problems.append((row.line, row.problem))
            else:
                rows.append(row)
                characters += len(row.text)
            if characters >= CHUNK_CHARACTERS or len(rows) + len(problems) >= CHUNK_ROWS:
                yield mark(), chunk()
                rows, problems, characters = [], [], 0
    except Exception:
        yield mark(), chunk()
        raise
    entry = FileEntry(str(path), meter.count, meter.sha256)
    yield Mark(Position(index + 1), (entry,)), chunk()


class Meter:
    """Counts and hashes the bytes of a file while they are read, or knows them already."""

    def __init__(self, count: int = 0, sha256: str = "") -> None:
        self.count = count
        self._known = sha256
        self._digest = hashlib.sha256()

    def watch(self, raw: BinaryIO) -> BinaryIO:
        """The stream, seen by this meter."""
        return cast(BinaryIO, io.BufferedReader(_Watched(raw, self), _READ_AT_ONCE))

    def see(self, content: memoryview) -> None:
        """Count some more bytes."""
        self.count += len(content)
        self._digest.update(content)

    @property
    def sha256(self) -> str:
        """Of what was read so far, in hexadecimal; empty where nothing was."""
        return self._known or (self._digest.copy().hexdigest() if self.count else "")


class _Watched(io.RawIOBase):
    def __init__(self, raw: BinaryIO, meter: Meter) -> None:
        self._raw = raw
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        count = self._raw.readinto(view)  # type: ignore[attr-defined]
        self._meter.see(view[:count])
        return int(count)

    def close(self) -> None:
        self._raw.close()
        super().close()
