"""What may be wrong with a pretraining run, as its folder tells it."""

from __future__ import annotations

from collections.abc import Callable

from bertkit.health.advice import steadier, trainable
from bertkit.health.finding import Change, Finding
from bertkit.health.history import PretrainHistory

PATIENCE = 0.2
"""Share of a run after which one on the plateau of word frequencies is called stuck, as while it trains."""


def diverged(run: PretrainHistory) -> Finding | None:
    """The loss stopped being a number, or rose so suddenly that the run was stopped."""
    if run.broke is None and not run.stopped:
        return None
    seen = run.stopped or f"The loss was no number any more at step {run.broke:,}."
    return Finding(
        "diverged",
        "grave",
        "certain",
        seen,
        "An update was so large that the model broke.",
        steadier(run.recipe.optimiser, run.recipe.optimiser.lr / 3),
        "docs/doctor.md#diverged",
    )


def plateau(run: PretrainHistory) -> Finding | None:
    """The loss never left that of word frequencies."""
    if run.through_at is not None or run.share_done < PATIENCE or "unigram" not in run.floors:
        return None
    if run.stopped or run.broke is not None:
        return None
    loss = run.heldout[-1].loss if run.heldout else run.steps[-1].loss if run.steps else None
    if loss is None:
        return None
    changes = list(trainable(run.recipe.model))
    if run.recipe.training.steps:
        changes.append(Change("training.steps", 4 * run.recipe.training.steps))
    elif run.recipe.training.budget:
        changes.append(Change("training.budget", 4 * run.recipe.training.budget))
    return Finding(
        "plateau",
        "grave",
        "certain" if run.finished else "likely",
        f"After {run.last_step:,} steps the loss is {loss:.3f}; knowing only how frequent words are gives "
        f"{run.floors['unigram']:.3f}.",
        "The model has hardly learned to use the context, and will help little.",
        tuple(changes),
        "docs/doctor.md#plateau",
    )


PRETRAIN_CHECKS: tuple[Callable[[PretrainHistory], Finding | None], ...] = (diverged, plateau)
