"""Rows of texts on their way to a model: a block at a time, each at its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.data.tables import BadRow, Columns, Row, iterate_rows, offering_options
from bertkit.data.tagged import words_problem
from bertkit.data.write import breaks_lines
from bertkit.errors import UserError
from bertkit.tasks.examples import Examples, checked

Texts = str | Iterable[str] | npt.NDArray[np.str_]
"""One text, or several: a list, an array, a column of a data frame, a generator."""

# Rows answered together. Many, so that batches hold sequences of like length; but no more of them, and of
# their characters, than keeps memory small and a progress bar moving.
ROWS_AT_ONCE = 4_096
CHARACTERS_AT_ONCE = 1_000_000
SHOWN = 5
"""Bad rows that a person is told of one by one."""


class Progress(Protocol):
    """Is told how far rows have come."""

    def begin(self, rows: int, characters: int) -> None:
        """There are so many rows, of so many characters; without this call nobody knows."""

    def block(self, characters: int, tokens: int) -> None:
        """Rows of so many characters were read, which are so many tokens to compute."""

    def done(self, rows: float, tokens: int) -> None:
        """So many more rows, of so many tokens, are done; of a row in windows each is a part."""


class Silent:
    """Progress that nobody sees."""

    def begin(self, rows: int, characters: int) -> None:
        """Say nothing."""

    def block(self, characters: int, tokens: int) -> None:
        """Say nothing."""

    def done(self, rows: float, tokens: int) -> None:
        """Say nothing."""


SILENT = Silent()


def begin_block(
    progress: Progress, sequences: Sequences, characters: int
) -> Callable[[npt.NDArray[np.int64]], None]:
    """Tell that `sequences` are to be computed; what is returned tells which of them are done.

    Where texts are read in windows, what is numbered are the windows.
    """
    lengths = replace(sequences, windows=None).lengths
    shares = np.ones(len(lengths))
    if sequences.windows is not None:
        shares = np.repeat(1 / sequences.windows.counts, sequences.windows.counts)
    progress.block(characters, int(lengths.sum()))
    return lambda rows: progress.done(float(shares[rows].sum()), int(lengths[rows].sum()))


@dataclass
class Tally:
    """What went by: rows in all, those without an answer, those that were cut; tokens; the first problems."""

    rows: int = 0
    bad: int = 0
    truncated: int = 0
    tokens: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, rows: Iterable[Row | BadRow], sequences: Sequences | None) -> None:
        """Count a block: its rows, and what the good ones among them became."""
        for row in rows:
            self.rows += 1
            if isinstance(row, BadRow):
                self.bad += 1
                if len(self.problems) < SHOWN:
                    self.problems.append(row.problem)
        if sequences is not None:
            self.truncated += sequences.truncated
            self.tokens += len(sequences.ids)


@dataclass
class Survey:
    """What a table holds, found out before its rows are answered.

    Attributes:
        rows: how many.
        characters: of all texts.
        types: of the cells of each column, in the order in which these first come; of nothing, none.
        breaks: whether a cell holds a tab or a line end.
    """

    rows: int = 0
    characters: int = 0
    types: dict[str, set[type]] = field(default_factory=dict)
    breaks: bool = False


def survey(rows: Iterable[Row | BadRow]) -> Survey:
    """Look at rows once."""
    found = Survey()
    for row in rows:
        found.rows += 1
        found.characters += characters_of(row)
        found.breaks = found.breaks or breaks_lines(row.cells)
        for name, cell in row.cells.items():
            types = found.types.setdefault(name, set())
            if cell is not None:
                # What no column of whole numbers holds is a text.
                types.add(str if isinstance(cell, int) and cell.bit_length() > 63 else type(cell))
    return found


def characters_of(row: Row | BadRow) -> int:
    """Of its texts."""
    return len(row.text) + len(row.pair or "") if isinstance(row, Row) else 0


def rows_to_answer(
    path: Path, columns: Columns, reads: Callable[..., Iterator[Row | BadRow]] = iterate_rows, **how: Any
) -> Iterator[Row | BadRow]:
    """As `Kind.reads` has them; a row without text is a bad one too."""
    with offering_options(columns):
        for row in reads(path, columns, **how):
            yield checked(path, row)


@dataclass(frozen=True)
class Block:
    """Rows that are answered together, the good ones among them, and their characters."""

    rows: list[Row | BadRow]
    good: Examples
    characters: int

    @classmethod
    def of(cls, rows: list[Row | BadRow], characters: int) -> Block:
        """The block of rows that have so many characters."""
        return cls(rows, Examples.of([row for row in rows if isinstance(row, Row)], Path()), characters)

    def answered(self, tally: Tally, sequences: Sequences | None, progress: Progress) -> None:
        """Count it, and tell of the rows that nothing was computed of."""
        tally.add(self.rows, sequences)
        progress.done(len(self.rows) - len(self.good), 0)


def in_blocks(
    rows: Iterable[Row | BadRow], at_once: int, *, characters_at_once: int | None = None
) -> Iterator[Block]:
    """Blocks of at most `at_once` rows, or of about so many characters, in their order."""
    most = CHARACTERS_AT_ONCE if characters_at_once is None else characters_at_once
    chunk: list[Row | BadRow] = []
    characters = 0
    for row in rows:
        chunk.append(row)
        characters += characters_of(row)
        if len(chunk) == at_once or characters >= most:
            yield Block.of(chunk, characters)
            chunk, characters = [], 0
    if chunk:
        yield Block.of(chunk, characters)


def checked_texts(texts: Texts, pairs: Texts | None) -> tuple[list[str], list[str] | None]:
    """Texts as lists of strings.

    Raises:
        UserError: an argument holds something else, or `pairs` is not as long as `texts`.
    """
    first = _strings("texts", texts)
    if pairs is None:
        return first, None
    second = _strings("pairs", pairs)
    if len(second) != len(first):
        raise UserError(f"There are {len(first)} texts but {len(second)} pairs; each text needs one.")
    return first, second


def checked_words(texts: Iterable[object]) -> list[list[str]]:
    """Texts that come as lists of their words.

    Raises:
        UserError: one does not, or a word is none.
    """
    found: list[list[str]] = []
    for index, words in enumerate(texts):
        if not isinstance(words, list | tuple):
            raise UserError(
                f"`texts`[{index}] is of type {type(words).__name__}: give all as texts, or all as lists of "
                "words."
            )
        if problem := words_problem(list(words)):
            raise UserError(f"`texts`[{index}]: {problem}")
        found.append(list(words))
    return found


def _strings(name: str, texts: object) -> list[str]:
    if isinstance(texts, str):
        return [texts]
    # What has no order, or holds something else than it looks like, is none.
    if isinstance(texts, Mapping | Set | bytes) or not isinstance(texts, Iterable):
        raise UserError(f"`{name}` must be a text or several, such as a list, not {type(texts).__name__}.")
    found = texts.tolist() if isinstance(texts, np.ndarray) else list(texts)
    for index, text in enumerate(found):
        if not isinstance(text, str):
            raise UserError(f"`{name}`[{index}] is not a string but of type {type(text).__name__}.")
    return found
