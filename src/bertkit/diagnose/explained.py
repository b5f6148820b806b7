"""The surest mistakes, their pieces coloured by where they pushed the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bertkit.diagnose.page import table

Mistake = Mapping[str, Any]

FAINT = 0.06
"""A push below this share of the sentence's strongest has no colour."""


def mistakes_section(mistakes: Sequence[Mistake], of_best: str = "") -> str:
    """The section; nothing where there are no mistakes.

    Args:
        mistakes: as `train.results.mistakes` and `train.explain.explain_mistakes` leave them.
        of_best: words that say of which seed they are.
    """
    if not mistakes:
        return ""
    lines = [
        [
            str(row["line"]),
            _texts(row),
            escape(row["label"]),
            escape(row["predicted"]),
            f"{row['probability']:.1%}",
        ]
        for row in mistakes
    ]
    heads = ["line", "text", "true", "predicted", "probability"]
    made = table(heads, lines, numbers=(0, 4), name="mistakes")
    remark = f"<p class=quiet>The dev rows it is surest about and wrong{of_best}.</p>"
    explained = [row["explanation"] for row in mistakes if "explanation" in row]
    return f"<section><h2>What it gets most wrong</h2>{remark}{_legend(explained)}{made}</section>"


def _legend(explained: Sequence[Mapping[str, Any]]) -> str:
    if not explained:
        return ""
    steps = max(each["steps"] for each in explained)
    gaps = [abs(each["gap"]) for each in explained]
    words = (
        "The stronger the colour, the stronger the push, within each sentence. Integrated gradients on the "
        f"pieces' embeddings, from [PAD] in every place, at up to {steps} points; the pushes of a sentence "
        f"add up to its difference of logits within {max(*gaps, 0.001):.3f}."
    )
    if incomplete := sum(not each["complete"] for each in explained):
        words += f" For {incomplete} of them that is too much to trust the colours."
    return (
        "<p class=legend><mark class=wrong style='--push:75%'>towards the prediction</mark> "
        "<mark class=right style='--push:75%'>towards the true label</mark> "
        f"<span class=quiet>{escape(words)}</span></p>"
    )


def _texts(row: Mistake) -> str:
    texts = [row["text"], *([row["pair"]] if row["pair"] else [])]
    pieces = row.get("explanation", {}).get("pieces", [])
    strongest = max((abs(piece["push"]) for piece in pieces), default=0.0)
    return "<br>".join(
        _coloured(text, [piece for piece in pieces if piece["text"] == number], strongest)
        for number, text in enumerate(texts)
    )


def _coloured(text: str, pieces: Sequence[Mapping[str, Any]], strongest: float) -> str:
    """`text`, escaped, with a mark around each piece that pushed; those that came to the model in order."""
    parts, place = [], 0
    for piece in pieces:
        share = abs(piece["push"]) / strongest if strongest else 0.0
        # A piece may share a character with the one before, where one sign became two.
        start = max(place, piece["from"])
        if share < FAINT or piece["to"] <= start:
            continue
        side = "wrong" if piece["push"] > 0 else "right"
        parts.append(escape(text[place:start]))
        parts.append(
            f"<mark class={side} style='--push:{100 * share:.0f}%' title='{piece['push']:+.2f}'>"
            f"{escape(text[start : piece['to']])}</mark>"
        )
        place = piece["to"]
    return "".join([*parts, escape(text[place:])])
