"""Text whose columns stand between separators, and plain lines, as records with line numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from bertkit.data.formats import PLAIN
from bertkit.errors import UserError, quoted

Lines = Iterator[tuple[int, str]]
Delimited = Iterator[tuple[int, list[str] | str]]
"""A line number, and all cells of that record or a sentence about what is wrong with it."""

_NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|"}
_SEPARATORS = (",", ";", "\t", "|")
# The csv module's own limit of 131,072 characters a field is below one long document; its type is a C long.
_FIELD_LIMIT = 2**31 - 1
# What is looked at to find the separator.
_LINES_SEEN = 50
_CHARACTERS_SEEN = 2**18
# Excel's own first line, which tells the separator.
_TOLD = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
# In the place of a carriage return within a line, at which the csv module would stop.
_RETURN = "\ud80d"


def separator_of(said: str) -> str:
    """A separator as people write it: itself, or one of the words comma, semicolon, tab and bar.

    Raises:
        UserError: it is no single character, or one that cannot part cells.
    """
    separator = _NAMES.get(said.lower(), said)
    if len(separator) > 1 or (separator and separator in '"\r\n'):
        raise UserError(f"A separator is one character, or one of {', '.join(_NAMES)}, not {quoted(said)}.")
    return separator


def split_records(
    kind: str, lines: Lines, separator: str, asked: Sequence[str | int], named: bool
) -> Delimited:
    """The records of a `.csv`, `.tsv` or `.txt` file.

    Blank lines before a header are passed over, as are all blank lines between records of several columns.
    Quotes are those of RFC 4180, but for tabs in files not named .csv: there they are characters like others.

    Args:
        kind: the format.
        lines: with their numbers.
        separator: one character; "" finds it: tabs in .tsv; in others what Excel's line `sep=;` says, or the
            one of `_SEPARATORS` that parts the first lines most evenly. Plain text of which only the first
            column is asked has none.
        asked: the columns, by name or number.
        named: whether the first record is the header.
    """
    if kind == PLAIN and not separator and list(asked) == [1]:
        return ((number, [line]) for number, line in lines)
    seen = _look_ahead(lines)
    while seen and (told := _TOLD.fullmatch(seen[0][1].strip(" "))) and kind != ".tsv":
        separator = separator or told[1]
        del seen[0]
    filled = [line.replace("\r", " ") for _, line in seen if line.strip()]
    names = [column for column in asked if isinstance(column, str)] if named else []
    separator = separator or ("\t" if kind == ".tsv" else _find_separator(filled, names, kind))
    quotes = kind == ".csv" or separator != "\t"
    several = bool(filled) and _width(filled[0], separator, quotes) > 1
    while seen and not seen[0][1].strip() and (named or several):
        del seen[0]
    rest = chain(seen, lines)
    return (_quoted if quotes else _bare)(rest, separator, several)


def _look_ahead(lines: Lines) -> list[tuple[int, str]]:
    """The first lines, taken; blank ones do not count."""
    seen: list[tuple[int, str]] = []
    filled = characters = 0
    for number, line in lines:
        seen.append((number, line))
        filled += bool(line.strip())
        characters += len(line)
        if filled >= _LINES_SEEN or characters > _CHARACTERS_SEEN:
            break
    return seen


def _find_separator(lines: Sequence[str], names: Sequence[str], kind: str) -> str:
    """The separator that gives the most lines the width of the first; the usual one of equals."""
    usual = "\t" if kind == PLAIN else ","
    best, most = usual, 0.0
    for separator in sorted(_SEPARATORS, key=lambda one: one != usual):
        records = [cells for cells in csv.reader(lines, delimiter=separator) if cells]
        width = len(records[0]) if records else 0
        if width < 2:
            continue
        score = sum(len(cells) == width for cells in records) / len(records)
        score += bool(names) and {*names} <= {cell.strip() for cell in records[0]}
        if score > most:
            best, most = separator, score
    return best


def _width(line: str, separator: str, quotes: bool) -> int:
    return len(next(csv.reader([line], delimiter=separator)) if quotes else line.split(separator))


def _bare(lines: Iterable[tuple[int, str]], separator: str, several: bool) -> Delimited:
    for number, line in lines:
        if line or not several:
            yield number, line.split(separator)


class _Fed:
    """Lines on their way into the csv module, and where the record that it is at began."""

    def __init__(self, lines: Iterable[tuple[int, str]]) -> None:
        self._lines = iter(lines)
        self.returns = False
        self.begin()

    def begin(self) -> None:
        """The next line begins a record."""
        self.first = self.last = self.opened = 0

    def __iter__(self) -> _Fed:
        return self

    def __next__(self) -> str:
        self.last, line = next(self._lines)
        self.first = self.first or self.last
        if line.count('"') % 2:
            self.opened = 0 if self.opened else self.last
        if "\r" in line:
            self.returns, line = True, line.replace("\r", _RETURN)
        return f"{line}\n"

    def problem(self, error: csv.Error) -> str:
        """What is wrong with the record at which the csv module stopped."""
        swallowed = self.last - self.first
        if self.opened and "end of data" in str(error):
            swallowed = self.last - self.opened
            return (
                f"the quote that opens in line {self.opened} is never closed and swallows {swallowed:,} more "
                "lines, to the end of the file; close it, double it or remove it."
            )
        if swallowed:
            return (
                f"the quote that opens in line {self.first} closes only in line {self.last}, where a "
                f"character stands behind it, and swallows {swallowed:,} lines; close, double or remove it."
            )
        return f"a character stands behind the quote that closes a cell ({error}); mend the row."


def _quoted(lines: Iterable[tuple[int, str]], separator: str, several: bool) -> Delimited:
    csv.field_size_limit(_FIELD_LIMIT)
    fed = _Fed(lines)
    reader = csv.reader(fed, delimiter=separator, strict=True)
    while True:
        fed.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield fed.first, fed.problem(error)
            continue
        if fed.returns:
            cells = [cell.replace(_RETURN, "\r") for cell in cells]
        if cells or not several:
            yield fed.first, cells or [""]
