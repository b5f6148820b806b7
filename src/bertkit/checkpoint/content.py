"""Between the formats and the model: what a checkpoint holds, and the parts of a model that are given it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertkit.checkpoint.names import Naming, Tensors, from_disk, has_any, own_naming
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead
from bertkit.model.layers import initialise
from bertkit.model.pretraining import MaskedHead, PairHead


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
    load: Callable[[], Tensors]
    ignored: tuple[str, ...] = ()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` for people to read as well."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


POSITIONS = "encoder.embeddings.positions.weight"
POOLER = ("encoder.pooler.weight", "encoder.pooler.bias")
Parts = dict[str, nn.Module]
"""The modules of a model by the first part of their tensors' names: encoder, head, masked, pair."""


def lay_out(model: ModelConfig, head: HeadConfig | None, names: Collection[str], naming: Naming) -> Parts:
    """The modules on the meta device; which heads of pretraining there are, the `names` on disk tell.

    One tensor of a head is enough to have all of it laid out, so that those that are missing are missed.
    With a `head`, heads of pretraining are none of the model's.
    """
    with torch.device("meta"):
        parts: Parts = {"encoder": Encoder(model)}
        if head is not None:
            return parts | {"head": ClassificationHead(head, model)}
        heads: Parts = {"masked": MaskedHead(model)} | ({"pair": PairHead(model)} if model.pooler else {})
    return parts | {
        name: module for name, module in heads.items() if has_any(names, state_of({name: module}), naming)
    }


def untrained(parts: Parts) -> tuple[str, ...]:
    """Names of tensors of the encoder that no head here has trained; transformers' classes have none either.

    A bare encoder has its pooler, for whoever comes next; so does one whose head pools otherwise.
    """
    return POOLER if _pooling(parts) == "none" or ("masked" in parts and "pair" not in parts) else ()


def _pooling(parts: Parts) -> str | None:
    head = parts.get("head")
    return head.config.pooling if isinstance(head, ClassificationHead) else None


def state_of(parts: Parts) -> Tensors:
    """All tensors of the parts by our names."""
    return {
        f"{prefix}.{name}": tensor
        for prefix, module in parts.items()
        for name, tensor in module.state_dict().items()
    }


def fill(content: Content, parts: Parts, tensors: Tensors, naming: Naming) -> tuple[str, ...]:
    """Give the parts, which are on the meta device, their weights out of `tensors`, and take them there.

    Returns:
        The modules that `tensors` has nothing for: the pooler, which only heads on `[CLS]` need, at most.

    Raises:
        UserError: a tensor is missing, or of another shape or type, or holds what is no number.
    """
    file, expected = content.weights_file, state_of(parts)
    encoder = parts["encoder"]
    assert isinstance(encoder, Encoder)
    fixed = encoder.embeddings.fixed_positions
    if fixed is not None and naming is not own_naming:
        expected[POSITIONS] = fixed
    new: tuple[str, ...] = ()
    needed = "pair" in parts or _pooling(parts) == "pooler"
    if not needed and encoder.pooler is not None and naming(POOLER[0])[0] not in tensors:
        new = ("pooler",)
        expected = {name: tensor for name, tensor in expected.items() if name not in POOLER}
    try:
        state = from_disk(tensors, expected, naming)
    except ValueError as error:
        raise UserError(f"{file}: {error}, as {content.config_file.name} describes the model.") from None
    for name, tensor in state.items():
        if not tensor.sum().isfinite():  # One pass, and none of the numbers can hide in a sum.
            raise UserError(f"{file} is damaged: {name} holds a number that is not finite.")
    if POSITIONS in state and fixed is not None and not torch.equal(state.pop(POSITIONS), fixed):
        raise UserError(f"{file}: the positions are not the sinusoids that bertkit.json says they are.")
    if new and encoder.pooler is not None:  # Only now, when the weights have shown that its size is no lie.
        encoder.pooler.to_empty(device="cpu")
        initialise(encoder.pooler, encoder.config)
    for prefix, module in parts.items():
        own = {n.removeprefix(f"{prefix}."): t for n, t in state.items() if n.startswith(f"{prefix}.")}
        module.load_state_dict(own, strict=False, assign=True)
        module.eval()
    return new
