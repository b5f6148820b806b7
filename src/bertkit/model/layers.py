"""What every layer needs: dropout that does not wait for random numbers, and fresh weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bertkit.config.model import ModelConfig


class Dropout(nn.Module):
    """Zeroes each number with a probability and scales the others up; does nothing in evaluation mode.

    PyTorch's own draws a whole random number for each element, on a CPU in one thread: on two cores about
    a tenth of a training step. 16 bits are enough: four elements share one 64-bit draw. The probability is
    rounded to a multiple of 1/65536, and the scale is that of the rounded one.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.dropped = round(probability * 65_536)
        """How many of the 65,536 equally likely draws mean zero."""

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """`hidden` with some elements zero, of any shape."""
        if not self.training or self.dropped == 0:
            return hidden
        words = torch.empty((hidden.numel() + 3) // 4, dtype=torch.int64, device=hidden.device)
        draws = words.random_(-(2**63), None).view(torch.int16)[: hidden.numel()].view(hidden.shape)
        kept = draws >= self.dropped - 32_768
        return hidden * kept.to(hidden.dtype).mul_(65_536 / (65_536 - self.dropped))

    def extra_repr(self) -> str:
        """The probability, for `print(model)`."""
        return f"{self.dropped / 65_536:.4g}"


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
