"""Vectors to files, a block at a time: `.npy` and Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from bertkit.checkpoint.atomic import replace_file
from bertkit.data.tables import BadRow, Row
from bertkit.errors import UserError
from bertkit.infer.embed import Vectors, WordVectors

ENDINGS = (".npy", ".parquet")


class Writer(Protocol):
    """Takes blocks of rows with the vectors of the good ones among them."""

    def write(self, rows: Sequence[Row | BadRow], vectors: Vectors | list[WordVectors]) -> None:
        """Append a block."""


def check_ending(out: Path, *, by_word: bool) -> None:
    """Raise `UserError` unless the file's name tells a format that holds such vectors and is installed."""
    if out.suffix not in ENDINGS:
        raise UserError(f"{out}: name the file .npy or .parquet; the ending tells the format.")
    if by_word and out.suffix == ".npy":
        raise UserError(f"{out}: the vectors of words are lists, which .npy cannot hold; name it .parquet.")
    if out.suffix == ".parquet":
        _pyarrow(out)


@contextmanager
def open_writer(out: Path, width: int, *, by_word: bool) -> Iterator[Writer]:
    """A writer of `out`, which is there, whole, when the block ends, and not at all where it raises.

    `.npy` holds float32 [rows, width], NaN for a row that cannot be read. Parquet has for each row `line`,
    `text`, `pair`, `error` and `vector`; or, by word, `words`, `starts`, `ends` (characters) and `vectors`.
    """
    check_ending(out, by_word=by_word)
    with replace_file(out) as temporary:
        if out.suffix == ".npy":
            with temporary.open("wb") as file:
                writer = _Npy(file, width)
                yield writer
                writer.finish()
        else:
            pyarrow = _pyarrow(out)
            schema = _schema(pyarrow, width, by_word)
            with pyarrow.parquet.ParquetWriter(temporary, schema, compression="zstd") as file:
                yield _Parquet(pyarrow, file, schema, by_word)


class _Npy:
    """The header is written again at the end; NumPy pads it so that any number of rows fits."""

    def __init__(self, file: BinaryIO, width: int) -> None:
        self._file = file
        self._shape = (0, width)
        self._head()
        self._size = file.tell()

    def write(self, rows: Sequence[Row | BadRow], vectors: Vectors | list[WordVectors]) -> None:
        block = np.full((len(rows), self._shape[1]), np.nan, dtype="<f4")
        block[[isinstance(row, Row) for row in rows]] = vectors
        self._file.write(block.tobytes())
        self._shape = (self._shape[0] + len(rows), self._shape[1])

    def finish(self) -> None:
        self._file.seek(0)
        self._head()
        assert self._file.tell() == self._size, "the header has grown into the vectors"

    def _head(self) -> None:
        header = {"descr": "<f4", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(self._file, header)


class _Parquet:
    """A row group for each block."""

    def __init__(self, pyarrow: Any, file: Any, schema: Any, by_word: bool) -> None:
        self._pyarrow = pyarrow
        self._file = file
        self._schema = schema
        self._by_word = by_word

    def write(self, rows: Sequence[Row | BadRow], vectors: Vectors | list[WordVectors]) -> None:
        given = iter(vectors)
        found = [next(given) if isinstance(row, Row) else None for row in rows]
        columns: dict[str, list[Any]] = {
            "line": [row.line for row in rows],
            "text": [row.text if isinstance(row, Row) else None for row in rows],
            "pair": [row.pair if isinstance(row, Row) else None for row in rows],
            "error": [row.problem if isinstance(row, BadRow) else None for row in rows],
        }
        if self._by_word:
            words = [each if isinstance(each, WordVectors) else None for each in found]
            columns["words"] = [each and each.words for each in words]
            columns["starts"] = [each and [start for start, _ in each.spans] for each in words]
            columns["ends"] = [each and [end for _, end in each.spans] for each in words]
            columns["vectors"] = [each and list(each.vectors) for each in words]
        else:
            columns["vector"] = list(found)
        self._file.write_table(self._pyarrow.Table.from_pydict(columns, schema=self._schema))


def _schema(pyarrow: Any, width: int, by_word: bool) -> Any:
    vector = pyarrow.list_(pyarrow.float32(), width)
    numbers = pyarrow.list_(pyarrow.int32())
    fields = {name: pyarrow.string() for name in ("text", "pair", "error")}
    if by_word:
        words = {"words": pyarrow.list_(pyarrow.string()), "starts": numbers, "ends": numbers}
        fields |= {**words, "vectors": pyarrow.list_(vector)}
    else:
        fields["vector"] = vector
    return pyarrow.schema({"line": pyarrow.int64(), **fields})


def _pyarrow(out: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            f"{out}: writing Parquet needs pyarrow; install it with `pip install 'bertkit[parquet]'`."
        ) from None
    return pyarrow
