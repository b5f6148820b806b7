"""What a study says, on the terminal, the page and in documents: tables, and what they allow one to say."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bertkit.diagnose.groups import Difference, Finetuned, Pretrained
from bertkit.diagnose.wording import duration, with_interval
from bertkit.studies.variants import Row
from bertkit.tasks.metrics import mean_interval

COMPARED = "compared with"
ALIKE = "loss, masked alike [95 %]"
"""Where variants mask differently: all of them at the tokens that the first one's masking hides."""
FEW_SEEDS = 3
SHORT_LIST = 4
"""Names that a sentence has room for."""

Lines = tuple[list[str], list[list[str]]]
"""Heads, and a line for each variant."""


class Column(NamedTuple):
    """Of a table: its head, the cell of a row and its group, and whether only a page has room for it."""

    head: str
    cell: Callable[[Row, Any], str]
    wide: bool = False


_LENGTH = (
    Column("steps", lambda row, one: f"{one.steps:,}", wide=True),
    Column("time a seed", lambda row, one: duration(one.seconds / len(one.scores)), wide=True),
)


def lines_of(rows: Sequence[Row], *, brief: bool = False) -> Lines:
    """The table of one stage; `brief` leaves out what does not fit into a terminal."""
    groups = [row.group for row in rows if row.group is not None]
    pretrained = any(isinstance(group, Pretrained) for group in groups)
    columns = _pretrained_columns(rows) if pretrained else _finetuned_columns(groups)
    columns = [column for column in columns if not (brief and column.wide)]
    lines = [
        [row.name, *(column.cell(row, row.group) for column in columns)]
        if row.group
        else [row.name, why_not(row), *[""] * (len(columns) - 1)]
        for row in rows
    ]
    return ["variant", *(column.head for column in columns)], lines


def _finetuned_columns(groups: Sequence[Any]) -> list[Column]:
    name, besides = "score", []
    if groups:
        metric, usual = groups[0].metric, groups[0].kind.metric("")
        # Where the score is by the usual metric, once is enough.
        name, besides = metric.title, [usual] * (usual != metric)
    return [
        Column("train loss", lambda row, one: f"{one.train_loss:.3f}"),
        Column("below baseline loss", lambda row, one: f"{one.off_floor}/{len(one.scores)}", wide=True),
        *(
            Column(each.title, lambda row, one: f"{one.metrics[usual.name]:.3f}", wide=True)
            for each in besides
        ),
        Column(f"{name} [95 %]", lambda row, one: with_interval(one.score, one.interval)),
        Column("collapsed", lambda row, one: _collapsed(one)),
        *_LENGTH,
        Column(
            "difference [95 %]",
            lambda row, one: _difference_of(row.difference) if row.difference else "",
            wide=True,
        ),
        Column(COMPARED, lambda row, one: row.to if row.difference else "", wide=True),
    ]


def _pretrained_columns(rows: Sequence[Row]) -> list[Column]:
    alike = any(row.alike for row in rows)
    pairs = any(row.group.pairs is not None for row in rows if isinstance(row.group, Pretrained))
    return [
        Column(
            "held-out loss [95 %]",
            lambda row, one: (
                with_interval(one.score, one.interval) + ("" if one.heldout else " (of training)")
            ),
        ),
        Column("of the seeds", lambda row, one: ", ".join(f"{loss:.3f}" for loss in one.scores)),
        *[Column(ALIKE, lambda row, one: _mean_of(row.alike))] * alike,
        Column("right", lambda row, one: with_interval(one.accuracy, form=".1%")),
        *[Column("pairs right", lambda row, one: with_interval(one.pairs, form=".1%"))] * pairs,
        Column(
            "off the plateau by step",
            lambda row, one: ", ".join("never" if step is None else f"{step:,}" for step in one.through_at),
        ),
        Column(
            "most on a neighbour",
            lambda row, one: f"{row.offsets.strongest:.0%}" if row.offsets else "text is gone",
        ),
        *_LENGTH,
    ]


def _collapsed(one: Finetuned) -> str:
    broken = one.statuses.count("diverged")
    told = f"{one.statuses.count('collapsed')}/{len(one.scores)}"
    return told + (f", {broken} diverged" if broken else "")


def _mean_of(losses: Sequence[float]) -> str:
    return with_interval(statistics.mean(losses), mean_interval(losses)) if losses else ""


def _difference_of(found: Difference) -> str:
    return with_interval(found.value, found.interval, "+.3f")


