"""What a page says of numbers: predicted against true, what is left of them, and the rows furthest off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bertkit.diagnose.charts import SIZE
from bertkit.diagnose.page import figure, key, note, side, table
from bertkit.diagnose.pictures import DEV, MAJORITY, picture
from bertkit.diagnose.sections import Told

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Points = Sequence[tuple[float, float]]
"""The target and the prediction of each row."""
BINS = 30


def points_section(found: Sequence[Any] | None, of_best: str = "") -> str:
    """Two pictures; nothing where there are no numbers."""
    points = [(true, said) for true, said in found or () if said is not None]
    if len(points) < 2:
        return ""
    above = sum(said > true for true, said in points) / len(points)
    keys = [key("dev", "dev rows"), key("majority", "predictions that are right", dashed=True)]
    left = [note(f"Predicted less true. {above:.0%} of the predictions are too high.")]
    return side(
        figure(f"Predicted against true{of_best}", draw_points(points), keys),
        figure(f"Residuals{of_best}", draw_residuals(points), left),
    )


def draw_points(points: _Points) -> str:
    """Predictions over targets, as SVG text."""

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        true, said = zip(*points, strict=True)
        axes.plot(
            [min(true), max(true)], [min(true), max(true)], color=MAJORITY, linestyle="--", linewidth=1.2
        )
        axes.plot(true, said, color=DEV, marker="o", markersize=3, linestyle="", alpha=0.35)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")

    return picture("points", draw, size=SIZE)


def draw_residuals(points: _Points) -> str:
    """How many rows are how far off, as SVG text."""

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        axes.hist([said - true for true, said in points], bins=BINS, color=DEV)
        axes.axvline(0, color=MAJORITY, linestyle="--", linewidth=1.2)
        axes.set_xlabel("predicted less true")
        axes.set_ylabel("rows")

    return picture("residuals", draw, size=SIZE)


def furthest_section(mistakes: Sequence[Mapping[str, Any]], of_best: str = "") -> str:
    """The rows that are furthest off; nothing where there are none."""
    if not mistakes:
        return ""
    lines = [
        [
            str(row["line"]),
            "<br>".join(escape(text) for text in (row["text"], row["pair"]) if text),
            f"{row['score']:.4g}",
            f"{row['predicted']:.4g}",
            f"{row['predicted'] - row['score']:+.4g}",
        ]
        for row in mistakes
    ]
    heads = ["line", "text", "true", "predicted", "off by"]
    made = table(heads, lines, numbers=(0, 2, 3, 4), name="mistakes")
    remark = f"<p class=quiet>The dev rows it is furthest off{of_best}.</p>"
    return f"<section><h2>What it gets most wrong</h2>{remark}{made}</section>"


def points(told: Told) -> str:
    """Predicted against true numbers, and what is left of them."""
    return points_section(told.result.get("points"), told.of_best)


def furthest(told: Told) -> str:
    """The numbers that the model is furthest off."""
    return furthest_section(told.result["mistakes"], told.of_best)
