"""What a page says of rows with any number of labels: each label, its threshold, and the surest mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bertkit.diagnose.classes import MOST_CLASSES
from bertkit.diagnose.page import table
from bertkit.diagnose.sections import Told

MANNERS = {
    "one half": "Each label is told from a probability of one half on: no other threshold did better on rows "
    "that it was not fitted on",
    "shared": "All labels are told from the same probability on, fitted on the dev rows",
    "own": "Each label is told from a probability of its own on, fitted on the dev rows; rare ones share one",
}
"""What is said of thresholds, by the manner in which they were fitted."""
HEADS = ("label", "rows", "precision", "recall", "F1", "average precision", "told from")


def label_lines(found: Sequence[Mapping[str, Any]], thresholds: Sequence[float] | None) -> list[list[str]]:
    """Lines of a table by label under `HEADS`, the most frequent first; of many these and the rarest."""
    order = sorted(range(len(found)), key=lambda place: -found[place]["rows"])
    lines = []
    for place in order:
        each = found[place]
        shares = (f"{each[name]:.3f}" for name in ("precision", "recall", "f1", "average_precision"))
        told_from = f"{thresholds[place]:.3g}" if thresholds else ""
        lines.append([escape(each["label"]), f"{each['rows']:,}", *shares, told_from])
    if len(lines) <= MOST_CLASSES:
        return lines
    half = MOST_CLASSES // 2
    between = f"... {len(lines) - 2 * half:,} others"
    return [*lines[:half], [between, *[""] * (len(HEADS) - 1)], *lines[-half:]]


def thresholds_in_words(found: Mapping[str, Any] | None) -> str:
    """How labels are told, and what that is worth on rows for which nothing was fitted."""
    if not found or not found["scores"]:
        return ""
    scores = ", ".join(f"{score:.3f} ({manner})" for manner, score in found["scores"].items())
    return (
        f"{MANNERS[found['manner']]}. Fitted on four fifths of the rows and scored on the other, in turn: "
        f"{scores}; the score above is of the best of these."
    )


def by_label_section(result: Mapping[str, Any], of_best: str = "") -> str:
    """Each label alone, and from which probability on it is told."""
    fitted = result.get("label_thresholds")
    made = table(
        HEADS,
        label_lines(result["by_label"], fitted["thresholds"] if fitted else None),
        numbers=range(1, len(HEADS)),
        caption=f"On the dev rows{of_best}, the most frequent label first. Recall: the share of its rows "
        "that is found. Precision: the share of what is told that is right. F1 is their harmonic mean. "
        f"Average precision is over all thresholds. {thresholds_in_words(fitted)}",
    )
    return f"<section><h2>By label</h2>{made}</section>"


def mistakes_of_sets_section(mistakes: Sequence[Mapping[str, Any]], of_best: str = "") -> str:
    """The surest mistakes; nothing where there are none."""
    if not mistakes:
        return ""
    lines = [
        [
            str(row["line"]),
            "<br>".join(escape(text) for text in (row["text"], row["pair"]) if text),
            escape(row["label"]),
            escape(row["predicted"]),
            escape(row["wrong"]),
            f"{row['probability']:.1%}",
        ]
        for row in mistakes
    ]
    heads = ["line", "text", "true", "predicted", "surest mistake", "its probability"]
    made = table(heads, lines, numbers=(0, 5), name="mistakes")
    remark = (
        "<p class=quiet>The dev rows with the label, told or missed, that lies furthest on the wrong side of "
        f"its threshold{of_best}.</p>"
    )
    return f"<section><h2>What it gets most wrong</h2>{remark}{made}</section>"


def by_label(told: Told) -> str:
    """Each label alone."""
    return by_label_section(told.result, told.of_best)


def mistakes_of_sets(told: Told) -> str:
    """The rows with the surest mistakes."""
    return mistakes_of_sets_section(told.result["mistakes"], told.of_best)
