"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """A mistake in what the user gave: a full sentence that says what is wrong, where, and what to do.

    The command line prints it in one line and exits with 2. A mistake of bertkit's own is never a
    `UserError`.
    """


def nearest(name: str, known: list[str]) -> str:
    """End of a sentence about an unknown `name`: the likeliest of the `known` names, then all of them."""
    import difflib

    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{hint} Known: {', '.join(known)}."
