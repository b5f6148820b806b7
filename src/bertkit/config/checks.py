"""What an option may be, and the sentence that says so."""

from __future__ import annotations

from typing import Any, get_args

from bertkit.errors import UserError, nearest, quoted


def check_choice(owner: str, field: str, value: object, kind: Any) -> None:
    """Raise `UserError` unless `value` is one of the strings of the Literal type `kind`."""
    if value not in get_args(kind):
        raise UserError(
            f"{owner}: {field} cannot be {quoted(value)}.{nearest(str(value), list(get_args(kind)))}"
        )


def check_at_least(owner: str, field: str, value: float, least: float) -> None:
    """Raise `UserError` unless `value` is a number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        raise UserError(f"{owner}: {field} must be a number of at least {least:g}, not {quoted(value)}.")
