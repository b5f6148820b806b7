"""The format of a model folder, as transformers lays it out and its ancestors did, or sentence-transformers.

`config.json` and `model.safetensors` are what is written; `bert_config.json`, and the other files of weights
that `weights.py` lists, are read too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bertkit.checkpoint.content import Content, write_json
from bertkit.checkpoint.sentence import encoder_folder
from bertkit.checkpoint.tensors import save_tensors
from bertkit.checkpoint.weights import WEIGHTS_FILE, read_weights, weights_file
from bertkit.text.jsons import read_json

CONFIG_FILE = "config.json"
OLD_CONFIG_FILE = "bert_config.json"
"""Where Google's programs, and pytorch_pretrained_bert of 2018, have a model's sizes."""


def is_hf(folder: Path) -> bool:
    """Whether `folder` holds a model in this format."""
    place = encoder_folder(folder)
    old = (place / OLD_CONFIG_FILE).is_file() and weights_file(place).is_file()
    return old or (place / CONFIG_FILE).is_file()


def open_hf(folder: Path) -> Content:
    """What the folder holds.

    Raises:
        UserError: `config.json` is missing or damaged; on loading, likewise the weights.
    """
    place = encoder_folder(folder)
    names = (CONFIG_FILE, OLD_CONFIG_FILE)
    file = next((place / name for name in names if (place / name).is_file()), place / CONFIG_FILE)
    return Content(
        config=read_json(file),
        config_file=file,
        weights_file=weights_file(place),
        load=lambda: read_weights(place),
    )


def write_hf(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write the config and the weights into `folder`."""
    save_tensors(folder / WEIGHTS_FILE, dict(tensors), {"format": "pt"})
    write_json(folder / CONFIG_FILE, config)
