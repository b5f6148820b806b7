"""Labelled rows in memory, and what is odd about them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.formats import counts_rows
from bertkit.data.tables import BadRow, Row, bad_row
from bertkit.errors import listed


@dataclass(frozen=True)
class Targets:
    """What N rows ask for: `values` end to end, those of row i from `starts[i]` to `starts[i + 1]`.

    A class a row, numbers, a tag a word: what they mean is for the kind of the task to say. A value may be
    several numbers: then `values` is [V, K].
    """

    values: npt.NDArray[Any]
    starts: npt.NDArray[np.int64]

    @classmethod
    def single(cls, values: npt.NDArray[Any]) -> Targets:
        """One value a row."""
        return cls(values, np.arange(len(values) + 1))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def one_each(self) -> bool:
        """Whether every row has one value."""
        return bool((np.diff(self.starts) == 1).all())

    def only(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Targets:
        """Those of some rows."""
        if self.one_each:
            return Targets.single(self.values[np.asarray(rows, dtype=np.int64)])
        parts = [self.of(row) for row in rows]
        return Targets(np.concatenate(parts or [self.values[:0]]), np.cumsum([0, *map(len, parts)]))

    def of(self, row: int) -> npt.NDArray[Any]:
        """The values of one row."""
        return self.values[self.starts[row] : self.starts[row + 1]]


@dataclass(frozen=True)
class Examples:
    """N examples of one file, in its order.

    Attributes:
        texts: N first texts.
        pairs: N second texts, or None where the task has single texts.
        targets: what they ask for, or None where the file was read without.
        lines: where each example begins in the file, from 1.
        path: the file.
        left_out: its rows that cannot be used, and are no examples.
        more: what else its kind of task has of each example, in JSON's values: N of each, by name. `group`
            names what must not be in two splits.
        read: which of these are lists of texts that the model reads, as it does `texts` and `pairs`.
    """

    texts: list[str]
    pairs: list[str] | None
    targets: Targets | None
    lines: list[int]
    path: Path
    left_out: Sequence[BadRow] = ()
    more: Mapping[str, list[Any]] = field(default_factory=dict)
    read: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Row], path: Path) -> Examples:
        """Rows of a file that all have the same parts, without their labels."""
        return cls(
            texts=[row.text for row in rows],
            pairs=[row.pair for row in rows if row.pair is not None] or None,
            targets=None,
            lines=[row.line for row in rows],
            path=path,
            more={name: [row.more[name] for row in rows] for name in (rows[0].more if rows else ())},
        )

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: Sequence[int]) -> Examples:
        """Some of them, in that order."""
        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            pairs=None if self.pairs is None else [self.pairs[row] for row in rows],
            targets=None if self.targets is None else self.targets.only(rows),
            lines=[self.lines[row] for row in rows],
            more={name: [values[row] for row in rows] for name, values in self.more.items()},
        )

    @property
    def keys(self) -> Iterator[tuple[str, ...]]:
        """What two examples of the same texts have in common, but for spaces."""
        pairs = self.pairs or [""] * len(self)
        for row, (text, pair) in enumerate(zip(self.texts, pairs, strict=True)):
            others = (other for name in self.read for other in self.more[name][row])
            yield tuple(" ".join(each.split()) for each in (text, pair, *others))

    @property
    def all_texts(self) -> Iterator[str]:
        """All that the model reads: first texts, then second ones, then the others."""
        yield from self.texts
        yield from self.pairs or ()
        for name in self.read:
            for others in self.more[name]:
                yield from others

    @property
    def known(self) -> Targets:
        """The targets of examples that were read with them."""
        assert self.targets is not None, f"{self.path} was read without labels"
        return self.targets

    def fingerprint(self, targets: Sequence[Any]) -> str:
        """SHA-256 of the texts and their `targets`, in hexadecimal: rows that are the same have it."""
        parts = [self.texts, self.pairs, targets, *([dict(self.more)] if self.more else [])]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class OddRows:
    """Indices of rows that make scores or learning doubtful.

    Attributes:
        duplicates: of train, see `duplicates`.
        contradictions: of train, see `contradictions`.
        leaks: of dev, see `leaks`.
    """

    duplicates: list[int]
    contradictions: list[int]
    leaks: list[int]


def odd_rows(train: Examples, dev: Examples) -> OddRows:
    """What is odd about two splits that were read with labels."""
    return OddRows(duplicates(train), contradictions(train), leaks(train, dev))


def duplicates(examples: Examples) -> list[int]:
    """Indices of examples whose texts stand in an earlier one, but for spaces; labels are not compared."""
    seen: set[tuple[str, ...]] = set()
    repeated = []
    for index, key in enumerate(examples.keys):
        if key in seen:
            repeated.append(index)
        seen.add(key)
    return repeated


def contradictions(examples: Examples) -> list[int]:
    """Indices of examples whose texts, but for spaces, also stand there with another label."""
    known: dict[tuple[str, ...], set[bytes]] = {}
    targets = examples.known
    for index, key in enumerate(examples.keys):
        known.setdefault(key, set()).add(targets.of(index).tobytes())
    if all(len(found) == 1 for found in known.values()):
        return []
    return [index for index, key in enumerate(examples.keys) if len(known[key]) > 1]


def leaks(train: Examples, dev: Examples) -> list[int]:
    """Indices of dev examples whose texts, but for spaces, stand in train: scores on them are memory."""
    known = set(train.keys)
    return [index for index, key in enumerate(dev.keys) if key in known]


def checked(path: Path, row: Row | BadRow) -> Row | BadRow:
    """A row of a file, as a bad one where its text or label is blank; a second text may be."""
    if isinstance(row, Row):
        for part, value in (("text", row.text), ("label", row.label)):
            if isinstance(value, str) and not value.strip():
                return bad_row(
                    path, row.line, f"the {part} is empty; fill it in or remove the row.", row.cells
                )
    return row


REASONS, LINES, LONGEST_REASON = 3, 3, 160
"""Kinds of bad rows, and rows of each, that a sentence names; and letters of a kind."""


def told_bad(path: Path, bad: Sequence[BadRow], rows: int, *, left_out: bool = False) -> str:
    """What is wrong with some of the rows of a file, in one sentence; of a single one, its own.

    Args:
        path: the file.
        bad: the rows.
        rows: how many it has in all.
        left_out: whether that is what was done with them; else it is offered.
    """
    if len(bad) == 1 and not left_out:
        return f"{bad[0].problem} Or leave such rows out with --skip-bad."
    kinds: dict[str, list[BadRow]] = {}
    for row in bad:
        kinds.setdefault(_kind_of(row.reason), []).append(row)
    most = sorted(kinds.items(), key=lambda kind: -len(kind[1]))
    each = "row" if counts_rows(path) else "line"
    told = [
        f"{_with_values(reason, rows)} ({len(rows):,}: {each}{'s' * (len(rows) > 1)} "
        f"{', '.join(str(row.line) for row in rows[:LINES])}{', ...' * (len(rows) > LINES)})"
        for reason, rows in most[:REASONS]
    ]
    if len(most) > REASONS:
        told.append(f"other reasons ({sum(len(rows) for _, rows in most[REASONS:]):,})")
    done = "are left out" if left_out else "cannot be used"
    way = "" if left_out else " Mend them, or leave them out with --skip-bad."
    return f"{path}: {len(bad):,} of {rows:,} rows {done}: {'; '.join(told)}.{way}"


_VALUE, _ANY = re.compile(r"""('[^']*'|"[^"]*") """), "'...' "


