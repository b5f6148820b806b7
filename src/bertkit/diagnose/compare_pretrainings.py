"""Pretraining runs side by side: held-out losses, which are of the same pieces or are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertkit.diagnose.side_by_side import Finished, Row, rows_of
from bertkit.runs.records import Record

SAME_PIECES = ("training.heldout_pieces", "batch.length")
"""Beside `objective.*`, the keys that decide which held-out pieces are masked, and how."""
OF_TRAINING = "objective.fixed_masks"


def compare_pretrainings(
    runs: Sequence[Path], results: Sequence[Record | None], recipe: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    """What `diagnose.compare.compare` says of pretrainings, without what it says of every kind.

    Args:
        runs: their folders.
        results: of each; None of one that is not finished.
        recipe: the keys that differ, with the value in each run.

    Raises:
        UserError: a damaged file.
    """

    def difference(first: Finished, other: Finished) -> Row:
        keys = [key for key, values in recipe.items() if values[other.place] != values[first.place]]
        return _difference(first.result, other.result, keys)

    rows, first = rows_of(runs, results, _figures, difference)
    remarks = []
    if sum(row["finished"] for row in rows) > 1:
        remarks.append(
            "Differences have no interval: a run keeps the mean loss of its held-out text, and has one seed. "
            "Runs from other seeds would say how much is chance."
        )
    return {
        "kind": "pretraining",
        "task": None,
        "metric": None,
        "rows": rows,
        "first": None if first is None else str(first.run),
        "remarks": remarks,
    }


def _figures(one: Finished) -> Row:
    result = one.result
    heldout = result.part("heldout").values if result.has("heldout") else {}
    floors = result.part("floors")
    return {
        "score": result.part("heldout").number("mlm_loss") if heldout else None,
        "mlm_accuracy": _heldout_figure(result, "mlm_accuracy") if heldout else None,
        "pair_accuracy": _heldout_figure(result, "pair_accuracy") if heldout else None,
        "train_loss": result.number("train_mlm_loss"),
        "floors": {name: floors.number(name) for name in ("unigram", "uniform")},
        "steps": result.whole("steps"),
        "pieces": result.whole("pieces"),
        "seconds": result.number("seconds"),
        "parameters": result.whole("parameters"),
    }


def _heldout_figure(result: Record, name: str) -> float | None:
    """Of the held-out text; None where it is not told."""
    heldout = result.part("heldout")
    return heldout.number(name) if heldout.has(name) else None


def _difference(reference: Record, result: Record, keys: Sequence[str]) -> Row:
    """The held-out loss less that of the first; None where one of them has none, or of other text."""
    nothing = {"value": None, "interval": None, "ahead": None, "seeds_drawn": False}
    if not (reference.has("heldout") and result.has("heldout")):
        return nothing | {"why": "no text was held out", "words": "No difference: no text was held out."}
    corpora = [each.part("corpus").text("fingerprint") for each in (reference, result)]
    if corpora[0] != corpora[1]:
        why = "their texts are not the same, nor are the pieces that are scored"
        return nothing | {"why": why, "words": f"No difference: {why}."}
    losses = [each.part("heldout").number("mlm_loss") for each in (reference, result)]
    value = losses[1] - losses[0]
    words = f"{'Lower' if value < 0 else 'Higher'} by {abs(value):.3f} nats" if value else "The same loss"
    others = [key for key in keys if key.startswith("objective.") or key in SAME_PIECES]
    others = [key for key in others if key != OF_TRAINING]
    if others:
        verb = "differs" if len(others) == 1 else "differ"
        words += f", but not of the same masked pieces: {', '.join(others)} {verb}"
    return {
        "value": value,
        "interval": None,
        "ahead": None,
        "seeds_drawn": False,
        "why": "a run keeps one mean",
        "words": f"{words}.",
    }
