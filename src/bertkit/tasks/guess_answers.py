"""Whether a file asks questions about texts, and where it has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertkit.data.formats import arrow_files, format_of
from bertkit.data.questions import SQUAD, STARTS, Keys
from bertkit.data.tables import CellRow, iterate_cells

QUESTIONS, CONTEXTS = ("question", "query"), ("context", "passage", "paragraph", "document", "text")
"""Usual names of columns."""
_NESTED = (".json", ".jsonl", ".parquet", ".arrow")


@dataclass(frozen=True)
class Asked:
    """Where a file has questions, texts and answers, and a few words about its layout."""

    keys: Keys
    words: str


def questions_in(path: Path, encoding: str = "") -> Asked | None:
    """What a file asks; None where it has no questions about texts.

    The first row tells: it is SQuAD's JSON, or has answers that are lists of texts with their places.
    """
    if (path.is_dir() and not arrow_files(path)) or format_of(path) not in _NESTED:
        return None
    rows = iterate_cells(path, [], encoding=encoding, whole=True)
    cells = next((row.cells for row in rows if isinstance(row, CellRow)), {})
    if _is_squad(cells):
        return Asked(SQUAD, "questions about texts, in SQuAD's JSON")
    names = [_first(QUESTIONS, cells), _first(CONTEXTS, cells), _answers_of(cells)]
    if None in names:
        return None
    question, context, answers = (str(name) for name in names)
    return Asked(Keys(question, context, answers), "questions about texts")


def _is_squad(cells: Mapping[str, Any]) -> bool:
    articles = cells.get("data")
    first = articles[0] if isinstance(articles, list) and articles else None
    return isinstance(first, dict) and "paragraphs" in first


def _first(usual: Sequence[str], cells: Mapping[str, Any]) -> str | None:
    lower = {name.lower(): name for name, cell in cells.items() if isinstance(cell, str)}
    return next((lower[name] for name in usual if name in lower), None)


def _answers_of(cells: Mapping[str, Any]) -> str | None:
    for name, cell in cells.items():
        some = cell[0] if isinstance(cell, list) and cell else cell
        if isinstance(some, dict) and "text" in some and any(key in some for key in STARTS):
            return name
    empty = cells.get(SQUAD.answers)
    return SQUAD.answers if isinstance(empty, list) and not empty else None
