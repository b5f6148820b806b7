"""Figures on GLUE that others published: the rows of `glue.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from bertkit.recipe import from_table


@dataclass(frozen=True, kw_only=True)
class Published:
    """What one source says of one encoder.

    Attributes:
        name: of the encoder.
        split: the rows that it was scored on.
        source: where it says so.
        always: whether every table has it.
        models: names of the encoder on the hub, in lower case and without an owner.
        scores: in percent, by task and metric.
    """

    name: str
    split: Literal["dev", "test"]
    source: str
    always: bool = False
    models: tuple[str, ...] = ()
    scores: Mapping[str, Mapping[str, float]]

    @property
    def title(self) -> str:
        """What a table calls it."""
        return f"{self.name} ({self.split})"


@cache
def published() -> tuple[Published, ...]:
    """All of them, in the order of the file."""
    table = tomllib.loads(Path(__file__).with_name("glue.toml").read_text(encoding="utf-8"))
    return tuple(from_table(Published, row, "published.") for row in table["published"])


def beside(model: str) -> list[Published]:
    """What is laid beside a model: those of its own encoder first, then BERT's; dev before test."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    rows = [row for row in published() if row.always or name in row.models]
    return sorted(rows, key=lambda row: (row.split, name not in row.models))