def why_not(row: Row) -> str:
    """What stands where figures would, for a variant without any."""
    if row.failed:
        return f"failed: {next(iter(row.failed.values()))}"
    return "not run yet"


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for documents."""
    rows = [heads, ["---"] + ["--:"] * (len(heads) - 1), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def say(rows: Sequence[Row]) -> list[str]:
    """Sentences about one stage of a study, the most important ones first."""
    pretrained = [(row, row.group) for row in rows if isinstance(row.group, Pretrained)]
    finetuned = [(row, row.group) for row in rows if isinstance(row.group, Finetuned)]
    told = _pretraining(pretrained) if pretrained else []
    told += _finetuning(finetuned) if finetuned else []
    return [*told, *_gaps(rows)]


def _finetuning(found: Sequence[tuple[Row, Finetuned]]) -> list[str]:
    metric, blind = found[0][1].metric, found[0][1].kind.baselines[0]
    best_row, best = found[metric.best([one.score for _, one in found])]
    low, high = best.interval
    best_of, above, down = ("highest", "above", "down") if metric.higher else ("lowest", "below", "up")
    level = best.baselines[blind.name]
    beyond = f"lies {above}" if metric.beats(best.interval, level) else f"reaches {down} to"
    told = [
        f"The {best_of} {metric.title} is {best.score:.3f} [{low:.3f}, {high:.3f}], of {best_row.name!r}; "
        f"its interval {beyond} the {level:.3f} of {blind.words}."
        + (f" It is the best of {len(found)} on the same rows: a new set would show less." * (len(found) > 2))
    ]
    return [*_stuck(found), *_diverged(found), *told, *_differences(found, metric.title)]


def _diverged(found: Sequence[tuple[Row, Finetuned]]) -> list[str]:
    """Whose scores are those of a model that broke."""
    broken = {row.name: (one.statuses.count("diverged"), len(one.scores)) for row, one in found}
    names = [f"{name!r} ({count} of {seeds} seeds)" for name, (count, seeds) in broken.items() if count]
    told = f"The loss was no number any more in {', '.join(names)}: its scores are those of before."
    return [told] * bool(names)


def _stuck(found: Sequence[tuple[Row, Finetuned]]) -> list[str]:
    """Which variants' training loss left the one of who knows how the targets are spread."""
    off = [row.name for row, one in found if one.off_floor == len(one.scores)]
    sometimes = [
        f"{row.name!r} ({one.off_floor} of {len(one.scores)} seeds)"
        for row, one in found
        if 0 < one.off_floor < len(one.scores)
    ]
    never = [row.name for row, one in found if not one.off_floor]
    floor = f"{found[0][1].floor:.3f}"
    left = f"The training loss left {found[0][1].kind.floor_words} ({floor})"
    if not never and not sometimes:
        return [f"{left} in every run."]
    told = []
    if off:
        told.append(f"{left} in every seed of {_which(off, found)}.")
    if sometimes:
        told.append(f"{'It did so' if told else left} in some seeds of {', '.join(sometimes)}.")
    if never:
        where = "It stayed there" if told else f"The training loss stayed at {floor}"
        told.append(f"{where} in every seed of {_which(never, found)}.")
    return told


def _differences(groups: Sequence[tuple[Row, Finetuned]], name: str) -> list[str]:
    compared = [(row, row.difference) for row, _ in groups if row.difference is not None]
    if not compared:
        return []
    clear = [
        f"{row.name!r} against {row.to!r} {_difference_of(found)}" for row, found in compared if found.clear
    ]
    count = len(compared)
    if not clear:
        which = "The one difference" if count == 1 else f"None of the {count} differences"
        verb = "within" if count == 1 else "beyond"
        return [f"{which} in {name} is {verb} what rows and seeds scatter."]
    others = count - len(clear)
    what = "other is" if others == 1 else f"other {others} are"
    rest = f" The {what} within what rows and seeds scatter." if others else ""
    enough = min(len(one.scores) for _, one in groups) >= FEW_SEEDS
    chance = (
        f"By chance alone about {0.05 * count:.1f} of so many would."
        if enough
        else "With fewer than three seeds of a variant, chance makes more of them than the intervals say."
    )
    head = "The difference" if count == 1 else f"Of {count} differences"
    these = "leaves" if count == 1 else f"in {name} these leave"
    return [f"{head} {these} out 0: {'; '.join(clear)}.{rest} {chance}"]


def _pretraining(found: Sequence[tuple[Row, Pretrained]]) -> list[str]:
    unigram = found[0][1].floors["unigram"]
    through = []
    for row, one in found:
        steps = [step for step in one.through_at if step is not None]
        if steps:
            seeds = len(one.through_at)
            some = "" if len(steps) == seeds else f" in {len(steps)} of {seeds} seeds"
            through.append(f"{row.name!r} by step {_range(steps)}{some}")
    stuck = [(row.name, one.steps) for row, one in found if all(step is None for step in one.through_at)]
    told = []
    if through:
        told.append(f"Off the unigram plateau ({unigram:.2f} nats) were {'; '.join(through)}.")
    if stuck:
        names, made = zip(*stuck, strict=True)
        told.append(f"Still on it after {_range(made)} steps: {_listed(names)}.")
    return [*told, *_lowest(found)]


def _lowest(found: Sequence[tuple[Row, Pretrained]]) -> list[str]:
    """Which variant restores best: by the loss at the same tokens where their own are of other tasks."""
    alike = all(row.alike for row, _ in found)
    losses = {row.name: row.alike if alike else one.scores for row, one in found}
    best = min(losses, key=lambda name: statistics.mean(losses[name]))
    heldout = all(one.heldout for _, one in found)
    own = "held-out loss" if heldout else "loss (of training, without held-out text)"
    where = "loss at the same held-out tokens" if alike else own
    told = [f"The lowest {where} is {statistics.mean(losses[best]):.3f}, of {best!r}."]
    close = [name for name in losses if name != best and min(losses[name]) <= max(losses[best])]
    if close:
        told.append(f"The seeds of {_listed(close)} reach into its range: no difference is shown there.")
    return told


def _gaps(rows: Sequence[Row]) -> list[str]:
    """What is missing, and what may therefore not be said."""
    told = []
    failed = [
        f"{row.name!r} (seed {seed}: {why})" for row in rows for seed, why in sorted(row.failed.items())
    ]
    if failed:
        told.append(f"Failed: {'; '.join(failed)}.")
    waiting = [row.name for row in rows if len(row.done) + len(row.failed) < len(row.runs)]
    if waiting:
        told.append(f"Not run to the end yet: {_which(waiting, rows)}.")
    few = min((len(row.done) for row in rows if row.done), default=0)
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
