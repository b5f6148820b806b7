"""Rows that stand there more than once: copies and near copies, with other labels, and in what is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bertkit.health.audit import Rows, Shown
from bertkit.tasks.examples import Examples, contradictions, duplicates, leaks
from bertkit.tasks.task import Split
from bertkit.text.near import near_pairs

SHOWN = 5
"""Rows of each sort that are named."""
EXCERPT, BEFORE = 160, 40
"""Characters of a text that are shown, and of these how many before what is odd in it."""


_Row = tuple[Split, int]
Nearest = Mapping[_Row, Sequence[tuple[_Row, float]]]
"""Of each row that is nearly one before it: those that it is nearly, with their resemblance."""


def copies(split: Split, rows: Examples, learned: Examples) -> dict[str, Rows]:
    """Of a split the rows whose texts stand there, or in those to learn from, too; by the names of
    `PartMeasures`.
    """
    keys, first = list(rows.keys), _first(rows)

    def beside(index: int) -> Shown:
        place = first[keys[index]]
        return row_shown(rows, index, (split, rows, place) if place != index else None)

    found = {"duplicates": rows_shown(duplicates(rows), beside)}
    if rows.targets is not None:
        found["contradictions"] = rows_shown(contradictions(rows), beside)
    if rows is not learned:
        known = _first(learned)
        found["leaks"] = rows_shown(
            leaks(learned, rows),
            lambda index: row_shown(rows, index, ("train", learned, known[keys[index]])),
        )
    return found


def _first(rows: Examples) -> dict[tuple[str, ...], int]:
    """Where the texts of each row stand first."""
    first: dict[tuple[str, ...], int] = {}
    for index, key in enumerate(rows.keys):
        first.setdefault(key, index)
    return first


def nearest(parts: Mapping[Split, Examples]) -> Nearest:
    """The near copies among rows of different texts, in all splits; those to learn from come first."""
    places: dict[tuple[str, ...], _Row] = {}
    learned = None
    for split, rows in parts.items():
        for key, index in _first(rows).items():
            places.setdefault(key, (split, index))
        learned = learned or len(places)
    known = list(places.values())
    found: dict[_Row, list[tuple[_Row, float]]] = {}
    for pair in near_pairs(list(places), learned=learned):
        found.setdefault(known[pair.second], []).append((known[pair.first], pair.resemblance))
    return found


def near_copies(split: Split, parts: Mapping[Split, Examples], near: Nearest) -> dict[str, Rows]:
    """Of a split the rows that are nearly others, by the names of `PartMeasures`; each beside the likest."""
    rows, learned = parts[split], next(iter(parts))

    def those(other: Split, *, of_other_label: bool = False) -> Rows:
        best: dict[int, tuple[float, int]] = {}
        for (of, index), found in near.items():
            for (where, place), resemblance in found if of == split else ():
                if where == other and not (of_other_label and _asks_the_same(rows, index, place)):
                    # Of those that are equally like it the first.
                    best[index] = max(best.get(index, (0.0, 0)), (resemblance, -place))

        def beside(index: int) -> Shown:
            resemblance, place = best[index]
            return row_shown(rows, index, (other, parts[other], -place), resemblance=resemblance)

        return rows_shown(sorted(best), beside)

    found = {"near_duplicates": those(split)}
    if rows.targets is not None:
        found["near_contradictions"] = those(split, of_other_label=True)
    if split != learned:
        found["near_leaks"] = those(learned)
    return found


def _asks_the_same(rows: Examples, one: int, other: int) -> bool:
    return rows.known.of(one).tobytes() == rows.known.of(other).tobytes()


Place = tuple[Split, Examples, int]
"""A row of a split."""


def rows_shown(indices: Sequence[int], show: Callable[[int], Shown]) -> Rows:
    """So many rows, of which the first are named."""
    return Rows(len(indices), [show(index) for index in indices[:SHOWN]])


def row_shown(
    rows: Examples, index: int, other: Place | None = None, *, resemblance: float = 1.0, at: int = 0
) -> Shown:
    """A row, and another that it is like.

    Args:
        rows: of the split.
        index: of the row.
        other: the other one.
        resemblance: of the two.
        at: the character from which on the row matters.
    """
    line, text = rows.lines[index], _excerpt(rows, index, at)
    if other is None:
        return Shown(line, text)
    split, where, place = other
    return Shown(line, text, f"{split}, line {where.lines[place]}", _excerpt(where, place, 0), resemblance)


def _excerpt(rows: Examples, index: int, at: int) -> str:
    """The texts of a row in one line, from a little before character `at` on."""
    whole = rows.texts[index] if rows.pairs is None else f"{rows.texts[index]} | {rows.pairs[index]}"
    begin = max(0, at - BEFORE)
    part = " ".join(whole[begin : begin + EXCERPT].split())
    line = "".join(letter if letter.isprintable() else "\ufffd" for letter in part)
    return f"{'...' * (begin > 0)}{line}{'...' * (begin + EXCERPT < len(whole))}"
