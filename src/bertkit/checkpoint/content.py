"""What any checkpoint holds, in the words of transformers' BERT: between the formats and the model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bertkit.errors import UserError

LONGEST_JSON = 1 << 26
"""Bytes. Of a model with 100,000 labels, `config.json` has about a tenth of it."""


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


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        UserError: there is no such file, or it is no JSON object.
    """
    try:
        if path.stat().st_size > LONGEST_JSON:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes: it is not what its name says.")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if r"\ud" in text.lower():  # Half of a pair of these is no text, and cannot be written.
            json.dumps(content, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no model folder: it has no {path.name}.") from None
    except NotADirectoryError:
        raise UserError(f"{path.parent} is a file; a model is a folder with {path.name}.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}): copy it again from its source.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: copy it again from its source.")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` for people to read as well."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
