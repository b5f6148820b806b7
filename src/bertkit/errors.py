"""The one exception that means: the user can mend this."""

from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave: a full sentence that says what is wrong, where, and what to do.

    The command line prints it in one line and exits with 2. A mistake of bertkit's own is never a
    `UserError`.
    """


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in a sentence: the first few, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def nearest(name: str, known: list[str]) -> str:
    """End of a sentence about an unknown `name`: the likeliest of the `known` names, then all of them."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
