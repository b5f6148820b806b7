"""Pretraining: whether it learns to use the context, and more than its own text by heart."""

from __future__ import annotations

from bertkit.health.preflight import Preflight
from bertkit.health.pretrain_checks import ENOUGH_UPDATES, PATIENCE, nearly_through
from bertkit.health.watch import Watched
from bertkit.runs.findings import Change, Finding
from bertkit.runs.history import THROUGH

REPEATED = 40.0
"""Times the text, from which reading it again teaches next to nothing (Muennighoff et al. 2023, section 5);
BERT's own training read its text 40 times."""
FEW_UPDATES = 300
"""Of pretraining: even the demo's two small layers need more before they use the context."""
BUDGET_DOUBT = 4
"""How many times as many updates a budget may give as were estimated: from one process, on a busy machine."""
RISES = 0.1
"""Nats over its lowest at which a held-out loss has risen, in two evaluations."""


def few_updates(record: Preflight) -> Finding | None:
    """Pretraining from fresh weights ends before it can have learnt to use the context."""
    asked, corpus = record.asked, record.corpus
    likely = asked.steps * (BUDGET_DOUBT if asked.budget_minutes else 1)
    if corpus is None or not asked.fresh or not 0 < likely < FEW_UPDATES:
        return None
    changes = [Change("batch.pieces", max(asked.max_length, corpus.pieces_a_step // 4))]
    if not asked.budget_minutes:
        changes.insert(0, Change("training.steps", ENOUGH_UPDATES))
    return Finding(
        check="few_updates",
        weight="notable",
        sureness="likely",
        seen=f"The run has about {asked.steps:,} updates of {corpus.pieces_a_step:,} pieces.",
        means="From fresh weights the first hundreds only learn how often each piece occurs.",
        changes=tuple(changes),
        read="docs/pretraining.md",
    )


def stays_on_plateau(watched: Watched) -> Finding | None:
    """A pretraining run that isn't through the plateau of word frequencies though much of it is done."""
    setting, unigram = watched.setting, watched.setting.prior_entropy
    # That before the first step says nothing of what was learnt.
    scored = [evaluation for evaluation in watched.evaluations if evaluation.step]
    if unigram is None or not scored:
        return None
    loss = scored[-1].loss
    if watched.through_at is not None or loss < THROUGH * unigram or watched.fraction < PATIENCE:
        return None
    if nearly_through([(each.step, each.loss) for each in scored], unigram, watched.fraction):
        return None
    changes = [Change("optimiser.lr", 2 * setting.optimiser.lr), Change(words="more steps")]
    if setting.model.positions != "rotary" and not setting.trained:
        changes.insert(0, Change("model.options.positions", "rotary"))
    return Finding(
        "plateau",
        "grave",
        "possible",
        f"The loss {loss:.3f} is stuck on the plateau of word frequencies ({unigram:.3f}; knowing nothing is "
        f"{setting.uniform:.3f}) after {watched.fraction:.0%} of the run.",
        "The model has hardly learnt to use the context.",
        tuple(changes),
        "docs/pretraining.md",
    )


def text_repeated(record: Preflight) -> Finding | None:
    """Pretraining reads the same text very often."""
    corpus = record.corpus
    if corpus is None or corpus.epochs <= REPEATED:
        return None
    return Finding(
        check="text_repeated",
        weight="notable",
        sureness="likely",
        seen=f"The run reads its {corpus.train_pieces:,} pieces {corpus.epochs:.0f} times.",
        means="The more often the same text is read the less it teaches: four times are nearly as good as "
        "new text, forty times teach little more.",
        changes=(
            Change("training.steps", round(record.asked.steps * REPEATED / corpus.epochs)),
            Change(words="prepare more text, or train a smaller model"),
        ),
        read="arXiv 2305.16264",
    )


def heldout_rises(watched: Watched) -> Finding | None:
    """The held-out loss of a pretraining run rises again."""
    losses = [evaluation.loss for evaluation in watched.evaluations]
    if len(losses) < 3:
        return None
    lowest = min(losses)
    if min(losses[-2:]) < lowest + RISES:
        return None
    return Finding(
        "heldout_rises",
        "notable",
        "likely",
        f"The held-out loss {losses[-1]:.3f} has risen from {lowest:.3f} in two evaluations.",
        "The model begins to learn the text by heart.",
        (Change(words="more text"), Change(words="fewer steps")),
        "docs/pretraining.md",
    )