def _kind_of(reason: str) -> str:
    """A reason without what is of one row, and without what to do."""
    said = re.split(r"[;.]( |$)| \(", _VALUE.sub(_ANY, reason), maxsplit=1)[0]
    return shorten(re.sub(r"\b0x[0-9a-f]+ |\bline \d+ ", "", said), LONGEST_REASON, placeholder=" ...")


def _with_values(reason: str, rows: Sequence[BadRow]) -> str:
    """The reason of some rows, with the first few of the values that they have."""
    found = dict.fromkeys(each[1] for row in rows if (each := _VALUE.search(row.reason)))
    return reason.replace(_ANY, f"{listed(found, LINES)} ", 1)


def count_left_out(*parts: Examples | None) -> int:
    """How many rows are left out of the files that some splits are of."""
    return sum({part.path: len(part.left_out) for part in parts if part is not None}.values())


def notes(*splits: Examples | None) -> Iterator[str]:
    """What is to be said of rows that are left out, or are read although something is odd about them."""
    parts = [part for part in splits if part is not None]
    for rows in {part.path: part for part in parts}.values():
        if rows.left_out:
            good = sum(len(part) for part in parts if part.path == rows.path)
            yield told_bad(rows.path, rows.left_out, good + len(rows.left_out), left_out=True)
    if empty := sum(not pair.strip() for rows in parts for pair in rows.pairs or ()):
        yield f"{empty:,} second texts are empty: [CLS] a [SEP] [SEP]"
