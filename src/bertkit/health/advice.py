"""How a finding is made, and what it proposes to change in a recipe: what checks have in common."""

from __future__ import annotations

import math
from typing import Any

from bertkit.config.model import PRESETS
from bertkit.health.watch import Setting
from bertkit.recipe import OWN_RATES, ModelRecipe, OptimiserRecipe, PretrainRecipe, Recipe, TrainingRecipe
from bertkit.runs.findings import Change, Finding, Sureness

PRETRAINED = Change(words="a pretrained model (--model)")
THAWED = Change("model.freeze", False)
FRESH_RATE = 5e-4
"""At which recipes/cola-scratch.toml leaves the plateau from fresh weights."""
TRAINED_RATE = 5e-5
"""The largest of the rates that Devlin et al. 2018 (appendix A.3) found to work for fine-tuning."""
WARMUP = 0.1
"""Share of a run, as in Devlin et al. 2018 and Mosbach et al. (arXiv 2006.04884)."""
POST_NORM_RATE = 1e-4
"""Devlin et al. 2018, appendix A.2: the paper's own rate, with warm-up, of fresh post-norm weights."""


def grave(sureness: Sureness, seen: str, means: str, *changes: Change, read: str = "") -> Finding:
    """A grave finding; the table of checks gives it its name, and says where to read more if it does not."""
    return Finding("", "grave", sureness, seen, means, changes, read)


def notable(sureness: Sureness, seen: str, means: str, *changes: Change, read: str = "") -> Finding:
    """A notable one; see `grave`."""
    return Finding("", "notable", sureness, seen, means, changes, read)


def option(recipe: ModelRecipe, name: str) -> Any:
    """A model option as a recipe of fresh weights has it: its own, or its preset's."""
    return recipe.options.get(name, getattr(PRESETS[recipe.start], name))


def steadier(optimiser: OptimiserRecipe, rate: float) -> tuple[Change, ...]:
    """What makes training steadier, as far as the recipe lacks it: a rate of at most `rate`, warm-up,
    clipping.
    """
    changes = []
    if optimiser.lr > rate:
        changes.append(Change("optimiser.lr", rate, together=True))
        if optimiser.matrix_lr:
            lower = float(f"{optimiser.matrix_lr * rate / optimiser.lr:.1g}")
            changes.append(Change("optimiser.matrix_lr", lower, together=True))
    if optimiser.warmup < WARMUP / 2:
        changes.append(Change("optimiser.warmup", WARMUP, together=True))
    if not optimiser.clip:
        changes.append(Change("optimiser.clip", 1.0, together=True))
    return tuple(changes)


def usual_rate(recipe: Recipe | PretrainRecipe) -> float:
    """A rate that is known to work for the kind of start that a fine-tuning recipe has."""
    return FRESH_RATE if recipe.model.fresh else TRAINED_RATE


def lower_rate(recipe: Recipe | PretrainRecipe) -> float:
    """A third of the recipe's rate, and no more than is known to work: of one that is far too high a third is
    too. Some optimisers have rates of another size.
    """
    third, name = recipe.optimiser.lr / 3, recipe.optimiser.name
    return float(f"{third if name in OWN_RATES else min(third, usual_rate(recipe)):.1g}")


def calmer(setting: Setting) -> tuple[Change, ...]:
    """What makes a run that trains steadier, all together: a lower rate, and warm-up and clipping where they
    lack.
    """
    rate = setting.optimiser.lr / 3
    if setting.phase == "finetune" and setting.optimiser.name not in OWN_RATES:
        # Of a rate that is far too high a third is too.
        rate = min(rate, TRAINED_RATE if setting.trained else FRESH_RATE)
    if setting.model.norm == "post" and not setting.trained:
        rate = min(rate, POST_NORM_RATE)
    return steadier(setting.optimiser, float(f"{rate:.0e}"))


def trainable(model: ModelRecipe) -> tuple[Change, ...]:
    """Options of fresh weights with which a small model leaves its plateau, as far as it has others.

    Those of recipes/cola-scratch.toml: norms before the parts (Xiong et al., arXiv 2002.04745), rotary
    positions, an initialisation in proportion to the width. Trained weights have no such options.
    """
    if not model.fresh:
        return ()
    wanted: dict[str, Any] = {
        "norm": "pre",
        "positions": "rotary",
        "embedding_norm": True,
        "initialisation": "truncated_normal",
    }
    proportion = 1 / math.sqrt(option(model, "hidden_size"))
    if option(model, "initialiser_range") < proportion / 2:
        wanted["initialiser_range"] = float(f"{proportion:.1g}")
    if option(model, "hidden_size") // option(model, "heads") % 2:
        del wanted["positions"]  # They turn channels in pairs.
    return tuple(
        Change(f"model.options.{name}", value, together=True)
        for name, value in wanted.items()
        if option(model, name) != value
    )


def longer(training: TrainingRecipe, times: int) -> tuple[Change, ...]:
    """So many times the updates of a fine-tuning, also where its recipe caps them; they act together."""
    if training.budget:
        return (Change("training.budget", times * training.budget, together=True),)
    changes = [Change("training.epochs", times * training.epochs, together=True)]
    if training.steps:
        changes.append(Change("training.steps", times * training.steps, together=True))
    return tuple(changes)


def visible_inputs(recipe: Recipe) -> tuple[Change, ...]:
    """What hides padding and mixes the rows, as far as a recipe does not."""
    changes = []
    if recipe.batch.pad_to:
        changes.append(Change("batch.pad_to", 0, together=True))
    if not recipe.batch.shuffle:
        changes.append(Change("batch.shuffle", True, together=True))
    return tuple(changes)
