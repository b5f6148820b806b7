"""What a page says of tags: each type of entity alone, or each tag, what is taken for what, and mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from bertkit.diagnose.classes import by_class_section, confusions_section
from bertkit.diagnose.page import table
from bertkit.diagnose.sections import Told

AROUND = 12
"""Words that are shown on either side of a wrong one; of others there is a sign."""


def by_type(told: Told) -> str:
    """Each type of entity alone, or each tag."""
    heading = "By type" if told.result.get("scheme") else "By tag"
    return by_class_section(told.result.get("by_class", ()), told.of_best, heading=heading)


def confused(told: Told) -> str:
    """The pairs of types, or tags, most often confused."""
    return confusions_section(told.result.get("confusions", ()), told.of_best)


def tag_mistakes(told: Told) -> str:
    """The sentences with words that the model is surest about, and wrong."""
    found: Sequence[Mapping[str, Any]] = told.result["mistakes"]
    if not found:
        return ""
    lines = [[str(row["line"]), sentence(row), f"{row['probability']:.1%}"] for row in found]
    made = table(["line", "sentence", "probability"], lines, numbers=(0, 2), name="mistakes")
    remark = (
        "<p class=quiet>The sentences of dev with the words that it is surest about and wrong"
        f"{told.of_best}; behind such a word its true tag and the predicted one.</p>"
    )
    return f"<section><h2>Wrongly tagged</h2>{remark}{made}</section>"


def sentence(row: Mapping[str, Any]) -> str:
    """The words around those that are wrong, which are marked; as HTML."""
    tags = zip(row["tags"], row["predicted_tags"], strict=True)
    wrong = [place for place, (true, predicted) in enumerate(tags) if true != predicted]
    parts, hidden = [], False
    for place, word in enumerate(row["words"]):
        if min(abs(place - each) for each in wrong) > AROUND:
            parts += [] if hidden else ["…"]
            hidden = True
            continue
        hidden = False
        if place not in wrong:
            parts.append(escape(word))
            continue
        true, predicted = escape(row["tags"][place]), escape(row["predicted_tags"][place])
        parts.append(
            f"<mark class=wrong style='--push:60%'>{escape(word)}</mark> <small>{true} → {predicted}</small>"
        )
    return " ".join(parts)
