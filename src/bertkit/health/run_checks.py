"""The checks of runs, of either kind."""

from __future__ import annotations

from collections.abc import Callable

from bertkit.health import finetune_checks, finetune_gains, pretrain_checks, step_checks
from bertkit.runs.findings import Finding
from bertkit.runs.history import FinetuneHistory, PretrainHistory

FINETUNE_CHECKS: tuple[Callable[[FinetuneHistory], Finding | None], ...] = (
    finetune_checks.diverged,
    finetune_checks.stuck,
    finetune_checks.collapsed,
    step_checks.gradient_vanished,
    step_checks.gradient_exploded,
    step_checks.loss_rose,
    finetune_checks.no_better_than_majority,
    finetune_checks.no_better_than_ngram,
    finetune_gains.learned_by_heart,
    finetune_gains.too_short,
    finetune_gains.rate_not_decayed,
    finetune_gains.seeds_disagree,
    finetune_gains.dev_too_small,
    step_checks.slowed_down,
)
PRETRAIN_CHECKS: tuple[Callable[[PretrainHistory], Finding | None], ...] = (
    pretrain_checks.diverged,
    pretrain_checks.plateau,
    step_checks.gradient_vanished,
    step_checks.gradient_exploded,
    step_checks.loss_rose,
    pretrain_checks.heldout_rises,
    pretrain_checks.starved_of_data,
    pretrain_checks.starved_of_steps,
    pretrain_checks.nothing_won,
    pretrain_checks.pairs_at_chance,
    pretrain_checks.rate_not_decayed,
    step_checks.slowed_down,
)
RUN_CHECKS = {"fine-tuning": FINETUNE_CHECKS, "pretraining": PRETRAIN_CHECKS}
"""By kind of run."""


def check_run(run: FinetuneHistory | PretrainHistory) -> list[Finding]:
    """What all checks of its kind find in a run, in their order."""
    if isinstance(run, FinetuneHistory):
        found = [check(run) for check in FINETUNE_CHECKS]
    else:
        found = [check(run) for check in PRETRAIN_CHECKS]
    return [finding for finding in found if finding is not None]
