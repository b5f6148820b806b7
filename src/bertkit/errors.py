"""The one exception that means: the user can mend this, and the sentences about what an option may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, get_args


class UserError(Exception):
    """A mistake in what the user gave: a full sentence that says what is wrong, where, and what to do.

    The command line prints it in one line and exits with 2. A mistake of bertkit's own is never a
    `UserError`.
    """

    def _render_traceback_(self) -> list[str]:
        """What IPython and notebooks show, instead of the way through bertkit: the sentence."""
        return [f"bertkit: {one_line(str(self))}"]


CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What would break a line, a column, or what a terminal shows: control characters, and marks of direction."""
LONGEST_VALUE, LONGEST_MESSAGE = 300, 1_000
"""Letters of one value, or word, and of all, in a message; what is longer loses its middle."""
_LONG_VALUE = re.compile(rf"(?<!\w)'[^']{{{LONGEST_VALUE},}}'|\S{{{LONGEST_VALUE},}}")


def printable(text: str) -> str:
    """A text of several lines without what `CONTROL` is, for tables and pictures."""
    return "\n".join(CONTROL.sub("?", line) for line in text.split("\n")) if CONTROL.search(text) else text


def one_line(message: str) -> str:
    """A message as a terminal bears it, whatever was quoted in it: see `CONTROL` and `LONGEST_VALUE`."""
    line = CONTROL.sub(lambda found: ascii(found[0])[1:-1], message)
    return _without_middle(
        _LONG_VALUE.sub(lambda found: _without_middle(found[0], LONGEST_VALUE), line), LONGEST_MESSAGE
    )


def _without_middle(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2]}...{text[3 - most // 2 :]}"


LONGEST_SHOWN = 80
"""Letters of a stranger's text, or value, that a sentence repeats."""


def shown(value: object) -> str:
    """What a stranger's file says, for a sentence or a terminal: one short line, no control characters.

    A text that is all printable stands as it is; anything else as Python would write it.
    """
    if isinstance(value, str):
        # Cut first: what is written with escapes is longer, up to ten letters for one.
        value = value[: LONGEST_SHOWN + 1]
    text = value if isinstance(value, str) and value.isprintable() and value.strip() else repr(value)
    text = "".join(letter if letter.isprintable() else "?" for letter in text[: LONGEST_SHOWN + 1])
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def quoted(value: object) -> str:
    """A value of a stranger's file as Python would write it, in one short line."""
    return shown(repr(value))


def listed(names: Iterable[str], most: int = 5) -> str:
    """Names in a sentence: the first few, and how many more there are."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(map(shown, known[:most])) + more


def check_pointer(path: Path) -> None:
    """Raise `UserError` if Git LFS has left a file that says where the one named `path` is."""
    start = b"version https://git-lfs.github.com/spec/"
    if path.is_file():
        with path.open("rb") as file:
            if file.read(len(start)) == start:
                raise UserError(
                    f"{path} is a Git LFS pointer, not the file: run `git lfs pull` in {path.parent}, or "
                    "download the file itself."
                )


def damaged(path: Path, reason: str = "") -> UserError:
    """The error of a file that came from elsewhere and is no longer what it was there.

    Args:
        path: the file.
        reason: what tells so, where that is known.
    """
    known = f" ({reason})" if reason else ""
    return UserError(f"{path} is damaged or cut short{known}: copy it again from its source.")


ROOM = 150
"""Letters that a sentence has for a list of names."""


def nearest(name: str, known: list[str], meant: Mapping[str, str] | None = None) -> str:
    """End of a sentence about an unknown `name`: the likeliest of the `known` names, then as many as fit.

    Args:
        name: what was typed; case, hyphens and underscores do not count.
        known: the names there are.
        meant: words for the same that are spelled otherwise, each with the known name.
    """
    import difflib

    words = {_folded(each): each for each in known} | {
        _folded(each): to for each, to in (meant or {}).items()
    }
    found = difflib.get_close_matches(_folded(name[:LONGEST_SHOWN]), words, n=1, cutoff=0.5)
    close = [words[each] for each in found]
    hint = f" Did you mean {quoted(close[0])}?" if close else ""
    lengths = accumulate(len(shown(each)) + 2 for each in known)
    return f"{hint} Known: {listed(known, max(1, sum(length <= ROOM for length in lengths)))}."


def _folded(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


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
