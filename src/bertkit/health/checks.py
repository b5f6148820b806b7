"""The checks: one table, in which each says at which moments of which runs it may speak.

What stands under one name is one fault. Each moment has its own measure of it and its own threshold, for less
is known earlier; what is known later counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from bertkit.config.model import ModelConfig, changed_preset
from bertkit.health import audited, gains, labelled, rows, signal, start, steps, text, trials, unlabelled
from bertkit.health.preflight import Inspection, Preflight
from bertkit.health.watch import Evaluation as WatchedEvaluation
from bertkit.health.watch import Setting, Watch, Watched
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import Finding, by_weight
from bertkit.runs.history import Evaluation, History, Track
from bertkit.tasks.kinds import ALL_METRICS
from bertkit.text.odd import ODDITIES

When = Literal["before", "during", "after"]
LABELLED, UNLABELLED = ("finetune",), ("pretrain",)
CLASSES, NUMBERS = ("classes",), ("numbers",)
"""Runs that learn from rows of which each has one of a few labels, or a number."""


@dataclass(frozen=True)
class Check:
    """One fault, and how it is told at each moment at which it can be: a function that finds it or None.

    Attributes:
        name: of its findings.
        of: the runs that may have it, by phase or by what their rows have.
        before: by what was measured before the first step.
        during: by what is known of a run while it trains.
        after: by what the folder of a run tells that is done or cut off; without a later word, what was found
            before and during counts.
        supersedes: checks that say the same earlier, with less to go by.
        needs: what is looked at before a run: what would be done, or the rows alone, or these and a
            tokenizer; the latter are made without a run, too.
    """

    name: str
    of: tuple[str, ...] = LABELLED + UNLABELLED
    before: Callable[[Any], Finding | None] | None = None
    during: Callable[[Watched], Finding | None] | None = None
    after: Callable[[Any], Finding | None] | None = None
    supersedes: tuple[str, ...] = ()
    needs: Literal["run", "rows", "tokens"] = "run"

    def find(self, moment: When, seen: Any, *of: str) -> Finding | None:
        """What it finds at a moment in such a run, by what is `seen` then."""
        look = getattr(self, moment) if set(of) & set(self.of) else None
        said = look(seen) if look else None
        place = f"docs/doctor.md#{moment}-a-run" if self.needs != "rows" else "docs/data.md#what-is-checked"
        return said and replace(said, check=self.name, read=said.read or place)


CHECKS: tuple[Check, ...] = (
    Check("left_out", LABELLED, before=audited.left_out, needs="rows"),
    Check("read_otherwise", LABELLED, before=audited.read_otherwise, needs="rows"),
    Check("rare_label", LABELLED, before=audited.rare_label, needs="rows"),
    Check("unseen_label", LABELLED, before=audited.unseen_label, needs="rows"),
    Check("imbalance", CLASSES, before=rows.imbalance),
    Check("labels_differ", LABELLED, before=audited.labels_differ, needs="rows"),
    Check("label_in_text", LABELLED, before=audited.label_in_text, needs="rows"),
    Check("numbers_differ", NUMBERS, before=rows.numbers_differ),
    Check("outliers", NUMBERS, before=rows.outliers),
    Check("batches_of_one_label", CLASSES, before=rows.batches_of_one_label),
    Check("file_order", LABELLED, before=rows.file_order),
    Check("leaks", LABELLED, before=audited.leaks, needs="rows"),
    Check("near_leaks", LABELLED, before=audited.near_leaks, needs="rows"),
    Check("contradictions", LABELLED, before=audited.contradictions, needs="rows"),
    Check("near_contradictions", LABELLED, before=audited.near_contradictions, needs="rows"),
    Check("duplicates", LABELLED, before=audited.duplicates, needs="rows"),
    Check("near_duplicates", LABELLED, before=audited.near_duplicates, needs="rows"),
    *(Check(f"text_{each.name}", LABELLED, before=audited.odd_text(each), needs="rows") for each in ODDITIES),
    Check("other_scripts", LABELLED, before=audited.other_scripts, needs="rows"),
    Check("few_rows", LABELLED, before=rows.few_rows),
    Check("few_updates", LABELLED, before=rows.ends_early),
    Check("pads_visible", before=text.pads_visible),
    Check("truncated", before=text.truncated, needs="tokens"),
    Check("unknown_tokens", before=text.unknown_tokens, needs="tokens"),
    Check("chopped_words", before=text.chopped_words, needs="tokens"),
    Check("vocabulary_case", before=text.vocabulary_case, needs="tokens"),
    Check("text_repeated", UNLABELLED, before=unlabelled.text_repeated),
    Check("few_updates", UNLABELLED, before=unlabelled.few_updates),
    Check("embedding_scale", before=start.embedding_scale),
    Check("loss_at_start", before=start.loss_at_start),
    Check("gradient_by_layer", before=signal.gradient_begins_lopsided),
    Check("inputs_alike", before=signal.inputs_begin_alike),
    Check("inputs_alike", LABELLED, during=signal.inputs_become_alike),
    Check("frozen_fresh", LABELLED, before=labelled.frozen_fresh),
    Check("learning_rate_too_high", before=trials.learning_rate_too_high),
    Check("cannot_overfit_batch", before=trials.cannot_overfit_batch),
    Check("learning_rate_over_cliff", before=trials.learning_rate_over_cliff),
    Check("learning_rate_too_small", before=trials.learning_rate_too_small),
    Check("memory", before=start.memory),
    Check("weights_stand_still", during=signal.weights_stand_still),
    Check("dead_units", during=signal.dead_units),
    Check("attention_at_one_place", during=signal.attention_at_one_place),
    Check("not_a_number", during=steps.not_a_number),
    Check("diverged", after=steps.diverged, supersedes=("not_a_number", "loss_rose")),
    Check("stuck_at_baseline_loss", LABELLED, during=labelled.stuck_at_baseline_loss),
    Check("stuck", LABELLED, after=labelled.stuck, supersedes=("stuck_at_baseline_loss", "frozen_fresh")),
    Check("collapsed", LABELLED, after=labelled.collapsed),
    Check(
        "plateau",
        UNLABELLED,
        during=unlabelled.stays_on_plateau,
        after=unlabelled.plateau,
        supersedes=("few_updates",),
    ),
    Check("gradient_vanished", during=signal.gradient_vanishes, after=signal.gradient_vanished),
    Check("gradient_exploded", after=signal.gradient_exploded),
    Check("loss_rose", during=steps.loss_rises, after=steps.loss_rose),
    Check(
        "no_better_than_majority",
        LABELLED,
        after=labelled.no_better_than_majority,
        supersedes=("overfitting",),
    ),
    Check("class_not_found", LABELLED, after=labelled.class_not_found),
    Check("no_better_than_ngram", LABELLED, after=labelled.no_better_than_ngram),
    Check(
        "overfitting",
        LABELLED,
        during=gains.overfits,
        after=gains.overfitting,
    ),
    Check("heldout_rises", UNLABELLED, during=unlabelled.heldout_rises, after=unlabelled.heldout_rose),
    Check("too_short", LABELLED, after=gains.too_short),
    Check("starved_of_data", UNLABELLED, after=unlabelled.starved_of_data),
    Check("starved_of_steps", UNLABELLED, after=unlabelled.starved_of_steps),
    Check("nothing_won", UNLABELLED, after=unlabelled.nothing_won),
    Check("pairs_at_chance", UNLABELLED, after=unlabelled.pairs_at_chance),
    Check("learning_rate_not_decayed", LABELLED, after=gains.learning_rate_not_decayed),
    Check("learning_rate_not_decayed", UNLABELLED, after=unlabelled.learning_rate_never_decayed),
    Check("seeds_disagree", LABELLED, after=gains.seeds_disagree),
    Check("dev_too_small", LABELLED, after=gains.dev_too_small),
    Check("slowed_down", after=steps.slowed_down),
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
    found = (check.find("before", record, *record.of) for check in CHECKS)
    return by_weight([finding for finding in found if finding])


def check_rows(record: Inspection) -> list[Finding]:
    """What is found in rows without a run, the gravest first."""
    needs = ("rows", "tokens") if record.tokens else ("rows",)
    found = (check.find("before", record, *LABELLED) for check in CHECKS if check.needs in needs)
    return by_weight([finding for finding in found if finding])


def check_during(watched: Watched, told: list[str]) -> list[Finding]:
    """What is found while a run trains by checks that have not spoken yet; `told` gets their names."""
    found = []
    for check in WATCH_CHECKS:
        lost = check.name in COLLAPSES and any(other in told for other in COLLAPSES)
        if check.name in told or lost:
            continue
        if finding := check.find("during", watched, watched.setting.phase):
            told.append(check.name)
            found.append(finding)
    return found


def replayed(run: History, track: Track) -> Iterator[tuple[float, Finding]]:
    """What would have been found while a model trained, by its log; and the share of the run done by then."""
    setting, watch = _setting_of(run), Watch()
    losses = {step.step: step.loss for step in track.steps}
    looks = {look.step: look for look in track.health}
    evaluations = {each.step: each for each in track.evaluations}
    whole = run.planned(track) or track.last_step
    for step in sorted({*losses, *looks, *evaluations}):
        speaks = step in losses and watch.stepped(losses[step], setting.rise)
        if step in looks:
            watch.looked(looks[step])
            speaks = True
        if speaks:
            found = check_during(watch.at(setting, step, step / whole), watch.told)
            yield from ((step / whole, finding) for finding in found)
        if step in evaluations:
            watch.evaluated(_as_watched(run, evaluations[step], watch))
            found = check_during(watch.at(setting, step, step / whole), watch.told)
            yield from ((step / whole, finding) for finding in found)


def _setting_of(run: History) -> Setting:
    recipe = run.recipe
    return Setting(
        phase=run.phase,
        optimiser=recipe.optimiser,
        # The shape changes what is proposed, not what is found, and trained weights have their own.
        model=changed_preset(recipe.model.start, recipe.model.options) if run.fresh else ModelConfig(),
        trained=not run.fresh,
        baseline_loss=run.floor,
        uniform=math.inf if run.uniform is None else run.uniform,
        training=recipe.training if isinstance(recipe, Recipe) else None,
        spike=recipe.training.spike if isinstance(recipe, PretrainRecipe) else 0.0,
    )


def _as_watched(run: History, scored: Evaluation, watch: Watch) -> WatchedEvaluation:
    """An evaluation of a log as the run itself had it."""
    if run.phase == "pretrain":
        if run.floor is not None:
            watch.passed(scored.step, scored.loss, run.floor)
        return WatchedEvaluation(step=scored.step, train_loss=watch.smoothed, loss=scored.loss)
    scores = run.scores
    blind = None if scores is None or scores.blind is None else scores.blind.score
    return WatchedEvaluation(
        step=scored.step,
        train_loss=scored.train_loss,
        loss=scored.loss,
        # Nothing else leaves a score without an interval.
        one_answer=scored.score == blind and scored.low == scored.high,
        beats_majority=blind is not None
        and scores is not None
        and ALL_METRICS[scores.metric].beats((scored.low, scored.high), blind),
    )


def check_after(run: History) -> list[Finding]:
    """What is found in the record of a run, in the order of the table."""
    found = (check.find("after", run, run.phase) for check in CHECKS)
    return [finding for finding in found if finding]


def answered(found: Iterable[Finding]) -> set[str]:
    """The checks that need not be heard again of what they found earlier: these, and those they supersede."""
    names = {finding.check for finding in found}
    return names | {earlier for row in CHECKS if row.name in names for earlier in row.supersedes}
