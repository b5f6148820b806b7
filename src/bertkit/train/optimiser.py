"""The optimiser and its learning-rate schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from bertkit.errors import UserError
from bertkit.recipe import OptimiserRecipe


def build_optimiser(model: nn.Module, recipe: OptimiserRecipe) -> torch.optim.Optimizer:
    """AdamW with bias correction (Loshchilov and Hutter 2019), Adam, or LAMB (You et al. 2020).

    Weight decay spares biases and norms, which are the parameters of one dimension, as in BERT's
    `optimization.py`. LAMB is that of the package pytorch_optimizer, as in version 3 of its paper: the decay
    is part of the update that the trust ratio scales, and there is no bias correction. A fused projection is
    one tensor to it.

    Raises:
        UserError: LAMB is asked for and its package is not installed.
    """
    matrices = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    vectors = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    betas = (recipe.beta1, recipe.beta2)
    if recipe.name == "lamb":
        # Despite its name, adam_debias=True leaves the correction of the first moment's bias out: so nothing
        # but the moments has to be remembered.
        lamb: torch.optim.Optimizer = _lamb()(
            groups, lr=recipe.lr, betas=betas, eps=recipe.eps, weight_decouple=False, adam_debias=True
        )
        return lamb
    kind = torch.optim.AdamW if recipe.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=recipe.lr, betas=betas, eps=recipe.eps, fused=True)


def _lamb() -> Any:
    try:
        from pytorch_optimizer import Lamb
    except ImportError:
        raise UserError(
            "optimiser 'lamb' needs the package pytorch_optimizer: pip install 'bertkit[lamb]'."
        ) from None
    return Lamb


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
