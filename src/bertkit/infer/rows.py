"""Rows of texts on their way to a model: a block at a time, each at its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertkit.data.tables import BadRow, Columns, Row, iterate_rows
from bertkit.errors import UserError
from bertkit.tasks.examples import empty_part

Texts = Sequence[str] | npt.NDArray[np.str_]

# Rows answered together. Many, so that batches hold sequences of like length; but no more of them, and of
# their characters, than keeps memory small and a progress bar moving.
ROWS_AT_ONCE = 4_096
CHARACTERS_AT_ONCE = 1_000_000


@dataclass
class Tally:
    """What went by: rows in all, those without an answer, those that were cut; tokens."""

    rows: int = 0
    bad: int = 0
    truncated: int = 0
    tokens: int = 0


def rows_to_answer(
    path: Path, columns: Columns, *, header: bool | None = None, ending: str | None = None
) -> Iterator[Row | BadRow]:
    """As `iterate_rows`; a row without text is a bad one too."""
    for row in iterate_rows(path, columns, header=header, ending=ending):
        problem = empty_part(path, row) if isinstance(row, Row) else None
        yield BadRow(row.line, problem) if problem else row


def in_chunks(
    rows: Iterable[Row | BadRow], at_once: int, *, characters_at_once: int | None = None
) -> Iterator[list[Row | BadRow]]:
    """Blocks of at most `at_once` rows, or of about so many characters, in their order."""
    most = CHARACTERS_AT_ONCE if characters_at_once is None else characters_at_once
    chunk: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        if isinstance(row, Row):
            characters += len(row.text) + len(row.pair or "")
        if len(chunk) == at_once or characters >= most:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def checked_texts(texts: Texts, pairs: Texts | None) -> tuple[list[str], list[str] | None]:
    """Lists of strings or arrays of them, as lists.

    Raises:
        UserError: an argument is not that, or `pairs` is not as long as `texts`.
    """
    first = _strings("texts", texts)
    if pairs is None:
        return first, None
    second = _strings("pairs", pairs)
    if len(second) != len(first):
        raise UserError(f"There are {len(first)} texts but {len(second)} pairs; each text needs one.")
    return first, second


def _strings(name: str, texts: object) -> list[str]:
    if isinstance(texts, np.ndarray):
        texts = texts.tolist()
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise UserError(
            f"`{name}` must be a list of strings, not {type(texts).__name__}; put one text in a list."
        )
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"`{name}`[{index}] is not a string but of type {type(text).__name__}.")
    return list(texts)
