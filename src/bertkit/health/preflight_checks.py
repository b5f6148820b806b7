"""The checks before a run: one table of functions over what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable

from bertkit.health import preflight_row_checks as rows
from bertkit.health import preflight_text_checks as text
from bertkit.health.advice import PRETRAINED, THAWED, WARMUP
from bertkit.health.preflight import READ, ByHeart, Preflight
from bertkit.recipe import OWN_RATES
from bertkit.runs.findings import Change, Finding, by_weight
from bertkit.runs.history import mean

DROWNED = 4.0
"""Positions against pieces. BERT's learned tables are of the same size at first and 0.4 when trained; the
article's sinusoids are 24 times as large as its pieces."""
BERTS_RANGE = 0.02
"""Deviation of BERT's fresh weights (paper's code, `initializer_range`)."""
LOUD_START = 1.0
"""Nats over knowing nothing: what logits of a deviation of 1.4 cost (half its square). BERT's are near 0."""
LOPSIDED = 1e-3
"""Gradient of the first layer over that of the last, or the other way round, at which one of them is lost.
Healthy models have 0.1 to 10 at the start."""
ALIKE = 1e-5
"""Spread of the last layer's [CLS] vectors that is hardly more than float32's rounding. Usual fresh models
have 0.01 to 0.2 and learn with 0.001 too, trained ones have 0.3 and more."""
DEEP = 6
"""Layers with norms behind their parts from which fresh weights are particular about the rate (Xiong et al.
2020)."""
COLD_RATE = 3e-4
"""The highest rate that eight such layers are known to stand without warm-up: the study why-stuck, in three
seeds of three. At 6e-4 its model can't learn sixteen texts by heart, at 1e-3 nothing in any seed."""
WARMED_RATE = 6e-4
"""The same with warm-up: that of RoBERTa base (Liu et al. 2019, table 9). At 1e-3 after warm-up the study's
rung that learns at 3e-4 stays on the entropy of the labels."""
WIDE = 512
WIDE_RATE = 1e-4
"""Of such layers from this width on, the paper's own (Devlin et al. 2018, appendix A.2): the study's rung
that learns at 3e-4 at a width of 128 stays on the entropy of the labels at 512, and learns there at this."""
UNLEARNT = 0.5
"""Share of the prior's loss that a batch must have left behind, to count as being learnt."""
ENOUGH_TRIED = 20
"""Of learning by heart, for those that time ended."""
NEAR_CLIFF = 3.0
SMALL_RESERVE = 0.9
"""Share of the memory that is left, which an estimate may ask for."""


def embedding_scale(record: Preflight) -> Finding | None:
    """What is added for positions is far larger than the embeddings of pieces."""
    start, asked = record.start, record.asked
    if start.position_size is None or start.position_size <= DROWNED * start.piece_size:
        return None
    ratio = start.position_size / start.piece_size if start.piece_size else math.inf
    normed = asked.embedding_norm
    changes: tuple[Change, ...] = (Change(words="start from a model whose pieces are not drowned"),)
    if asked.fresh:
        changes = (
            Change("model.options.positions", "rotary"),
            Change("model.options.position_scale", float(f"{asked.position_scale / ratio:.2g}")),
        )
        if asked.positions != "sinusoidal":
            changes = changes[:1]
        if not start.piece_size:
            changes = (Change("model.options.initialiser_range", BERTS_RANGE),)
    return Finding(
        check="embedding_scale",
        weight="notable" if normed else "grave",
        sureness="certain",
        seen=f"Embeddings of pieces are of size {start.piece_size:.3f}, what is added for their positions of "
        f"{start.position_size:.3f}" + (f": {ratio:.0f} to 1." if start.piece_size else "."),
        means="The first layer sees where a piece stands and hardly which one it is"
        + (", also behind the norm." if normed else "."),
        changes=changes,
        read=READ,
    )


def loss_at_start(record: Preflight) -> Finding | None:
    """The model is sure of wrong answers before it has learnt anything, or is broken."""
    start, broken = record.start, _broken(record)
    if not broken and start.loss <= start.uniform + LOUD_START:
        return None
    present = record.asked.initialiser_range
    change = Change("model.options.initialiser_range", min(BERTS_RANGE, float(f"{present / 3:.1g}")))
    if not record.asked.fresh:
        change = Change(words="look at what the model was trained for: its head may be of other labels")
        if broken:
            change = Change(words="another model: the weights of this one are broken")
    return Finding(
        check="loss_at_start",
        weight="grave" if broken else "notable",
        sureness="certain" if broken else "likely",
        seen=f"Before the first update {broken} is no number."
        if broken
        else f"The loss begins at {start.loss:.2f}, and who knows nothing has {start.uniform:.2f}.",
        means="No update can be made of such a model: there is no gradient to follow."
        if broken
        else "The first updates are spent on unlearning, and are large: the initialisation is too wide.",
        changes=(change,),
        read=READ,
    )


