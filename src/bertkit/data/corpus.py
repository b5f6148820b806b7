"""Raw text in files of any format, one text after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bertkit.data.files import COMPRESSIONS, open_text
from bertkit.data.tables import READERS, Column, Columns, read_rows
from bertkit.errors import UserError

TEXT_COLUMN = "text"
"""Where JSON lines and Parquet files keep their text unless something else is said."""

_NAMED = (".jsonl", ".parquet")


def read_texts(
    path: str | Path, *, column: Column | None = None, header: bool | None = None
) -> Iterator[str]:
    """Yield the texts of a file in constant memory.

    A `.jsonl`, `.tsv`, `.csv` or `.parquet` file has one a row, see `bertkit.data.tables.iterate_rows`; a
    file of any other name has one a line. All but Parquet may be compressed (`.gz`, `.zst`).

    Args:
        path: the file.
        column: which column of a table, by name or by number from 1; None for `text` of JSON lines and
            Parquet. Plain text has none.
        header: whether the first row of a TSV or CSV file names the columns; None: exactly if the column is
            asked for by name.

    Raises:
        UserError: the file cannot be opened or a line cannot be read, or the column is not there.
    """
    path = Path(path)
    kind = (path.with_suffix("") if path.suffix in COMPRESSIONS else path).suffix
    if kind == ".txt" or kind not in READERS:
        for _, line in open_text(path):
            yield line
        return
    if column is None and kind not in _NAMED:
        raise UserError(f"{path} has columns; say which one holds the text, by name or by number from 1.")
    for row in read_rows(path, Columns(text=TEXT_COLUMN if column is None else column), header=header):
        yield row.text
