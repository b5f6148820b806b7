"""Labelled rows: whether a run learns anything from them, and more than these rows by heart."""

from __future__ import annotations

from bertkit.health.advice import BEFORE, DURING, PRETRAINED, THAWED, longer
from bertkit.health.preflight import Preflight
from bertkit.health.steps import LOST
from bertkit.health.watch import Watched
from bertkit.runs.findings import Change, Finding

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
ROWS_KNOWN = 0.3
"""Of the labels' entropy: a training loss below this knows its rows."""


def frozen_fresh(record: Preflight) -> Finding | None:
    """A head alone is to be trained, on top of weights that nothing has trained."""
    asked = record.asked
    if not (asked.frozen and asked.fresh):
        return None
    return Finding(
        check="frozen_fresh",
        weight="grave",
        sureness="likely",
        seen=f"The encoder begins with the fresh weights of {asked.model!r}, and stays as it is: the head "
        "alone is trained.",
        means="Its features are made by chance, and a head can learn little from them; freezing is for "
        "weights that were trained.",
        changes=(THAWED, PRETRAINED),
        read=BEFORE,
    )


def stuck_on_the_prior(watched: Watched) -> Finding | None:
    """One answer to everything in every evaluation, late in the run, and no loss below the labels' entropy.

    Judged where an evaluation has just ended: only the loss of whole epochs tells so little from nothing,
    above all in the order of a sorted file.
    """
    prior, evaluations = watched.setting.prior_entropy, watched.evaluations
    if prior is None:
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
        DURING,
    )


def learns_by_heart(watched: Watched) -> Finding | None:
    """The training rows are known, and nothing of it holds for the dev rows."""
    prior, evaluations = watched.setting.prior_entropy, watched.evaluations
    if prior is None or len(evaluations) < 2:
        return None
    now = evaluations[-1]
    if now.train_loss > ROWS_KNOWN * prior or now.loss < LOST * prior:
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
        DURING,
    )
