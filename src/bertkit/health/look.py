"""A look into a model in training: each layer's gradient and update, and what it makes of a few inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bertkit.data.packed import PackedBatch
from bertkit.model.compute import FLOAT32, Compute
from bertkit.model.encoder import Block, Encoder
from bertkit.model.heads import Classifier
from bertkit.model.losses import LAST_LAYERS
from bertkit.model.pretraining import Pretrainer, PretrainingBatch

EMBEDDINGS, POOLER, HEAD = "embeddings", "pooler", "head"
ROWS = 16
"""Inputs that are looked at: enough to see whether all are alike."""
TOKENS = 2_048
"""Of all these inputs together, about."""
OFF_BELOW = {"relu": 0.0, "gelu": -3.0, "gelu_tanh": -3.0}
"""Activation's input under which its output and its slope are next to nothing: at -3 gelu is -0.004."""
SATURATED = 0.99
"""Of tanh: there its slope is 0.02."""
SAMPLE = 65_536
"""Weights of a tensor, evenly spread, whose updates stand for those of all of it."""
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
        "layer 1" to "layer L". Behind the embeddings all are alike by construction: the same token stands at
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


@dataclass
class Looked:
    """What is seen of inputs; the names are those of `runs.history.Health`."""

    cls_spread: float = 0.0
    probability_spread: float | None = None
    majority_share: float | None = None
    attention_entropy: dict[str, float] = field(default_factory=dict)
    dead_units: dict[str, float] = field(default_factory=dict)


def rows_to_look_at(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows evenly spread over sequences of so many tokens, the same ones always."""
    wanted = int(min(ROWS, max(2, TOKENS // max(1, int(lengths.mean()))), len(lengths)))
    return np.linspace(0, len(lengths) - 1, wanted).astype(np.int64)


def look_at(model: Classifier | Pretrainer, batch: Any, *, compute: Compute = FLOAT32) -> Looked:
    """Run `batch` through the model, in evaluation mode and without gradients.

    The model's mode is as before afterwards, and no random number is drawn.

    Args:
        model: in training.
        batch: a `PackedBatch` for a classifier, a `PretrainingBatch` for a pretrainer: two sequences or more.
        compute: where and in which number format.
    """
    looked = Looked()
    with evaluating(model), torch.inference_mode(), _units_noted(model, looked), compute.autocast():
        if isinstance(model, Pretrainer):
            assert isinstance(batch, PretrainingBatch)
            probabilities: torch.Tensor | None = model(batch)[0].float().softmax(-1)
            inputs = batch.inputs
        else:
            outputs = model.outputs(model(batch), batch)
            classes = LAST_LAYERS[model.head.config.kind].classes
            probabilities = outputs.exp() if classes else None
            inputs = batch
        # Once more, for now the last layer too is computed at all tokens, whatever the head asks for.
        hidden_TH, attentions = model.encoder(inputs, return_attention=True)
    looked.cls_spread = spread(hidden_TH.index_select(0, inputs.starts_B))
    for number, weights in enumerate(attentions, start=1):
        looked.attention_entropy[f"layer {number}"] = entropy_share(weights)
    if probabilities is None:  # No row has one of several classes.
        return looked
    mean = probabilities.mean(0)
    answers = probabilities.argmax(-1)
    looked.probability_spread = float((probabilities - mean).abs().sum(-1).mean() / 2)
    looked.majority_share = float((answers == answers.mode().values).float().mean())
    return looked


@contextmanager
def _units_noted(model: Classifier | Pretrainer, looked: Looked) -> Iterator[None]:
    """Note the share of dead units of all that is computed in this context; the last word counts."""
    encoder = encoder_of(model)
    size = encoder.config.feedforward_size
    off = OFF_BELOW.get(encoder.config.activation)

    def note(layer: str, below: float) -> Any:
        def hook(module: nn.Module, args: Any, output_TF: torch.Tensor) -> None:
            # Of a gated layer, which is twice as wide, the first half goes through the activation.
            highest_F = output_TF[:, :size].amax(0)
            looked.dead_units[layer] = float((highest_F <= below).float().mean())

        return hook

    def note_pooler(module: nn.Module, args: Any, output_BH: torch.Tensor) -> None:
        looked.dead_units[POOLER] = float((output_BH.tanh().abs().amin(0) > SATURATED).float().mean())

    hooks = []
    if off is not None:
        for number, block in enumerate(encoder.blocks, start=1):
            assert isinstance(block, Block)
            hooks.append(block.intermediate.register_forward_hook(note(f"layer {number}", off)))
    if encoder.pooler is not None:
        hooks.append(encoder.pooler.register_forward_hook(note_pooler))
    hidden = getattr(getattr(model, HEAD, None), "hidden", None)
    if isinstance(hidden, nn.Linear):
        hooks.append(hidden.register_forward_hook(note(HEAD, 0.0)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def entropy_share(probabilities: list[torch.Tensor]) -> float:
    """Entropy of attention as a share of the most there can be, over all that ask.

    Args:
        probabilities: of each sequence, [A, Q, S]: each row sums to 1.
    """
    flat = torch.cat([each.flatten() for each in probabilities]).float()
    most = sum(each.shape[0] * each.shape[1] * np.log(each.shape[2]) for each in probabilities)
    return float(-torch.special.xlogy(flat, flat).sum() / most) if most else 1.0


class Weights:
    """A sample of a model's weights before an update, for the length of the update beside theirs."""

    def __init__(self, model: nn.Module) -> None:
        self._layers = parameters_by_layer(model)
        self._before = {layer: self._sample(layer) for layer in self._layers}

    def update_ratios(self) -> dict[str, float]:
        """By layer: length of what was added since over that of the weights before; 0 where these are 0."""
        ratios = {}
        for layer, before in self._before.items():
            moved = nn.utils.get_total_norm(
                [now - then for now, then in zip(self._sample(layer), before, strict=True)]
            )
            length = nn.utils.get_total_norm(before)
            ratios[layer] = float(moved / length) if length else 0.0
        return ratios

    def _sample(self, layer: str) -> list[torch.Tensor]:
        found = []
        for parameter in self._layers[layer]:
            flat = parameter.detach().flatten()
            found.append(flat[:: -(-flat.numel() // SAMPLE)].clone())
        return found
