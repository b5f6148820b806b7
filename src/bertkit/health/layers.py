"""A model's layers by name, and what is measured of each: its gradient, and how far inputs differ there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from bertkit.data.packed import PackedBatch
from bertkit.model.encoder import Encoder

EMBEDDINGS, POOLER, HEAD = "embeddings", "pooler", "head"

_BLOCK = re.compile(r"encoder\.blocks\.(\d+)\.")


def layer_of(name: str, layers: int) -> str:
    """The layer that a parameter belongs to: "embeddings", "layer 1" to "layer L", "pooler" or "head".

    Args:
        name: as `named_parameters` of a classifier or a pretrainer has it.
        layers: L. The norm behind the last layer of a pre-norm encoder counts as that layer's.
    """
    if found := _BLOCK.match(name):
        return f"layer {int(found[1]) + 1}"
    for beginning, layer in (
        ("encoder.embeddings.", EMBEDDINGS),
        ("encoder.norm.", f"layer {layers}"),
        ("encoder.pooler.", POOLER),
    ):
        if name.startswith(beginning):
            return layer
    return HEAD


def parameters_by_layer(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trained parameters of each layer of a model with an `encoder`, from the bottom to the top.

    A tied table is one parameter and belongs to the embeddings. Layers without trained parameters are left
    out.
    """
    encoder = encoder_of(model)
    names = [EMBEDDINGS, *(f"layer {i + 1}" for i in range(len(encoder.blocks))), POOLER, HEAD]
    found: dict[str, list[nn.Parameter]] = {name: [] for name in names}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[layer_of(name, len(encoder.blocks))].append(parameter)
    return {name: parameters for name, parameters in found.items() if parameters}


def gradient_norms(model: nn.Module) -> dict[str, float]:
    """Norm of the gradient of each layer's parameters together, from the bottom to the top.

    To be asked between the backward pass and the update. A parameter without a gradient counts as 0.
    """
    norms = {}
    for layer, parameters in parameters_by_layer(model).items():
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norms[layer] = nn.utils.get_total_norm(gradients).item() if gradients else 0.0
    return norms


def cls_spread_by_layer(model: nn.Module, batch: PackedBatch) -> dict[str, float]:
    """How far the `[CLS]` vectors of different inputs differ behind each layer: see `spread`.

    Computed in evaluation mode and without gradients; the model's mode is as before afterwards, and no random
    number is drawn.

    Args:
        model: has an `encoder`.
        batch: at least two sequences of different texts.

    Returns:
        "layer 1" to "layer L". Behind the embeddings all are alike by construction: the same piece stands at
        the same position.
    """
    encoder = encoder_of(model)
    # Not inference mode: what a batch computes once and keeps is used by training, too.
    with evaluating(model), torch.no_grad():
        found: list[float] = []

        def note(module: nn.Module, given: object, hidden_TH: torch.Tensor) -> None:
            found.append(spread(hidden_TH.index_select(0, batch.starts_B)))

        hooks = [block.register_forward_hook(note) for block in encoder.blocks]
        try:
            encoder(batch)
        finally:
            for hook in hooks:
                hook.remove()
    return {f"layer {i + 1}": value for i, value in enumerate(found)}


def spread(vectors_BH: torch.Tensor) -> float:
    """Root mean square of the vectors' distances from their mean, over that of their lengths: 0 to 1.

    0: all are the same, so nothing above can tell the inputs apart.
    """
    vectors_BH = vectors_BH.float()
    apart = (vectors_BH - vectors_BH.mean(0)).square().sum()
    return float((apart / vectors_BH.square().sum().clamp_min(torch.finfo(torch.float32).tiny)).sqrt())


def encoder_of(model: nn.Module) -> Encoder:
    """The encoder of a classifier or a pretrainer."""
    encoder = model.encoder
    assert isinstance(encoder, Encoder)
    return encoder


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; the mode that was, afterwards."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
