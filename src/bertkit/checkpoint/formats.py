"""The formats of checkpoints: one table, through which everything is found, read and written.

A new format is a file here in `checkpoint/` and a row in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bertkit.checkpoint.content import Content
from bertkit.checkpoint.google import is_google, open_google, write_google
from bertkit.checkpoint.hf import is_hf, open_hf, write_hf
from bertkit.errors import UserError, nearest


@dataclass(frozen=True)
class Format:
    """A row: how a format is told from others, read and written.

    Attributes:
        name: what `--to` calls it.
        holds: whether a folder holds a checkpoint of the format, by the names of its files alone.
        open: what the folder holds, in the words of transformers' BERT.
        write: puts a config and the weights, in those words, into a folder.
    """

    name: str
    holds: Callable[[Path], bool]
    open: Callable[[Path], Content]
    write: Callable[[Path, Mapping[str, Any], Mapping[str, torch.Tensor]], None]


HF = Format("hf", is_hf, open_hf, write_hf)
GOOGLE = Format("google", is_google, open_google, write_google)

FORMATS: tuple[Format, ...] = (GOOGLE, HF)
"""The first that holds a folder reads it."""


def format_of(folder: Path) -> Format | None:
    """The format of the checkpoint in `folder`; None if there is none."""
    return next((row for row in FORMATS if row.holds(folder)), None)


def name_format(path: Path) -> str:
    """What to call the format of the model at `path`; an archive is not unpacked to look."""
    row = format_of(path)
    return path.suffix.removeprefix(".").lower() if row is None else row.name


def format_named(name: str) -> Format:
    """The format that `--to` calls `name`.

    Raises:
        UserError: there is none; all are named.
    """
    for row in FORMATS:
        if row.name == name:
            return row
    raise UserError(f"There is no format {name!r}.{nearest(name, [row.name for row in FORMATS])}")
