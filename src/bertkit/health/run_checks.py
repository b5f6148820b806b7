"""The checks of runs, of either kind."""

from __future__ import annotations

from bertkit.health.finding import Finding
from bertkit.health.finetune_checks import FINETUNE_CHECKS
from bertkit.health.history import FinetuneHistory, PretrainHistory
from bertkit.health.pretrain_checks import PRETRAIN_CHECKS

RUN_CHECKS = {"fine-tuning": FINETUNE_CHECKS, "pretraining": PRETRAIN_CHECKS}
"""By kind of run; in each table the checks of what a later one may follow from come first."""


def check_run(run: FinetuneHistory | PretrainHistory) -> list[Finding]:
    """What all checks of its kind find in a run, in their order."""
    if isinstance(run, FinetuneHistory):
        found = [check(run) for check in FINETUNE_CHECKS]
    else:
        found = [check(run) for check in PRETRAIN_CHECKS]
    return [finding for finding in found if finding is not None]
