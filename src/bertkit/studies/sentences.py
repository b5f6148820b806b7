"""What the results of a study allow one to say, and what not."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bertkit.diagnose.wording import title
from bertkit.studies.outcomes import FinetuneOutcome, PretrainOutcome
from bertkit.studies.rows import Row

FEW_SEEDS = 3
SHORT_LIST = 4
"""Names that a sentence has room for."""


def say(rows: Sequence[Row]) -> list[str]:
    """Sentences about one stage of a study, the most important ones first."""
    pretrained = [(row, row.outcome) for row in rows if isinstance(row.outcome, PretrainOutcome)]
    finetuned = [(row, row.outcome) for row in rows if isinstance(row.outcome, FinetuneOutcome)]
    told = _pretraining(pretrained) if pretrained else []
    told += _finetuning(finetuned) if finetuned else []
    return [*told, *_gaps(rows)]


def _finetuning(found: Sequence[tuple[Row, FinetuneOutcome]]) -> list[str]:
    name = title(found[0][1].metric)
    best_row, best = max(found, key=lambda pair: pair[1].score)
    low, high = best.interval
    beyond = "lies above" if low > best.majority else "reaches down to"
    told = [
        f"The highest {name} is {best.score:.3f} [{low:.3f}, {high:.3f}], of {best_row.name!r}; its interval "
        f"{beyond} the {best.majority:.3f} of always answering the majority."
        + (f" It is the best of {len(found)} on the same rows: a new set would show less." * (len(found) > 2))
    ]
    return [*_stuck(found), *_diverged(found), *told, *_differences(found, name)]


def _diverged(found: Sequence[tuple[Row, FinetuneOutcome]]) -> list[str]:
    """Whose scores are those of a model that broke."""
    broken = [
        f"{row.name!r} ({one.diverged} of {len(one.scores)} seeds)" for row, one in found if one.diverged
    ]
    return [
        f"The loss was no number any more in {', '.join(broken)}: its scores are those of before."
    ] * bool(broken)


def _stuck(found: Sequence[tuple[Row, FinetuneOutcome]]) -> list[str]:
    """Which variants' training loss left the entropy of the labels."""
    off = [row.name for row, one in found if one.off_prior == len(one.scores)]
    sometimes = [
        f"{row.name!r} ({one.off_prior} of {len(one.scores)} seeds)"
        for row, one in found
        if 0 < one.off_prior < len(one.scores)
    ]
    never = [row.name for row, one in found if not one.off_prior]
    prior = found[0][1].prior
    if not never and not sometimes:
        return [f"The training loss left the entropy of the labels' shares ({prior:.3f}) in every run."]
    told = []
    if off:
        told.append(
            f"The training loss left the entropy of the labels' shares ({prior:.3f}) in every seed of "
            f"{_which(off, found)}."
        )
    if sometimes:
        what = (
            "It did so" if told else f"The training loss left the entropy of the labels' shares ({prior:.3f})"
        )
        told.append(f"{what} in some seeds of {', '.join(sometimes)}.")
    if never:
        where = "It stayed there" if told else f"The training loss stayed at {prior:.3f}"
        told.append(f"{where} in every seed of {_which(never, found)}.")
    return told


def _differences(found: Sequence[tuple[Row, FinetuneOutcome]], name: str) -> list[str]:
    compared = [(row, row.difference) for row, _ in found if row.difference is not None]
    if not compared:
        return []
    clear = [
        f"{row.name!r} against {d.to!r} {d.value:+.3f} [{d.interval[0]:+.3f}, {d.interval[1]:+.3f}]"
        for row, d in compared
        if d.clear
    ]
    count = len(compared)
    if not clear:
        which = "The one difference" if count == 1 else f"None of the {count} differences"
        verb = "within" if count == 1 else "beyond"
        return [f"{which} in {name} is {verb} what rows and seeds scatter."]
    others = count - len(clear)
    what = "other is" if others == 1 else f"other {others} are"
    rest = f" The {what} within what rows and seeds scatter." if others else ""
    enough = min(len(one.scores) for _, one in found) >= FEW_SEEDS
    chance = (
        f"By chance alone about {0.05 * count:.1f} of so many would."
        if enough
        else "With fewer than three seeds of a variant, chance makes more of them than the intervals say."
    )
    head = "The difference" if count == 1 else f"Of {count} differences"
    these = "leaves" if count == 1 else f"in {name} these leave"
    return [f"{head} {these} out 0: {'; '.join(clear)}.{rest} {chance}"]


def _pretraining(found: Sequence[tuple[Row, PretrainOutcome]]) -> list[str]:
    unigram = found[0][1].unigram
    through = []
    for row, one in found:
        steps = [step for step in one.through_at if step is not None]
        if steps:
            by = f"by step {_range(steps)}"
            some = (
                ""
                if len(steps) == len(one.through_at)
                else f" in {len(steps)} of {len(one.through_at)} seeds"
            )
            through.append(f"{row.name!r} {by}{some}")
    stuck = [(row.name, one.steps) for row, one in found if all(step is None for step in one.through_at)]
    told = []
    if through:
        told.append(f"Off the plateau of word frequencies ({unigram:.2f} nats) were {'; '.join(through)}.")
    if stuck:
        names, made = zip(*stuck, strict=True)
        told.append(f"Still on it after {_range(made)} steps: {_listed(names)}.")
    return [*told, *_lowest(found)]


def _lowest(found: Sequence[tuple[Row, PretrainOutcome]]) -> list[str]:
    """Which variant restores best: by the loss at the same pieces where their own are of other tasks."""
    alike = all(one.alike for _, one in found)
    losses = {row.name: one.alike if alike else one.losses for row, one in found}
    best = min(losses, key=lambda name: statistics.mean(losses[name]))
    where = (
        "held-out loss"
        if all(one.heldout for _, one in found)
        else "loss (of training, without held-out text)"
    )
    where = "loss at the same held-out pieces" if alike else where
    told = [f"The lowest {where} is {statistics.mean(losses[best]):.3f}, of {best!r}."]
    close = [name for name in losses if name != best and min(losses[name]) <= max(losses[best])]
    if close:
        told.append(f"The seeds of {_listed(close)} reach into its range: no difference is shown there.")
    return told


def _gaps(rows: Sequence[Row]) -> list[str]:
    """What is missing, and what may therefore not be said."""
    told = []
    failed = [
        f"{row.name!r} (seed {seed}: {why})" for row in rows for seed, why in sorted(row.runs.failed.items())
    ]
    if failed:
        told.append(f"Failed: {'; '.join(failed)}.")
    waiting = [row.name for row in rows if len(row.runs.done) + len(row.runs.failed) < row.runs.planned]
    if waiting:
        told.append(f"Not run to the end yet: {_which(waiting, rows)}.")
    few = min((len(row.runs.done) for row in rows if row.runs.done), default=0)
    if 0 < few < FEW_SEEDS:
        seeds = "one seed" if few == 1 else f"{few} seeds"
        told.append(
            f"With {seeds} of a variant, what another seed would give is hardly known: "
            "take small differences for noise."
        )
    return told


def _range(steps: Sequence[int]) -> str:
    first, last = min(steps), max(steps)
    return f"{last:,}" if first == last else f"{first:,} to {last:,}"


def _which(names: Sequence[str], found: Sequence[object]) -> str:
    """The names, or how many they are."""
    return _listed(names) if len(names) <= SHORT_LIST else f"{len(names)} of {len(found)} variants"


def _listed(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
