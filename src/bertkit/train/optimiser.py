"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bertkit.recipe import OptimiserRecipe


def build_optimiser(model: nn.Module, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    """AdamW with bias correction (Loshchilov and Hutter 2019), or Adam; one fused kernel for all parameters.

    Weight decay spares biases and norms, which are the parameters of one dimension, as in BERT's
    `optimization.py`.
    """
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    kind = torch.optim.AdamW if recipe.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, betas=(recipe.beta1, recipe.beta2), eps=recipe.eps, fused=True)


def learning_rate(step: int, steps: int, recipe: OptimiserRecipe) -> float:
    """The rate of update `step` (from 0) of `steps`: linear warm-up, then constant or linear to zero."""
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (steps - step) / (steps - warmup)


def rates(steps: int, recipe: OptimiserRecipe) -> Callable[[int], float | None]:
    """The rate of each update, and None after the last of `steps`."""
    return lambda step: learning_rate(step, steps, recipe) if step < steps else None


def learning_rate_at(fraction: float, recipe: OptimiserRecipe) -> float:
    """The rate where a share `fraction` of a run is done, for runs whose steps are not counted beforehand."""
    if fraction < recipe.warmup:
        return recipe.lr * fraction / recipe.warmup
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 - fraction) / (1 - recipe.warmup)
