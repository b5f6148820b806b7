"""The format of a model folder: `config.json` and `model.safetensors`, as transformers lays them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bertkit.checkpoint.content import Content, read_json, write_json
from bertkit.checkpoint.tensors import save_tensors
from bertkit.errors import UserError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def is_hf(folder: Path) -> bool:
    """Whether `folder` holds a model in this format."""
    return (folder / CONFIG_FILE).is_file()


def open_hf(folder: Path) -> Content:
    """What the folder holds.

    Raises:
        UserError: `config.json` is missing or damaged; on loading, likewise the weights.
    """
    file = folder / CONFIG_FILE
    return Content(
        config=read_json(file),
        config_file=file,
        weights_file=folder / WEIGHTS_FILE,
        load=lambda: _read_tensors(folder),
    )


def write_hf(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write the config and the weights into `folder`."""
    save_tensors(folder / WEIGHTS_FILE, dict(tensors), {"format": "pt"})
    write_json(folder / CONFIG_FILE, config)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    file = path / WEIGHTS_FILE
    if not file.is_file():
        if (path / "pytorch_model.bin").is_file():
            raise UserError(
                f"{path} holds its weights as pytorch_model.bin, a format that can run code when it is read; "
                f"save them as {WEIGHTS_FILE} with transformers' save_pretrained."
            )
        raise UserError(f"{path} has no {WEIGHTS_FILE}: copy it there from where the model was trained.")
    try:
        tensors: dict[str, torch.Tensor] = load_file(file)
    except SafetensorError as error:
        raise UserError(f"{file} is damaged or cut short ({error}): copy it again from its source.") from None
    return tensors
