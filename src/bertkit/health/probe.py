"""A look into a model in training: what it makes of a few inputs, and how far an update moves its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from bertkit.health.layers import HEAD, POOLER, encoder_of, evaluating, parameters_by_layer, spread
from bertkit.model.encoder import Block
from bertkit.model.heads import Classifier
from bertkit.model.precision import Computing, autocast
from bertkit.model.pretraining import Pretrainer, PretrainingBatch

ROWS = 16
"""Inputs that are looked at: enough to see whether all are alike."""
PIECES = 2_048
"""Of all these inputs together, about."""
OFF_BELOW = {"relu": 0.0, "gelu": -3.0, "gelu_tanh": -3.0}
"""Activation's input under which its output and its slope are next to nothing: at -3 gelu is -0.004."""
SATURATED = 0.99
"""Of tanh: there its slope is 0.02."""
SAMPLE = 65_536
"""Weights of a tensor, evenly spread, whose updates stand for those of all of it."""


@dataclass
class Looked:
    """What is seen of inputs; the names are those of `health.watch.Health`."""

    cls_spread: float = 0.0
    probability_spread: float = 0.0
    majority_share: float = 0.0
    attention_entropy: dict[str, float] = field(default_factory=dict)
    dead_units: dict[str, float] = field(default_factory=dict)


def rows_to_look_at(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Rows evenly spread over sequences of so many pieces, the same ones always."""
    wanted = int(min(ROWS, max(2, PIECES // max(1, int(lengths.mean()))), len(lengths)))
    return np.linspace(0, len(lengths) - 1, wanted).astype(np.int64)


def look_at(model: Classifier | Pretrainer, batch: Any, *, precision: Computing = "fp32") -> Looked:
    """Run `batch` through the model, in evaluation mode and without gradients.

    The model's mode is as before afterwards, and no random number is drawn.

    Args:
        model: in training.
        batch: a `PackedBatch` for a classifier, a `PretrainingBatch` for a pretrainer: two sequences or more.
        precision: of the computing.
    """
    looked = Looked()
    with evaluating(model), torch.inference_mode(), _units_noted(model, looked), autocast(precision):
        if isinstance(model, Pretrainer):
            assert isinstance(batch, PretrainingBatch)
            probabilities = model(batch)[0].float().softmax(-1)
            inputs = batch.inputs
        else:
            probabilities = model.log_probabilities(model(batch)).exp()
            inputs = batch
        # Once more, for now the last layer too is computed at all pieces, whatever the head asks for.
        hidden_TH, attentions = model.encoder(inputs, return_attention=True)
    looked.cls_spread = spread(hidden_TH.index_select(0, inputs.starts_B))
    for number, weights in enumerate(attentions, start=1):
        looked.attention_entropy[f"layer {number}"] = entropy_share(weights)
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
