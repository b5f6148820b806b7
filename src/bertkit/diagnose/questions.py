"""What a page says of questions about texts: how well those that begin alike are answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bertkit.diagnose.page import table
from bertkit.diagnose.sections import Told


def by_first_word_section(lines: Sequence[Mapping[str, Any]], of_best: str = "") -> str:
    """A table with a row for each of the most frequent first words; nothing where there are none."""
    if not lines:
        return ""
    cells = [
        [
            escape(line["word"]) if line["word"] else "all others",
            f"{line['rows']:,}",
            f"{line['f1']:.3f}",
            f"{line['exact']:.3f}",
        ]
        for line in lines
    ]
    made = table(["first word", "questions", "F1", "EM"], cells, numbers=(1, 2, 3), name="by-first-word")
    remark = f"<p class=quiet>Dev rows by the first word of their question{of_best}.</p>"
    return f"<section><h2>By first word</h2>{remark}{made}</section>"


def by_first_word(told: Told) -> str:
    """How well questions are answered that begin with the same word."""
    return by_first_word_section(told.result.get("by_first_word", ()), told.of_best)
