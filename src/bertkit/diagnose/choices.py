"""What a page says of choices: which places were right, which were chosen, and how often both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bertkit.diagnose.page import table
from bertkit.diagnose.sections import Told


def by_place_section(lines: Sequence[Mapping[str, Any]], of_best: str = "") -> str:
    """A table with a row for each place; a model that tells nothing apart chooses the first one always."""
    cells = [
        [
            str(line["choice"]),
            f"{line['rows']:,}",
            f"{line['predicted']:,}",
            f"{line['found']:,}",
            f"{line['found'] / line['rows']:.1%}" if line["rows"] else "",
        ]
        for line in lines
    ]
    heads = ["choice, from 0", "right", "chosen", "rightly", "found of the right"]
    made = table(heads, cells, numbers=(0, 1, 2, 3, 4), name="by-place")
    remark = f"<p class=quiet>Dev rows by the place of the right choice{of_best}.</p>"
    return f"<section><h2>By place</h2>{remark}{made}</section>"


def by_place(told: Told) -> str:
    """How often the choice of each place was right, chosen, and both."""
    return by_place_section(told.result["by_place"], told.of_best)