def _broken(record: Preflight) -> str:
    """Which of the first step's figures is no number, or ""."""
    if not math.isfinite(record.start.loss):
        return "the loss"
    return "" if all(map(math.isfinite, record.start.gradient_norms.values())) else "the gradient"


def gradient_by_layer(record: Preflight) -> Finding | None:
    """The gradient of the first step is lost, or explodes, between the last layer and the first."""
    norms = {name: norm for name, norm in record.start.gradient_norms.items() if name.startswith("layer ")}
    if len(norms) < 2 or _broken(record):
        return None
    bottom, *_, top = norms.values()
    if top and LOPSIDED < bottom / top < 1 / LOPSIDED:
        return None
    lost = not top or bottom / top <= LOPSIDED
    changes: tuple[Change, ...] = ()
    if record.asked.fresh:
        changes = (Change("model.options.norm", "pre"),) * (record.asked.norm == "post")
        changes += (Change("model.options.layers", 2),) * (record.asked.layers > 2)
    return Finding(
        check="gradient_by_layer",
        weight="grave",
        sureness="likely",
        seen=f"At the first step the gradient norm is {bottom:.1e} in the first layer and {top:.1e} in the "
        "last.",
        means="The lower layers hear nothing of the answers."
        if lost
        else "The lower layers will be torn about.",
        changes=changes,
        read="arXiv 2002.04745",
    )


def inputs_alike(record: Preflight) -> Finding | None:
    """The [CLS] vectors of different texts are the same before the first update."""
    spreads = list(record.start.cls_spread.values())
    if record.start.rows < 2 or not spreads or spreads[-1] >= ALIKE:
        return None
    return Finding(
        check="inputs_alike",
        weight="grave",
        sureness="likely",
        seen=f"Behind the last layer the [CLS] vectors of {record.start.rows} texts differ by "
        f"{spreads[-1]:.2%} of their length.",
        means="The head gets the same vector for every text, so it can learn the shares of labels only.",
        changes=(Change("head.pooling", "mean"),) if record.asked.phase == "finetune" else (),
        read=READ,
    )


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
        read=READ,
    )


def rate_too_high(record: Preflight) -> Finding | None:
    """A deep stack of fresh post-norm layers is given a rate that none like it is known to stand."""
    asked = record.asked
    known = WARMED_RATE if asked.warmup else COLD_RATE
    if asked.norm != "post" or asked.layers < DEEP or not asked.fresh or asked.optimiser in OWN_RATES:
        return None
    if asked.lr <= known:
        return None
    warmed = Change("optimiser.warmup", WARMUP, together=True)
    lower = WIDE_RATE if asked.hidden_size >= WIDE else COLD_RATE
    return Finding(
        check="rate_too_high",
        weight="notable" if asked.warmup or asked.lr <= WARMED_RATE else "grave",
        sureness="possible" if asked.warmup else "likely",
        seen=f"{asked.layers} fresh layers with norms behind their parts are to learn at a rate of "
        f"{asked.lr:g}, {'after' if asked.warmup else 'without'} warm-up.",
        means="Their gradients are largest at the start, near the output, and Adam makes full steps of them; "
        f"such layers are known to learn at up to {known:g} {'with' if asked.warmup else 'without'} warm-up.",
        changes=(
            Change("optimiser.lr", lower, together=True),
            *(() if asked.warmup else (warmed,)),
        ),
        read="docs/studies.md#why-stuck",
    )


