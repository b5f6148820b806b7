"""What can go wrong while a run trains: each check judges the run as it is at one moment.

Untrained weights see inputs alike, imbalanced labels are the majority's for a while, and a run may sit on the
entropy of its labels for epochs before it learns: none of this is a fault. So a check compares a run with its
own past, asks for two looks that agree, and is silent where the loss shows that something was learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from bertkit.health.advice import FRESH_RATE, PRETRAINED, TRAINED_RATE, longer
from bertkit.health.collapse import (
    EARLIEST,
    READ,
    ROSE,
    at_rate,
    calmer,
    gradient_vanished,
    inputs_alike,
    loss_rose,
    not_a_number,
)
from bertkit.health.pretrain_checks import PATIENCE, nearly_through
from bertkit.health.watch import THROUGH, Watched
from bertkit.runs.findings import Change, Finding

STILL = 1e-6
"""Update over weights that fp32 hardly notices."""
DEAD = 0.95
ONE_PLACE = 0.02
"""Of the most that the entropy of attention can be: far below 0.6, the least seen in runs that learn."""
LATE = 0.7
"""Share of a run after which one that has always given the same answer is said to be stuck: a run of eight
epochs stood on the prior for five, and learnt in the other three."""
FEWEST = 100
"""Updates before which nobody is said to be stuck: a small model over a few rows may not have begun."""
BELOW_PRIOR = 0.995
"""Of the labels' entropy: below it the mean loss of a whole epoch shows that something is known of the
inputs, for the labels' shares alone can't give less. Of runs of four epochs on CoLA with one answer to
everything, those that left the prior at last were at 0.994 or less in their third, and those that never did
at 0.998."""
FALLING = 0.95
"""Of the labels' entropy: below it the smoothed loss, which scatters by a hundredth or two, falls by now."""
BY_HEART = 0.3
"""Of the labels' entropy: a training loss below this knows its rows."""
RISES = 0.1
"""Nats over its lowest at which a held-out loss has risen, in two evaluations."""


def weights_stand_still(watched: Watched) -> Finding | None:
    """Updates are too small to move anything, where the schedule has the rate at its height."""
    looks = [look for look in watched.looks if look.update_ratios and look.step >= EARLIEST][-2:]
    highest = watched.setting.optimiser.lr
    if len(looks) < 2 or any((look.learning_rate or 0.0) < highest / 2 for look in looks):
        return None
    ratio = max(max(look.update_ratios.values()) for look in looks)
    if ratio > STILL:
        return None
    return Finding(
        "weights_stand_still",
        "grave",
        "certain",
        f"An update moves no layer by more than {ratio:.1g} of its weights, at {at_rate(watched)}.",
        "The weights stay what they were: the rate is too low by orders of magnitude.",
        (Change("optimiser.lr", TRAINED_RATE if watched.setting.trained else FRESH_RATE),),
        READ,
    )


def dead_units(watched: Watched) -> Finding | None:
    """Nearly all units of a layer are off for every input, while nothing was learnt."""
    looks = [look for look in watched.looks if look.dead_units][-2:]
    if watched.learnt or watched.step < EARLIEST or len(looks) < 2:
        return None
    dead = [
        layer
        for layer, share in looks[-1].dead_units.items()
        if min(share, looks[0].dead_units.get(layer, 0.0)) > DEAD
    ]
    if not dead:
        return None
    activation = watched.setting.model.activation
    better = (
        ()
        if activation != "relu" or watched.setting.trained
        else (Change("model.options.activation", "gelu"),)
    )
    return Finding(
        "dead_units",
        "notable",
        "likely",
        f"{looks[-1].dead_units[dead[0]]:.0%} of the units of {', '.join(dead)} are off or at their limit "
        f"for every input by step {watched.step}.",
        "No gradient passes through such units, so they can't come back: the updates were too large.",
        (*better, *calmer(watched)),
        READ,
    )


def attention_at_one_place(watched: Watched) -> Finding | None:
    """All heads of a layer look at one piece alone, with nothing learnt (Zhai et al., arXiv 2303.06296)."""
    looks = [look for look in watched.looks if look.attention_entropy][-2:]
    if watched.learnt or watched.step < EARLIEST or len(looks) < 2:
        return None
    stuck = [
        layer
        for layer, entropy in looks[-1].attention_entropy.items()
        if max(entropy, looks[0].attention_entropy.get(layer, 1.0)) < ONE_PLACE
    ]
    if not stuck:
        return None
    return Finding(
        "attention_at_one_place",
        "notable",
        "possible",
        f"The attention of {', '.join(stuck)} rests on one piece alone: its entropy is "
        f"{looks[-1].attention_entropy[stuck[0]]:.1g} of the most there can be by step {watched.step}.",
        "Where the softmax is saturated hardly any gradient passes: queries and keys have grown too fast.",
        calmer(watched),
        READ,
    )


