"""A corpus to chunks of documents, each with how far it came, so that reading can be taken up again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from bertkit.data.corpus import PLAIN, Reading
from bertkit.data.cutting import Chunk
from bertkit.data.files import STANDARD_INPUT
from bertkit.data.journal import FileEntry, Position
from bertkit.data.shards import sha256
from bertkit.data.tables import BadRow, Row

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Of a chunk, about: long enough that handing it over costs little, short enough that progress is steady.
CHUNK_CHARACTERS = 2**19
CHUNK_ROWS = 2**12
_READ_AT_ONCE = 2**17


@dataclass(frozen=True)
class Mark:
    """Where a chunk ends: the position behind it, and the file that is done with it, if one is."""

    position: Position
    done: Sequence[FileEntry] = ()


def read_chunks(files: Sequence[Path], reading: Reading, start: Position) -> Iterator[tuple[Mark, Chunk]]:
    """Yield the documents of all files from `start` on, in constant memory.

    Raises:
        UserError: a file cannot be read to its end; what stands before was yielded.
    """
    for index in range(start.file, len(files)):
        skip = start.documents if index == start.file else 0
        yield from _chunks(files[index], reading, index, skip)


def _chunks(path: Path, reading: Reading, index: int, skip: int) -> Iterator[tuple[Mark, Chunk]]:
    meter = _meter(path, reading)
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


def prefix_sha256(path: Path, count: int) -> str:
    """SHA-256 of the first `count` bytes of a file, in hexadecimal; of all where it has fewer."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while count > 0 and (content := file.read(min(count, _READ_AT_ONCE))):
            digest.update(content)
            count -= len(content)
    return digest.hexdigest()


def _meter(path: Path, reading: Reading) -> Meter:
    if reading.kind_of(path) in (PLAIN, ".jsonl") or path == STANDARD_INPUT:
        return Meter()
    # Tables are opened by their own readers, Parquet out of order: they are measured as a whole.
    return Meter(path.stat().st_size, sha256(path))


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
