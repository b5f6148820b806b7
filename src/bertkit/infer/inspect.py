"""What is in a model folder."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from bertkit.checkpoint.folder import ORIGIN_KEY, ModelFolder, Weights, read_available
from bertkit.checkpoint.locate import find_model, name_format
from bertkit.config.model import preset
from bertkit.model.encoder import Encoder

# Of the card: where the model came from. Labels and configuration are told from the model itself.
ORIGIN = (
    *("task", "kind", "metric", "positive", "score", "interval", "max_length", "pad_to", "window", "stride"),
    *("temperature", "recipe", "hub"),
)


def inspect(model: str) -> dict[str, Any]:
    """Say what `model` is, as JSON values.

    Args:
        model: a preset, a model folder, a run or `pkg:PACKAGE/FOLDER`.

    Returns:
        `model`, `folder`, `format` ("hf", "google" or "zip"), `config` (the encoder's options), `parameters`
        (by part, and `total`), `head`, `labels`, `pretraining` (which of its heads are there: "masked",
        "pair"), `vocabulary` (`size`, `fingerprint`, `lowercase`, `strip_accents`, `split_cjk`, and `added`:
        the tokens that are cut out of a text before all others), `origin` (what training noted), `converted`
        (what it was converted from), `new` (parts without weights, to be trained), `unused` (tensors no part
        needs), `ignored` (tensors of a training: moments, counts), `stored` (number formats of the weights on
        disk), `assumed` (what the folder does not say), `sentence` (how a folder of sentence-transformers
        pools), `missing` (a sentence on weights or a vocabulary that are not there), and `files` (name:
        bytes). What a model does not have is None or empty; a preset has only sizes.

    Raises:
        UserError: there is no such model, or its folder is damaged.
    """
    path = find_model(model)
    if path is not None:
        folder, missing = read_available(path)
        return _report(model, folder.encoder, folder) | {"missing": missing}
    with torch.device("meta"):
        return _report(model, Encoder(preset(model)), None)


def _report(model: str, encoder: Encoder, folder: Weights | None) -> dict[str, Any]:
    head = None if folder is None else folder.head
    found = {} if folder is None else {"masked": folder.masked, "pair": folder.pair}
    heads = {name: module for name, module in found.items() if module is not None}
    parts = {
        "embeddings": _count(encoder.embeddings),
        "layers": _count(encoder.blocks) + _count(encoder.norm),
        "pooler": 0 if folder is not None and "pooler" in folder.new else _count(encoder.pooler),
        "head": _count(head),
        **{name: _count(module) for name, module in heads.items()},
    }
    settings = None if head is None else asdict(head.config)
    labels = None if settings is None else list(settings.pop("labels"))
    lists = ("new", "unused", "ignored", "stored", "assumed")
    report = {
        "model": model,
        **dict.fromkeys(("folder", "format")),
        "config": asdict(encoder.config),
        "parameters": {**parts, "total": sum(parts.values())},
        "head": settings,
        "labels": labels,
        "pretraining": list(heads),
        "vocabulary": None,
        "origin": {},
        "converted": None,
        **{name: [] for name in lists},
        "sentence": None,
        "missing": [],
        "files": {},
    }
    if folder is None:
        return report
    cutting = ("size", "fingerprint", "lowercase", "strip_accents", "split_cjk")
    whole = folder if isinstance(folder, ModelFolder) else None
    files = sorted(folder.path.iterdir()) if folder.path.is_dir() else [folder.path]
    return report | {
        "folder": str(folder.path),
        "format": name_format(folder.path),
        "vocabulary": None
        if whole is None
        else {name: getattr(whole.tokenizer, name) for name in cutting}
        | {"added": [token.content for token in whole.tokenizer.added]},
        "origin": {key: folder.card[key] for key in ORIGIN if key in folder.card},
        "converted": folder.card.get(ORIGIN_KEY),
        **{name: list(getattr(folder, name)) for name in lists},
        "sentence": None if whole is None or whole.pooling is None else asdict(whole.pooling),
        "files": {path.name: path.stat().st_size for path in files if path.is_file()},
    }


def _count(module: nn.Module | None) -> int:
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())
