"""The checks: one table, in which each says at which moments of which runs it may speak.

What stands under one name is one fault. Each moment has its own measure of it and its own threshold, for less
is known earlier; what is known later counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bertkit.health import (
    finetune_checks,
    finetune_gains,
    labelled,
    pretrain_checks,
    rows,
    signal,
    start,
    step_checks,
    steps,
    text,
    trials,
    unlabelled,
)
from bertkit.health.preflight import Preflight
from bertkit.health.watch import Watched
from bertkit.runs.findings import Finding, by_weight
from bertkit.runs.history import History, Phase

LABELLED: tuple[Phase, ...] = ("finetune",)
UNLABELLED: tuple[Phase, ...] = ("pretrain",)


@dataclass(frozen=True)
class Check:
    """One fault, and how it is told at each moment at which it can be: a function that finds it or None.

    Attributes:
        name: of its findings.
        of: the runs that may have it.
        before: by what was measured before the first step.
        during: by what is known of a run while it trains.
        after: by what the folder of a run tells that is done or cut off; without a later word, what was found
            before and during counts.
        supersedes: checks that say the same earlier, with less to go by.
    """

    name: str
    of: tuple[Phase, ...] = LABELLED + UNLABELLED
    before: Callable[[Preflight], Finding | None] | None = None
    during: Callable[[Watched], Finding | None] | None = None
    after: Callable[[Any], Finding | None] | None = None
    supersedes: tuple[str, ...] = ()


CHECKS: tuple[Check, ...] = (
    Check("rare_label", LABELLED, before=rows.rare_label),
    Check("accuracy_of_imbalance", LABELLED, before=rows.accuracy_of_imbalance),
    Check("labels_differ", LABELLED, before=rows.labels_differ),
    Check("batches_of_one_label", LABELLED, before=rows.batches_of_one_label),
    Check("file_order", LABELLED, before=rows.file_order),
    Check("leaks", LABELLED, before=rows.leaks),
    Check("contradictions", LABELLED, before=rows.contradictions),
    Check("duplicates", LABELLED, before=rows.duplicates),
    Check("pads_visible", before=text.pads_visible),
    Check("truncated", before=text.truncated),
    Check("unknown_pieces", before=text.unknown_pieces),
    Check("chopped_words", before=text.chopped_words),
    Check("vocabulary_case", before=text.vocabulary_case),
    Check("text_repeated", UNLABELLED, before=unlabelled.text_repeated),
    Check("few_updates", UNLABELLED, before=unlabelled.few_updates),
    Check("embedding_scale", before=start.embedding_scale),
    Check("loss_at_start", before=start.loss_at_start),
    Check("gradient_by_layer", before=signal.gradient_begins_lopsided),
    Check("inputs_alike", before=signal.inputs_begin_alike),
    Check("inputs_alike", LABELLED, during=signal.inputs_become_alike),
    Check("frozen_fresh", LABELLED, before=labelled.frozen_fresh),
    Check("rate_too_high", before=trials.rate_too_high),
    Check("not_by_heart", before=trials.not_by_heart),
    Check("rate_over_cliff", before=trials.rate_over_cliff),
    Check("rate_too_small", before=trials.rate_too_small),
    Check("memory", before=start.memory),
    Check("weights_stand_still", during=signal.weights_stand_still),
    Check("dead_units", during=signal.dead_units),
    Check("attention_at_one_place", during=signal.attention_at_one_place),
    Check("not_a_number", during=steps.not_a_number),
    Check("diverged", LABELLED, after=finetune_checks.diverged, supersedes=("not_a_number", "loss_rose")),
    Check("diverged", UNLABELLED, after=pretrain_checks.diverged, supersedes=("not_a_number", "loss_rose")),
    Check("stuck_on_the_prior", LABELLED, during=labelled.stuck_on_the_prior),
    Check("stuck", LABELLED, after=finetune_checks.stuck, supersedes=("stuck_on_the_prior", "frozen_fresh")),
    Check("collapsed", LABELLED, after=finetune_checks.collapsed),
    Check(
        "plateau",
        UNLABELLED,
        during=unlabelled.stays_on_plateau,
        after=pretrain_checks.plateau,
        supersedes=("few_updates",),
    ),
    Check("gradient_vanished", during=signal.gradient_vanishes, after=step_checks.gradient_vanished),
    Check("gradient_exploded", after=step_checks.gradient_exploded),
    Check("loss_rose", during=steps.loss_rises, after=step_checks.loss_rose),
    Check(
        "no_better_than_majority",
        LABELLED,
        after=finetune_checks.no_better_than_majority,
        supersedes=("learned_by_heart",),
    ),
    Check("no_better_than_ngram", LABELLED, after=finetune_checks.no_better_than_ngram),
    Check(
        "learned_by_heart",
        LABELLED,
        during=labelled.learns_by_heart,
        after=finetune_gains.learned_by_heart,
    ),
    Check("heldout_rises", UNLABELLED, during=unlabelled.heldout_rises, after=pretrain_checks.heldout_rises),
    Check("too_short", LABELLED, after=finetune_gains.too_short),
    Check("starved_of_data", UNLABELLED, after=pretrain_checks.starved_of_data),
    Check("starved_of_steps", UNLABELLED, after=pretrain_checks.starved_of_steps),
    Check("nothing_won", UNLABELLED, after=pretrain_checks.nothing_won),
    Check("pairs_at_chance", UNLABELLED, after=pretrain_checks.pairs_at_chance),
    Check("rate_not_decayed", LABELLED, after=finetune_gains.rate_not_decayed),
    Check("rate_not_decayed", UNLABELLED, after=pretrain_checks.rate_not_decayed),
    Check("seeds_disagree", LABELLED, after=finetune_gains.seeds_disagree),
    Check("dev_too_small", LABELLED, after=finetune_gains.dev_too_small),
    Check("slowed_down", after=step_checks.slowed_down),
)
"""Those of one moment in the order in which its findings are told; while a run trains, after `COLLAPSES`."""
COLLAPSES = ("not_a_number", "loss_rose", "gradient_vanished", "inputs_alike")
"""The checks whose finding while a run trains means that it is lost, in the order in which they are asked: of
them one alone speaks."""


def _urgency(check: Check) -> int:
    return COLLAPSES.index(check.name) if check.name in COLLAPSES else len(COLLAPSES)


WATCH_CHECKS = tuple(sorted((check for check in CHECKS if check.during), key=_urgency))
"""Those of a run that trains, in order."""


def check_before(record: Preflight) -> list[Finding]:
    """What is found before a run, the gravest first."""
    asked = (row.before for row in CHECKS if row.before and record.asked.phase in row.of)
    return by_weight([finding for look in asked if (finding := look(record)) is not None])


def check_during(watched: Watched, told: list[str]) -> list[Finding]:
    """What is found while a run trains by checks that have not spoken yet; `told` gets their names."""
    found = []
    for row in WATCH_CHECKS:
        lost = row.name in COLLAPSES and any(other in told for other in COLLAPSES)
        if row.during is None or row.name in told or lost or watched.setting.phase not in row.of:
            continue
        if (finding := row.during(watched)) is not None:
            told.append(row.name)
            found.append(finding)
    return found


def check_after(run: History) -> list[Finding]:
    """What is found in the record of a run, in the order of the table."""
    asked = (row.after for row in CHECKS if row.after and run.phase in row.of)
    return [finding for look in asked if (finding := look(run)) is not None]


def answered(found: Iterable[Finding]) -> set[str]:
    """The checks that need not be heard again of what they found earlier: these, and those they supersede."""
    names = {finding.check for finding in found}
    return names | {earlier for row in CHECKS if row.name in names for earlier in row.supersedes}
