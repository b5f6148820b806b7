"""Fresh weights: one table of initialisers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bertkit.config.model import ModelConfig


@dataclass(frozen=True)
class Initialiser:
    """What fills kernels [out, in] and embedding tables, in place. Biases are 0 and norms 1, always."""

    kernel: Callable[[torch.Tensor, ModelConfig], object]
    table: Callable[[torch.Tensor, ModelConfig], object]


def _truncated_normal(weight: torch.Tensor, config: ModelConfig) -> None:
    # google-research/bert, modeling.py: TensorFlow redraws what falls beyond two standard deviations.
    std = config.initialiser_range
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


def _glorot(weight: torch.Tensor, config: ModelConfig) -> None:
    nn.init.xavier_uniform_(weight)


def _uniform(weight: torch.Tensor, config: ModelConfig) -> None:
    nn.init.uniform_(weight, -0.05, 0.05)


INITIALISERS: dict[str, Initialiser] = {
    "truncated_normal": Initialiser(kernel=_truncated_normal, table=_truncated_normal),
    "keras": Initialiser(kernel=_glorot, table=_uniform),
}


@torch.no_grad()
def initialise(module: nn.Module, config: ModelConfig) -> None:
    """Fill every parameter of `module` as `config.initialisation` says.

    A fused projection counts as the three kernels it holds. That is what Keras does too: its
    `EinsumDense` gives Glorot the fans of the product, H in and A * D = H out, for each of them.
    """
    if next(module.parameters()).is_meta:  # Nothing to fill, and PyTorch would take seconds to find out.
        return
    initialiser = INITIALISERS[config.initialisation]
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            fused = {"qkv": 3, "intermediate": 1 + config.gated}.get(name.rpartition(".")[2], 1)
            for kernel in part.weight.chunk(fused):
                initialiser.kernel(kernel, config)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Embedding):
            initialiser.table(part.weight, config)
