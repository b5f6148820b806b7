"""The rows of a study as texts: for the terminal, the page and documents alike."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bertkit.diagnose.wording import duration, title
from bertkit.studies.outcomes import FinetuneOutcome, PretrainOutcome
from bertkit.studies.rows import Row
from bertkit.tasks.metrics import mean_interval

COMPARED = "compared with"
ALIKE = "loss, masked alike [95 %]"
"""Where variants mask differently: all of them at the pieces that the first one's masking hides."""
WIDE = ("accuracy", "off the prior", "difference [95 %]", COMPARED, "steps", "time a seed")
"""Columns that only a page has room for."""

Lines = tuple[list[str], list[list[str]]]
"""Heads, and a line for each variant."""


def lines_of(rows: Sequence[Row], *, brief: bool = False) -> Lines:
    """The table of one stage; `brief` leaves out what does not fit into a terminal."""
    pretrained = any(isinstance(row.outcome, PretrainOutcome) for row in rows)
    heads, lines = _pretrain(rows) if pretrained else _finetune(rows)
    if not brief:
        return heads, lines
    kept = [place for place, head in enumerate(heads) if head not in WIDE]
    return [heads[place] for place in kept], [[line[place] for place in kept] for line in lines]


def _finetune(rows: Sequence[Row]) -> Lines:
    metrics = [row.outcome.metric for row in rows if isinstance(row.outcome, FinetuneOutcome)]
    name = title(metrics[0]) if metrics else "score"
    # Where the score is the accuracy, once is enough.
    besides = ["accuracy"] * (name != "accuracy")
    heads = ["variant", "train loss", "off the prior", *besides, f"{name} [95 %]", "collapsed", "steps"]
    heads += ["time a seed", "difference [95 %]", COMPARED]
    lines = []
    for row in rows:
        one = row.outcome
        if not isinstance(one, FinetuneOutcome):
            lines.append([row.name, why_not(row), *[""] * (len(heads) - 2)])
            continue
        seeds, d = len(one.scores), row.difference
        lines.append(
            [
                row.name,
                f"{one.train_loss:.3f}",
                f"{one.off_prior}/{seeds}",
                *[f"{one.accuracy:.3f}"] * len(besides),
                _with(one.score, one.interval),
                f"{one.collapsed}/{seeds}" + (f", {one.diverged} diverged" if one.diverged else ""),
                f"{one.steps:,}",
                duration(one.seconds / seeds),
                "" if d is None else f"{d.value:+.3f} [{d.interval[0]:+.3f}, {d.interval[1]:+.3f}]",
                "" if d is None else d.to,
            ]
        )
    return heads, lines


def _pretrain(rows: Sequence[Row]) -> Lines:
    alike = any(row.outcome.alike for row in rows if isinstance(row.outcome, PretrainOutcome))
    pairs = any(row.outcome.pairs is not None for row in rows if isinstance(row.outcome, PretrainOutcome))
    heads = ["variant", "held-out loss [95 %]", "of the seeds", *[ALIKE] * alike, "right"]
    heads += ["pairs right"] * pairs
    heads += ["off the plateau by step", "most on a neighbour", "steps", "time a seed"]
    lines = []
    for row in rows:
        one = row.outcome
        if not isinstance(one, PretrainOutcome):
            lines.append([row.name, why_not(row), *[""] * (len(heads) - 2)])
            continue
        lines.append(
            [
                row.name,
                _with(one.loss, one.interval) + ("" if one.heldout else " (of training)"),
                ", ".join(f"{loss:.3f}" for loss in one.losses),
                *[_with(statistics.mean(one.alike), mean_interval(one.alike)) if one.alike else ""] * alike,
                "" if one.accuracy is None else f"{one.accuracy:.1%}",
                *["" if one.pairs is None else f"{one.pairs:.1%}"] * pairs,
                ", ".join("never" if step is None else f"{step:,}" for step in one.through_at),
                "text is gone" if one.offsets is None else f"{one.offsets.strongest()[-1]:.0%}",
                f"{one.steps:,}",
                duration(one.seconds / len(one.losses)),
            ]
        )
    return heads, lines


def _with(value: float, interval: tuple[float, float] | None) -> str:
    """A figure with its interval, if it has one."""
    return f"{value:.3f}" + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")


def why_not(row: Row) -> str:
    """What stands where figures would, for a variant without any."""
    if row.runs.failed:
        return f"failed: {next(iter(row.runs.failed.values()))}"
    return "not run yet"


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table for documents."""
    rows = [heads, ["---"] + ["--:"] * (len(heads) - 1), *lines]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
