"""The variants of a stage beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bertkit.recipe import PretrainRecipe
from bertkit.studies.outcomes import FinetuneOutcome, Outcome, Runs, outcome
from bertkit.studies.plan import Planned
from bertkit.studies.yardstick import yardstick_of
from bertkit.tasks.kinds import METRICS
from bertkit.tasks.metrics import middle, paired_samples


@dataclass(frozen=True)
class Difference:
    """Mean score of a variant less that of another, with an interval that pairs the rows."""

    to: str
    value: float
    interval: tuple[float, float]

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.interval
        return low > 0 or high < 0


def difference(one: Outcome | None, other: Outcome | None, to: str) -> Difference | None:
    """How one fine-tuning's score differs from another's over the same dev rows; None of anything else."""
    if not isinstance(one, FinetuneOutcome) or not isinstance(other, FinetuneOutcome):
        return None
    ours, theirs = (each.answers[0].targets.values for each in (one, other))
    if one.metric != other.metric or not np.array_equal(ours, theirs):
        return None
    adds = [[answers.adds for answers in each.answers] for each in (one, other)]
    interval = middle(paired_samples(METRICS[one.metric], *adds))
    return Difference(to, one.score - other.score, interval)


@dataclass(frozen=True)
class Row:
    """A variant in one stage."""

    name: str
    note: str
    runs: Runs
    outcome: Outcome | None
    difference: Difference | None

    def to_json(self) -> dict[str, Any]:
        """As `result.json` has it: without the single rows' answers."""
        found = {} if self.outcome is None else asdict(self.outcome)
        kept = {key: value for key, value in found.items() if key not in ("answers", "runs", "offsets")}
        return {
            "name": self.name,
            "note": self.note,
            "planned": self.runs.planned,
            "done": list(self.runs.done),
            "failed": {str(seed): why for seed, why in self.runs.failed.items()},
            **kept,
            "difference": None if self.difference is None else asdict(self.difference),
        }


def rows_of(planned: Sequence[Planned], stage: str) -> list[Row]:
    """A row for each variant: compared with the one it comes after, else with the first."""
    recipes = [run.recipe for variant in planned for run in variant.runs[stage][:1]]
    pretrained = [recipe for recipe in recipes if isinstance(recipe, PretrainRecipe)]
    yardstick = yardstick_of(pretrained) if pretrained else None
    found = {variant.name: outcome(variant.runs[stage], yardstick) for variant in planned}
    rows = []
    for variant in planned:
        runs, result = found[variant.name]
        to = variant.after or planned[0].name
        compared = None if to == variant.name else difference(result, found[to][1], to)
        rows.append(Row(variant.name, variant.note, runs, result, compared))
    return rows
