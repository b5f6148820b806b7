"""`bertkit.json`: what bertkit notes beside the weights of a model folder."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertkit.config.model import LARGEST_NUMBER
from bertkit.errors import UserError, quoted, shown
from bertkit.text.jsons import read_json
from bertkit.version import __version__

CARD_FILE = "bertkit.json"

CARD_FORMAT = 1
"""Version of what `bertkit.json` means; a reader refuses a later one than its own."""

NOTE_KEYS = ("format", "bertkit", "vocabulary", "model")
"""Keys of `bertkit.json` that the folder itself needs; the others are the card."""


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST_NUMBER


def _recipe(value: object) -> bool:
    try:
        model = tomllib.loads(value)["model"] if isinstance(value, str) else None
        return isinstance(model["start"], str) if isinstance(model, dict) else False
    except (ValueError, KeyError, RecursionError):
        return False


KNOWN: dict[tuple[str, ...], tuple[str, Callable[[Any], bool]]] = {
    ("task", "kind", "metric", "positive"): ("a text", _text),
    ("pairs",): ("true or false", lambda value: isinstance(value, bool)),
    ("score",): ("a number", _number),
    ("temperature",): ("a number above 0", lambda value: _number(value) and value > 0),
    ("max_length", "pad_to", "window", "stride"): (
        "a whole number of at least 0",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    ),
    ("interval",): (
        "two numbers",
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_number, value)),
    ),
    ("rows",): (
        "an object with fingerprints by split",
        lambda value: isinstance(value, dict) and all(map(_text, value.values())),
    ),
    ("scale",): (
        "an object with the numbers 'mean' and 'deviation'",
        lambda value: (
            isinstance(value, dict)
            and value.keys() == {"mean", "deviation"}
            and all(map(_number, value.values()))
        ),
    ),
    ("recipe",): ("a recipe, as TOML with model.start", _recipe),
    ("converted",): (
        "an object with the texts 'from' and 'format'",
        lambda value: isinstance(value, dict) and all(_text(value.get(key)) for key in ("from", "format")),
    ),
}
"""The keys of a card that bertkit reads: what their values must be, in words, and whether one is."""


def read_note(folder: Path) -> dict[str, Any]:
    """All that `bertkit.json` says; a folder of another program has none.

    Raises:
        UserError: it is damaged, or of a format of the future, or what bertkit reads of it is wrong.
    """
    file = folder / CARD_FILE
    note = read_json(file) if file.exists() else {"format": CARD_FORMAT}
    if note.get("format") != CARD_FORMAT:
        raise UserError(
            f"{file} is of format {quoted(note.get('format'))} and this bertkit, {__version__}, reads format "
            f"{CARD_FORMAT}: install bertkit {shown(note.get('bertkit', 'as new as the folder'))}."
        )
    if not isinstance(note.get("model", {}), dict):
        raise UserError(f"{file}: 'model' must be an object with options.")
    for keys, (what, fits) in KNOWN.items():
        for key in keys:
            if note.get(key) is not None and not fits(note[key]):
                raise UserError(
                    f"{file}: the {key} must be {what}, not {quoted(note[key])}; mend it, or remove it."
                )
    return note
