"""Tables that libraries read: Parquet, Arrow and the folders of `datasets`, Excel's workbooks."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bertkit.data.delimited import Delimited
from bertkit.data.files import open_bytes
from bertkit.data.formats import arrow_files
from bertkit.errors import UserError

Wanted = Callable[[list[str]], list[str]]
"""Of the names of all columns, those to read."""


def parquet_rows(path: Path, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file, of its wanted columns."""
    arrow = need_pyarrow(path, "reading")
    with open_bytes(path) as stream:
        try:
            table = import_module("pyarrow.parquet").ParquetFile(stream)
            names = wanted(table.schema_arrow.names)
            yield from _rows(table.iter_batches(columns=names), names)
        except (arrow.ArrowException, OSError) as error:
            raise UserError(f"{path} is not a Parquet file or is damaged ({error}).") from None


def arrow_rows(path: Path, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The rows of an Arrow file, or of all files in a folder that `datasets` saved."""
    arrow = need_pyarrow(path, "reading")
    ipc = import_module("pyarrow.ipc")
    names: list[str] | None = None
    for file in arrow_files(path) or [path]:
        with open_bytes(file) as stream:
            is_file = stream.read(6) == b"ARROW1"
            stream.seek(0)
            try:
                reader = ipc.open_file(stream) if is_file else ipc.open_stream(stream)
                names = wanted(reader.schema.names) if names is None else names
                numbers = range(reader.num_record_batches) if is_file else ()
                yield from _rows(map(reader.get_batch, numbers) if is_file else reader, names)
            except (arrow.ArrowException, OSError) as error:
                raise UserError(f"{file} is not an Arrow file or is damaged ({error}).") from None


def _rows(batches: Iterable[Any], names: list[str]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        parts = [batch.column(name).to_pylist() for name in names]
        for cells in zip(*parts, strict=True):
            yield dict(zip(names, cells, strict=True))


def need_pyarrow(path: Path, doing: str) -> Any:
    """The library that reads and writes Parquet and Arrow.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module("pyarrow")
    except ImportError:
        raise UserError(
            f"{path}: {doing} Parquet needs pyarrow; install it with `pip install 'bertkit[parquet]'`."
        ) from None


def excel_records(path: Path) -> Delimited:
    """All cells of a workbook's first sheet as texts, rows as wide as the first; empty ones are none."""
    try:
        excel = import_module("openpyxl")
    except ImportError:
        raise UserError(
            f"{path}: reading a workbook of Excel needs openpyxl; install it with "
            "`pip install 'bertkit[excel]'`, or save the sheet as CSV."
        ) from None
    try:
        book = excel.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl raises whatever its parsers of zip and XML do.
        raise UserError(f"{path} is not a workbook of Excel or is damaged ({error}).") from None
    width = 0
    try:
        for number, values in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
            cells = list(map(_text, values))
            while len(cells) > width and not cells[-1]:
                del cells[-1]
            if any(cells):
                width = width or len(cells)
                yield number, cells + [""] * (width - len(cells))
    finally:
        book.close()


def _text(value: Any) -> str:
    """A cell as it would stand in CSV."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, bool | int | float):
        return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        value = value.date()
    return str(value)
