"""How a model folder's texts are read: as it was trained to, or as somebody asks for."""

from __future__ import annotations

from dataclasses import replace

from bertkit.checkpoint.card import CARD_FILE
from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.reading import Reading, check_positions, check_reading


def reading_of(folder: ModelFolder, *, window: int | None, stride: int | None) -> Reading:
    """What `bertkit.json` says, changed by what is asked for.

    Where it says nothing, texts may be as long as a folder of sentence-transformers says, or as the model has
    positions.

    Args:
        folder: the model.
        window: tokens of a window; 0: cut instead; None: as the folder says.
        stride: between windows; 0: three quarters of one; None: as the folder says, or 0 with another window.

    Raises:
        UserError: what is asked for, or what the folder says, cannot be.
    """
    card = folder.card
    said = {name: card.get(name, 0) for name in ("pad_to", "window", "stride")}
    longest = folder.encoder_config.max_positions
    if folder.pooling is not None and folder.pooling.max_length is not None:
        longest = min(longest, folder.pooling.max_length)
    said["max_length"] = card.get("max_length", longest)
    check_reading(str(folder.path / CARD_FILE), **said)
    reading = Reading(**said)
    if window is not None and window != reading.window:
        reading = replace(reading, window=window, stride=0)
    if stride is not None:
        reading = replace(reading, stride=stride)
    check_positions(reading, folder.encoder_config)
    return reading
