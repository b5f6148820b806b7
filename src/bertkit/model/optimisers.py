"""Optimisers: a table, and one object around what a row makes, be it one optimiser of torch's or two.

It stands beside the model, whose parameters the rows sort, and not with the training: checkpoints ask what is
to be saved, and the trials of the doctor train copies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from bertkit.errors import UserError
from bertkit.model.compute import native_bf16
from bertkit.model.encoder import Block, Encoder
from bertkit.recipe import OptimiserName, OptimiserRecipe

Parts = list[torch.optim.Optimizer]
AVERAGES = ("exp_avg", "exp_avg_sq")
"""Of the gradient and of its square: what Adam and its relatives remember of each weight."""


@dataclass(frozen=True)
class OptimiserRow:
    """An optimiser.

    Attributes:
        make: builds it for what is trained of a model. A parameter group with a "factor" learns at so many
            times the rate of a step.
        saved: the state of a parameter that a checkpoint holds; the rest is computed anew in each step.
        numbers: how many it keeps in memory for the parameters of a model.
    """

    make: Callable[[nn.Module, OptimiserRecipe], Parts]
    saved: tuple[str, ...]
    numbers: Callable[[nn.Module], int]


class Optimiser:
    """What a row made, as one: the state by parameter, and the parameter groups.

    Attributes:
        name: of the row.
        saved: see `OptimiserRow`.
        state: of each parameter, by name.
        param_groups: those of all parts.
    """

    def __init__(self, name: OptimiserName, saved: tuple[str, ...], parts: Parts) -> None:
        self.name = name
        self.saved = saved
        self.state: defaultdict[torch.Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups = [group for part in parts for group in part.param_groups]
        self._parts = parts
        for part in parts:
            part.state = self.state

    def set_rate(self, rate: float) -> None:
        """The learning rate of the next steps; each group's is in proportion to it."""
        for group in self.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)

    def step(self) -> None:
        """Update the parameters that have a gradient."""
        for part in self._parts:
            part.step()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none=True)


def build_optimiser(model: nn.Module, recipe: OptimiserRecipe) -> Optimiser:
    """The optimiser of a recipe for what is trained of a model.

    Raises:
        UserError: its package is not installed, or the model has nothing for it.
    """
    row = OPTIMISERS[recipe.name]
    return Optimiser(recipe.name, row.saved, row.make(model, recipe))