def not_by_heart(record: Preflight) -> Finding | None:
    """A copy could not learn a few sequences by heart."""
    trial = record.by_heart
    if trial is None or trial.ended == "learnt" or not trial.losses:
        return None
    last = min(trial.losses[-5:])
    dead = trial.stops_at
    tried_enough = trial.ended in ("steps", "diverged", "stopped") or len(trial.losses) >= ENOUGH_TRIED
    if not dead and (not tried_enough or last < UNLEARNT * trial.prior_loss or _cut_short(trial)):
        return None
    calmer = trial.calmer
    better = calmer is not None and calmer.ended == "learnt"
    norms = [norm for name, norm in trial.gradient_norms.items() if name.startswith("layer ")]
    seen = (
        f"{_ending(trial)} on the same {trial.rows} texts the loss is {trial.losses[-1]:.3f}; knowing the "
        f"shares of their {'labels' if record.asked.phase == 'finetune' else 'masked pieces'} is "
        f"{trial.prior_loss:.3f}. "
    )
    if dead:
        seen += f"The signal stops at {dead}: the first layer's gradient is {norms[0]:.1e}"
        seen += f", and [CLS] vectors differ by {list(trial.cls_spread.values())[-1]:.1e} at the end."
    elif norms:
        seen += f"The first layer's gradient is {norms[0]:.1e}, the last one's {norms[-1]:.1e}."
    changes = [Change("optimiser.lr", float(f"{trial.rate / 10:.2g}"))]
    if not better and record.asked.fresh:
        fewer = max(1, record.asked.layers // 4)
        changes += [Change("model.options.layers", fewer)] * (fewer < record.asked.layers)
        changes += [Change("model.options.positions", "rotary")] * (record.asked.positions != "rotary")
    means = "It cannot even memorise a few texts, so it will not learn many."
    if better and calmer is not None:
        means = (
            f"At a tenth of the rate it knows them after {len(calmer.losses)} steps: the rate is too high."
        )
    return Finding(
        check="not_by_heart",
        # How far a trial comes in its time depends on what else the machine does.
        weight="notable" if trial.ended == "time" and not dead else "grave",
        sureness="certain" if better or (trial.ended in ("steps", "stopped") and dead) else "likely",
        seen=seen,
        means=means,
        changes=tuple(changes),
        read=READ,
    )


def _cut_short(trial: ByHeart) -> bool:
    """Whether time ended the trial while its loss still fell."""
    third = len(trial.losses) // 3
    if trial.ended != "time" or not third:
        return False
    return mean(trial.losses[-third:]) < mean(trial.losses[-2 * third : -third])


def _ending(trial: ByHeart) -> str:
    steps = (
        f"{len(trial.losses)} of {trial.limit} steps"
        if trial.ended == "time"
        else f"{len(trial.losses)} steps"
    )
    why = {"time": ", where the time was up,", "diverged": ", where it was no number any more,"}
    return f"After {steps}{why.get(trial.ended, '')} at a rate of {trial.rate:g}"


def rate_over_cliff(record: Preflight) -> Finding | None:
    """The recipe's learning rate is where the range test's loss rises."""
    tested, lr = record.range_test, record.asked.lr
    if tested is None or tested.cliff is None or lr * NEAR_CLIFF < tested.cliff:
        return None
    over = lr >= tested.cliff
    return Finding(
        check="rate_over_cliff",
        weight="grave" if over else "notable",
        sureness="likely" if over else "possible",
        seen=f"The recipe's learning rate is {lr:g}; in the range test the loss rises from "
        f"{tested.cliff:.1g} on.",
        means="The updates throw the weights about."
        if over
        else "The rate is close to where updates break up.",
        changes=(Change("optimiser.lr", float(f"{tested.cliff / 10:.1g}")),),
        read="arXiv 1506.01186",
    )


def rate_too_small(record: Preflight) -> Finding | None:
    """All updates of the run together move the weights less far than the loss needs to begin to fall."""
    tested, asked = record.range_test, record.asked
    if tested is None or tested.reach is None or tested.falls_at is None or not asked.steps:
        return None
    if asked.optimiser in OWN_RATES or asked.reach >= tested.reach:
        return None
    return Finding(
        check="rate_too_small",
        weight="grave",
        sureness="likely",
        seen=f"The rates of all {asked.steps:,} updates add up to {asked.reach:.1e}; in the range test the "
        f"loss of a few texts began to fall after {tested.reach:.1e}.",
        means="Adam moves a weight by about the rate at each update: the run will end about where it begins.",
        changes=(Change("optimiser.lr", float(f"{tested.falls_at:.1g}")),),
        read="arXiv 1506.01186",
    )


def memory(record: Preflight) -> Finding | None:
    """The run needs more memory than there is."""
    cost = record.cost
    if cost is None or cost.available is None or cost.peak - cost.base < SMALL_RESERVE * cost.available:
        return None
    smaller = Change("batch.sequences", max(1, record.asked.at_once // 4))
    if record.asked.phase == "pretrain":
        smaller = Change("batch.at_once", max(record.asked.max_length, record.asked.at_once // 4))
    return Finding(
        check="memory",
        weight="grave",
        sureness="likely",
        seen=f"The run needs about {(cost.peak - cost.base) / 1e9:.1f} GB more, "
        f"{cost.activations / 1e9:.1f} GB for the largest batch; {cost.available / 1e9:.1f} GB are free.",
        means="It will be killed, or swap.",
        changes=(smaller, Change(words="a smaller model")),
        read=READ,
    )


PREFLIGHT_CHECKS: tuple[Callable[[Preflight], Finding | None], ...] = (
    rows.rare_label,
    rows.accuracy_of_imbalance,
    rows.labels_differ,
    rows.batches_of_one_label,
    rows.file_order,
    rows.leaks,
    rows.contradictions,
    rows.duplicates,
    text.pads_visible,
    text.truncated,
    text.unknown_pieces,
    text.chopped_words,
    text.vocabulary_case,
    text.text_repeated,
    text.few_updates,
    embedding_scale,
    loss_at_start,
    gradient_by_layer,
    inputs_alike,
    frozen_fresh,
    rate_too_high,
    not_by_heart,
    rate_over_cliff,
    rate_too_small,
    memory,
)


def check(record: Preflight) -> list[Finding]:
    """What all checks find, the gravest first."""
    found = [finding for row in PREFLIGHT_CHECKS if (finding := row(record)) is not None]
    return by_weight(found)
