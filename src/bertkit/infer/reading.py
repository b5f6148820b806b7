"""How texts, and the files that they stand in, are read: as in training, or as somebody asks for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bertkit.checkpoint.card import CARD_FILE
from bertkit.checkpoint.folder import ModelFolder
from bertkit.config.reading import Reading, check_positions, check_reading
from bertkit.recipe import OF_FILES, OF_ROWS, TaskRecipe, from_table


def as_trained(asked: TaskRecipe, card: Mapping[str, Any]) -> TaskRecipe:
    """What is asked for, and where it says nothing of how files are read, what training said.

    Args:
        asked: the task.
        card: what training noted about the model; its rows may be those of a named task, whose files are
            unlike those of others.

    Raises:
        UserError: the recipe on the card cannot be read.
    """
    said = tomllib.loads(card.get("recipe") or "").get("task")
    if not isinstance(said, dict):
        return asked
    usual = TaskRecipe()
    keys = OF_ROWS if said.get("name") or asked.name else OF_FILES
    missing = {key for key in keys if getattr(asked, key) == getattr(usual, key)}
    known = from_table(TaskRecipe, {key: said[key] for key in missing if key in said}, "task.")
    return replace(asked, **{key: getattr(known, key) for key in missing})


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
