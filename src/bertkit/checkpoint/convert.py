"""A model in one format, written in another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bertkit.checkpoint.folder import ModelFolder, read_model_folder, write_model_folder
from bertkit.checkpoint.formats import HF, format_named, name_format
from bertkit.checkpoint.layouts import why_only_bertkit
from bertkit.checkpoint.locate import find_model
from bertkit.checkpoint.sentence import MODULES_FILE
from bertkit.errors import UserError

ORIGIN_KEY = "converted"
"""What `bertkit.json` calls the origin of a converted model."""


def convert(model: str, out: Path, *, to: str, overwrite: bool = False) -> dict[str, Any]:
    """Write `model` anew, every weight in float32 and bit for bit as it was.

    Args:
        model: anything that holds trained weights.
        out: the folder to make.
        to: "hf" for a folder that transformers opens, "google" for a TensorFlow checkpoint.
        overwrite: replace what is at `out`.

    Returns:
        `model`, `folder`, `format`, `labels`, `left_out` (of the source: tensors that are in no part of the
        model, of other heads or an optimiser's; "modules.json" of a folder of sentence-transformers, whose
        pooling neither format can say), and `files` (name: bytes).

    Raises:
        UserError: there is no such model, it is damaged, the format cannot say what it is, or `out` exists.
        OSError: `out` cannot be written; what was there is still there.
    """
    format = format_named(to)
    folder = _read_source(model, out)
    why = why_only_bertkit(folder.encoder_config, folder.head_config, pair=folder.pair is not None)
    if format is HF and why:
        raise UserError(f"{model}: {why}")
    origin = {"from": model, "format": name_format(folder.path)}
    write_model_folder(
        out,
        folder.encoder,
        folder.head,
        folder.tokenizer,
        {**folder.card, ORIGIN_KEY: origin},
        overwrite,
        masked=folder.masked,
        pair=folder.pair,
        new=folder.new,
        format=format,
    )
    return {
        "model": model,
        "folder": str(out),
        "format": format.name,
        "labels": None if folder.head_config is None else list(folder.head_config.labels),
        "left_out": sorted([*folder.unused, *folder.ignored, *([MODULES_FILE] if folder.pooling else [])]),
        "files": {file.name: file.stat().st_size for file in sorted(out.iterdir())},
    }


def _read_source(model: str, out: Path) -> ModelFolder:
    """The model to write anew, which `out` must not be part of: it would be replaced."""
    path = find_model(model)
    if path is None:
        raise UserError(f"{model} is a preset, a model without weights; there is nothing to convert.")
    if path.resolve().is_relative_to(out.resolve()):
        raise UserError(f"{out} is the model itself, or holds it; name another folder to write.")
    return read_model_folder(path)
