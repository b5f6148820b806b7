"""Which columns of somebody's own table say any number of labels of a row, told from the first rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bertkit.data.tables import Column
from bertkit.recipe import TaskRecipe
from bertkit.tasks.label_sets import is_list, is_yes_or_no

SEPARATORS = (",", "|", ";")
"""What may stand between labels, where nobody says; the first that does is taken."""
MANY_CELLS = 0.05
"""Share of the cells with several labels from which on a column may have several."""
SHORT = 40
"""Characters of the cells of a column of labels without a usual name, on average, at most."""
KNOWN_PARTS = 0.8
"""Share of the labels in such cells that also stand in other ones: else what separates is of one label."""
NOT_SETS = ("score", "rating", "stars")
"""Names of columns of numbers, whose commas are decimal ones."""


@dataclass(frozen=True)
class LabelSets:
    """Columns of 0 and 1, or one that lists labels; what stands between these; a few words about them."""

    columns: tuple[str, ...]
    separator: str
    words: str

    def completed(self, task: TaskRecipe) -> TaskRecipe:
        """The recipe of a task of such rows."""
        label = ",".join(self.columns)
        return replace(task, kind="multilabel", label=label, label_separator=self.separator)


def label_sets_among(
    names: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    asked: str,
    usual: Sequence[Sequence[str]],
    separator: str,
) -> LabelSets | None:
    """The columns of rows with any number of labels; None of other rows.

    Args:
        names: of the columns.
        rows: the first of the file, their cells as they stand there.
        asked: the column of the label, where somebody says it: a name or a number from 1.
        usual: names of columns of labels; those of an earlier row are meant before those of a later one.
        separator: what somebody says stands between labels.
    """
    cells = {str(name): [row[place] for row in rows] for place, name in enumerate(names)}
    by_number = {str(place): str(name) for place, name in enumerate(names, 1)}
    lower = {name.lower(): name for name in reversed(cells)}
    named = [lower[each] for row in usual for each in row if each in lower]
    given = by_number.get(asked, asked)
    meant = [given] if given else named
    if not meant and len(found := [name for name in cells if all(map(is_yes_or_no, cells[name]))]) > 1:
        return LabelSets(tuple(found), separator, f"{len(found)} columns of 0 and 1, one for each label")
    lists = [name for name in (meant or cells) if _are_lists(cells.get(name, []))]
    if len(lists) == 1 or (lists and meant):
        return LabelSets((asked or lists[0],), separator, "lists of labels")
    # Of columns without a usual name, those whose cells are short enough for labels.
    for name in meant[:1] or [name for name in cells if _is_short(cells[name])]:
        texts = [cell.strip() for cell in cells.get(name, []) if isinstance(cell, str) and cell.strip()]
        for each in (separator, *SEPARATORS):
            if name.lower() not in NOT_SETS and (labels := _parts(texts, each)):
                words = f"{labels} labels, several in a row, with {each!r} between them; else --kind classify"
                return LabelSets((asked or name,), each, words)
    return None


def _is_short(cells: Sequence[Any]) -> bool:
    texts = [cell for cell in cells if isinstance(cell, str)]
    return bool(texts) and sum(map(len, texts)) <= SHORT * len(texts)


def _are_lists(cells: Sequence[Any]) -> bool:
    """Whether all cells that say something are lists; single words in brackets are names, such as [red]."""
    said = [cell for cell in cells if cell is not None and cell != ""]
    told = any(not isinstance(cell, str) or {*cell} & {*"'\","} for cell in said)
    return told and all(map(is_list, said))


def _parts(texts: Sequence[str], separator: str) -> int:
    """How many labels there are in cells of several; 0 where they look like one label each."""
    several = [text for text in texts if separator in text]
    if len(several) < max(2, MANY_CELLS * len(texts)):
        return 0
    different = [{part.strip() for part in text.split(separator)} for text in {*texts}]
    cells_of = Counter(part for parts in different for part in parts if part)
    parts = [part for found in different if len(found) > 1 for part in found if part]
    again = sum(cells_of[part] > 1 for part in parts)
    return len(cells_of) if parts and again >= KNOWN_PARTS * len(parts) else 0
