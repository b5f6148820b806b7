"""The rows of a table with what a model answers to each beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import tee
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.data.tables import BadRow, Row, free_names
from bertkit.data.write import Types, table_writer
from bertkit.errors import UserError
from bertkit.infer.predict import Predictor
from bertkit.infer.rows import ROWS_AT_ONCE, SILENT, Progress, Tally
from bertkit.tasks.kind import Wanted

DIGITS = 6
"""Decimals of probabilities and scores in a table."""


def write_answers(
    predictor: Predictor,
    rows: Iterable[Row | BadRow],
    types: Types,
    out: Path | None,
    ending: str,
    wanted: Wanted,
    tally: Tally,
    *,
    like: Path | None = None,
    progress: Progress = SILENT,
) -> list[Any]:
    """Answer rows in constant memory, and write them with their answers: a file is whole or not there.

    Args:
        predictor: the model.
        rows: all with their cells.
        types: the columns of the rows.
        out: the file; None is standard output.
        ending: a key of `data.write.WRITERS`.
        wanted: what is written of an answer; see `Kind.columns`. A name that a column has already gets
            `predicted_` before it, see `names_beside`.
        tally: what to count in.
        like: the Parquet file that the rows are of, if they are.
        progress: is told how far they have come.

    Returns:
        What is in the first column of the answers of all rows that have one, in their order.

    Raises:
        UserError: rows that cannot be answered at all, or a file that cannot be written.
    """
    kind = predictor.kind
    columns = kind.columns(predictor.labels, wanted)
    names = names_beside(list(columns), types)
    found: dict[str, set[type]] = {
        name: {column} for name, column in zip(names, columns.values(), strict=True)
    }
    first: list[Any] = []
    seen, asked = tee(rows)
    answers = predictor.predict_rows(asked, tally, at_once=ROWS_AT_ONCE, progress=progress)
    with _whole(out) as place, table_writer(place, ending, {**types, **found}, like) as write:
        for row, answer in zip(seen, answers, strict=False):
            if taken := found.keys() & row.cells.keys():
                raise UserError(
                    f"Row {row.line} has the key {min(taken)!r}, as the first have not, and that is what a "
                    "column of answers is called; put the input into a file first."
                )
            cells: Sequence[Any] = [None] * len(names)
            if "error" not in answer:
                cells = [
                    round(cell, DIGITS) if isinstance(cell, float) else cell
                    for cell in kind.cells(answer, wanted)
                ]
                first.append(cells[0])
            write({**row.cells, **dict(zip(names, cells, strict=True))})
    return first


def names_beside(columns: Sequence[str], taken: Iterable[str]) -> list[str]:
    """What columns of answers are called: one whose name is taken is `predicted_` and that name."""
    there = set(taken)
    names = []
    for column in columns:
        name = column if column not in there else f"predicted_{column}"
        names.append(name if name not in there else next(free_names(name, there)))
        there.add(names[-1])
    return names


@contextmanager
def _whole(out: Path | None) -> Iterator[Path | None]:
    if out is None:
        yield None
    else:
        with replace_file(out) as place:
            yield place
