"""`bertkit.json`: what bertkit notes beside the weights of a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertkit import __version__
from bertkit.checkpoint.content import read_json
from bertkit.errors import UserError

CARD_FILE = "bertkit.json"

FORMAT = 1
"""Version of what `bertkit.json` means; a reader refuses a later one than its own."""

NOTE_KEYS = ("format", "bertkit", "vocabulary", "model")
"""Keys of `bertkit.json` that the folder itself needs; the others are the card."""


def read_note(folder: Path) -> dict[str, Any]:
    """All that `bertkit.json` says; a folder of another program has none.

    Raises:
        UserError: it is damaged, or of a format of the future.
    """
    file = folder / CARD_FILE
    note = read_json(file) if file.exists() else {"format": FORMAT}
    if note.get("format") != FORMAT:
        raise UserError(
            f"{file} is of format {note.get('format')!r} and this bertkit, {__version__}, reads format "
            f"{FORMAT}: install bertkit {note.get('bertkit', 'as new as the folder')}."
        )
    if not isinstance(note.get("model", {}), dict):
        raise UserError(f"{file}: 'model' must be an object with options.")
    return note


def card_of(note: Mapping[str, Any]) -> dict[str, Any]:
    """What the writer of a note said besides what the folder itself needs."""
    return {key: value for key, value in note.items() if key not in NOTE_KEYS}
