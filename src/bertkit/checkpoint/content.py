"""What any checkpoint holds, in the words of transformers' BERT: between the formats and the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Content:
    """A checkpoint that is opened: what it says is read, its weights are not.

    Attributes:
        config: as `config.json` has it; `model_type` says whose names the tensors have.
        config_file: where `config` stands, for complaints.
        weights_file: where the tensors stand, likewise.
        load: reads the tensors, by their names in transformers.
        ignored: tensors that belong to a training and to no model: an optimiser's moments, a step count.
    """

    config: dict[str, Any]
    config_file: Path
    weights_file: Path
    load: Callable[[], dict[str, torch.Tensor]]
    ignored: tuple[str, ...] = ()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` for people to read as well."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
