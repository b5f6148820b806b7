"""Runs side by side, of either kind: a row for each, and the run that the others are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bertkit.runs.records import Record

Row = dict[str, Any]
NOT_FINISHED = "not finished: it is going on, or was interrupted"


class Finished(NamedTuple):
    """A run that has come to its end, and its place among those that are compared."""

    place: int
    run: Path
    result: Record


def rows_of(
    runs: Sequence[Path],
    results: Sequence[Record | None],
    figures: Callable[[Finished], Row],
    difference: Callable[[Finished, Finished], Row],
) -> tuple[list[Row], Finished | None]:
    """A row for each run, and the first that is finished.

    Args:
        runs: their folders.
        results: of each; None of one that is not finished.
        figures: what a finished run came to.
        difference: of the first finished run and another one: how the other differs.
    """
    first: Finished | None = None
    rows: list[Row] = []
    for place, (run, result) in enumerate(zip(runs, results, strict=True)):
        if result is None:
            rows.append({"run": str(run), "finished": False, "why": NOT_FINISHED})
            continue
        one = Finished(place, run, result)
        apart = None if first is None else difference(first, one)
        first = first or one
        rows.append({"run": str(run), "finished": True, **figures(one), "difference": apart})
    return rows, first