def _trained(model: nn.Module) -> list[nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _factors(model: nn.Module, recipe: OptimiserRecipe) -> dict[nn.Parameter, float]:
    """The share of the learning rate that each layer of the encoder has; what stands on top has all of it.

    It is `layer_decay` of the top layer, that to the power of two of the next, and so on down to the
    embeddings, as in BEiT (Bao et al. 2022).
    """
    encoder = next((module for module in model.modules() if isinstance(module, Encoder)), None)
    if encoder is None or recipe.layer_decay == 1:
        return {}
    layers: list[nn.Module] = [encoder.embeddings, *encoder.blocks]
    return {
        parameter: recipe.layer_decay ** (len(layers) - depth)
        for depth, layer in enumerate(layers)
        for parameter in layer.parameters()
    }


def _groups(
    model: nn.Module, recipe: OptimiserRecipe, parameters: Sequence[nn.Parameter] | None = None
) -> list[dict[str, Any]]:
    """What is trained of a model, or some parameters of it, by what is the same for them.

    Weight decay spares biases and norms, which have one dimension, as in BERT's `optimization.py`.
    """
    factors = _factors(model, recipe)
    found: dict[tuple[bool, float], list[nn.Parameter]] = {(True, 1.0): [], (False, 1.0): []}
    for parameter in _trained(model) if parameters is None else parameters:
        key = parameter.ndim > 1, factors.get(parameter, 1.0)
        found.setdefault(key, []).append(parameter)
    return [
        {"params": some, "weight_decay": recipe.weight_decay if decays else 0.0, "factor": factor}
        for (decays, factor), some in found.items()
    ]


def _common(recipe: OptimiserRecipe) -> dict[str, Any]:
    return {"lr": recipe.lr, "betas": (recipe.beta1, recipe.beta2), "eps": recipe.eps}


def _adamw(model: nn.Module, recipe: OptimiserRecipe) -> Parts:
    """With bias correction (Loshchilov and Hutter 2019)."""
    return [torch.optim.AdamW(_groups(model, recipe), **_common(recipe), fused=True)]


def _adam(model: nn.Module, recipe: OptimiserRecipe) -> Parts:
    return [torch.optim.Adam(_groups(model, recipe), **_common(recipe), fused=True)]


def _lamb(model: nn.Module, recipe: OptimiserRecipe) -> Parts:
    """You et al. 2020, in the package pytorch_optimizer, as in version 3 of its paper.

    The decay is part of the update that the trust ratio scales, and there is no bias correction. A fused
    projection is one tensor to it.
    """
    try:
        from pytorch_optimizer import Lamb
    except ImportError:
        raise UserError(
            "optimiser 'lamb' needs the package pytorch_optimizer: pip install 'bertkit[lamb]'."
        ) from None
    # Despite its name, adam_debias=True leaves the correction of the first moment's bias out: so nothing but
    # the moments has to be remembered.
    groups = _groups(model, recipe)
    return [Lamb(groups, **_common(recipe), weight_decouple=False, adam_debias=True)]


def _matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trained weight matrices of the encoder's layers."""
    blocks = [module for module in model.modules() if isinstance(module, Block)]
    return [p for block in blocks for p in _trained(block) if p.ndim == 2]


class _Float32Muon(torch.optim.Muon):
    """Muon for processors that only emulate bfloat16, in which torch's computes: many times as fast there."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update the matrices that have a gradient."""
        assert closure is None, "the gradients are there already"
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                average = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                update = _orthogonal(matrix.grad.lerp(average, group["momentum"]), group)
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                # As "match_rms_adamw" does.
                matrix.add_(update, alpha=-0.2 * math.sqrt(max(matrix.shape)) * group["lr"])


def _orthogonal(update: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
    """Newton's and Schulz' iteration, as torch's Muon has it: singular values of about one."""
    a, b, c = group["ns_coefficients"]
    wide = update.T if update.shape[0] > update.shape[1] else update
    wide = wide / wide.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if update.shape[0] > update.shape[1] else wide


def _muon(model: nn.Module, recipe: OptimiserRecipe) -> Parts:
    """Muon (Jordan 2024) for the matrices of the layers; AdamW for embeddings, heads and vectors.

    Its updates are scaled to the size of AdamW's (Liu et al. 2025, arXiv 2502.16982, section 2.2), so that
    the rate and the decay that suit AdamW suit it too: without a `matrix_lr` it has AdamW's. A fused
    projection of queries, keys and values is one matrix to it.
    """
    matrices = _matrices(model)
    if not matrices:
        raise UserError(
            "optimiser 'muon' is for the matrices of the encoder's layers, and here none is trained; "
            'use optimiser.name = "adamw".'
        )
    factor = recipe.matrix_lr / recipe.lr if recipe.matrix_lr else 1.0
    groups = [group for group in _groups(model, recipe, matrices) if group["params"]]
    layers = [{**group, "factor": factor * group["factor"]} for group in groups]
    inner = set(matrices)
    others = [p for p in _trained(model) if p not in inner]
    kind = torch.optim.Muon if native_bf16() else _Float32Muon
    return [
        kind(
            layers,
            lr=recipe.lr,
            weight_decay=recipe.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(_groups(model, recipe, others), **_common(recipe), fused=True),
    ]


def _two_averages(model: nn.Module) -> int:
    return 2 * sum(p.numel() for p in _trained(model))


def _one_of_matrices(model: nn.Module) -> int:
    return _two_averages(model) - sum(p.numel() for p in _matrices(model))


OPTIMISERS: dict[OptimiserName, OptimiserRow] = {
    "adamw": OptimiserRow(_adamw, ("step", *AVERAGES), _two_averages),
    "adam": OptimiserRow(_adam, ("step", *AVERAGES), _two_averages),
    "lamb": OptimiserRow(_lamb, AVERAGES, _two_averages),
    "muon": OptimiserRow(_muon, ("step", *AVERAGES, "momentum_buffer"), _one_of_matrices),
}