def stuck_on_the_prior(watched: Watched) -> Finding | None:
    """One answer to everything in every evaluation, late in the run, and no loss below the labels' entropy.

    Judged where an evaluation has just ended: only the loss of whole epochs tells so little from nothing,
    above all in the order of a sorted file.
    """
    prior, evaluations = watched.setting.prior_entropy, watched.evaluations
    if watched.setting.phase != "finetune" or prior is None:
        return None
    if watched.fraction < LATE or watched.step < FEWEST:
        return None
    if len(evaluations) < 2 or not all(evaluation.one_answer for evaluation in evaluations):
        return None
    newest = evaluations[-1]
    if newest.step != watched.step or not newest.train_loss >= BELOW_PRIOR * prior:
        return None
    if watched.smoothed_loss < FALLING * prior:
        return None
    return Finding(
        "stuck_on_the_prior",
        "grave",
        "likely",
        f"Every dev row has got the same answer in {len(evaluations)} evaluations, and the training loss of "
        f"the last epoch, {newest.train_loss:.3f}, is not below the entropy of the labels ({prior:.3f}) "
        f"after {watched.fraction:.0%} of the run.",
        "The model knows how frequent the labels are and nothing of the inputs; gradients still flow, so it "
        "needs another rate, more epochs or a better start.",
        (
            *(longer(watched.setting.training, 2) if watched.setting.training else ()),
            *(() if watched.setting.trained else (PRETRAINED,)),
        ),
        READ,
    )


def learned_by_heart(watched: Watched) -> Finding | None:
    """The training rows are known, and nothing of it holds for the dev rows."""
    prior, evaluations = watched.setting.prior_entropy, watched.evaluations
    if watched.setting.phase != "finetune" or prior is None or len(evaluations) < 2:
        return None
    now = evaluations[-1]
    if now.train_loss > BY_HEART * prior or now.loss < ROSE * prior:
        return None
    if any(evaluation.beats_majority for evaluation in evaluations):
        return None
    return Finding(
        "learned_by_heart",
        "notable",
        "likely",
        f"The training loss is {now.train_loss:.3f} and the dev loss {now.loss:.3f}, above the entropy of "
        f"the labels ({prior:.3f}); no evaluation has beaten the majority.",
        "The model has learnt its rows by heart, and nothing that holds for others.",
        (Change(words="more rows"), *(() if watched.setting.trained else (PRETRAINED,))),
        READ,
    )


def plateau(watched: Watched) -> Finding | None:
    """A pretraining run that isn't through the plateau of word frequencies though much of it is done."""
    setting, unigram = watched.setting, watched.setting.prior_entropy
    # That before the first step says nothing of what was learnt.
    scored = [evaluation for evaluation in watched.evaluations if evaluation.step]
    if setting.phase != "pretrain" or unigram is None or not scored:
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


def heldout_rises(watched: Watched) -> Finding | None:
    """The held-out loss of a pretraining run rises again."""
    losses = [evaluation.loss for evaluation in watched.evaluations]
    if watched.setting.phase != "pretrain" or len(losses) < 3:
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


WATCH_CHECKS: Mapping[str, Callable[[Watched], Finding | None]] = MappingProxyType(
    {
        check.__name__: check
        for check in (
            not_a_number,
            loss_rose,
            gradient_vanished,
            inputs_alike,
            weights_stand_still,
            dead_units,
            attention_at_one_place,
            stuck_on_the_prior,
            learned_by_heart,
            plateau,
            heldout_rises,
        )
    }
)
"""By name, the gravest first."""
COLLAPSES = ("not_a_number", "loss_rose", "gradient_vanished", "inputs_alike")
"""The checks whose finding means that a run is lost; after one of them none of them speaks again."""


def findings_of(watched: Watched, told: list[str]) -> list[Finding]:
    """What the checks find that have not spoken yet; `told` gets their names."""
    found = []
    for name, check in WATCH_CHECKS.items():
        if name in told or (name in COLLAPSES and any(other in told for other in COLLAPSES)):
            continue
        if (finding := check(watched)) is not None:
            told.append(name)
            found.append(finding)
    return found
