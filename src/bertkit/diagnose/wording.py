"""How numbers and metrics are said, on the terminal and on the page alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePath

from bertkit.checkpoint.locate import HUB_PREFIX, PACKAGE_PREFIX


def model_name(model: str) -> str:
    """What people call a model that a recipe begins with: without a prefix, and of a folder its own name.

    A package's or a run's folder `model` has the name of what it is in.
    """
    if model.startswith(HUB_PREFIX):
        return model.removeprefix(HUB_PREFIX)
    path = PurePath(model.removeprefix(PACKAGE_PREFIX))
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def capital(text: str) -> str:
    """`text` as the beginning of a sentence: its first letter is a capital, the others stay as they are."""
    return text[:1].upper() + text[1:]


LONGEST = 1e9
"""Beyond it a figure is told by its power of ten."""


def said(value: float, digits: int) -> str:
    """A figure with so many digits behind the point; in words where it is no number, or beyond them all."""
    if math.isnan(value):
        return "no number"
    if math.isinf(value):
        return "beyond all numbers"
    return f"{value:,.{digits}f}" if abs(value) < LONGEST else f"{value:.0e}"


def with_interval(value: float | None, interval: Sequence[float] | None = None, form: str = ".3f") -> str:
    """A figure, and its interval if it has one; nothing without a figure."""
    if value is None:
        return ""
    between = "" if interval is None else f" [{', '.join(format(end, form) for end in interval)}]"
    return f"{value:{form}}{between}"


def perplexity(loss: float) -> float:
    """Exp of a loss in nats; infinite where a float can't hold it."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def duration(seconds: float) -> str:
    """Seconds as people say them: 48 s, 12 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
