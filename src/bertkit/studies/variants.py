"""The variants of a stage beside each other: what the runs of each found, and how two of them differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bertkit.diagnose.groups import (
    Difference,
    Finetuned,
    FinishedRun,
    Group,
    Pretrained,
    group_of,
    read_finished,
    score_difference,
)
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.runs.reader import read_history
from bertkit.studies.measures import Offsets, Yardstick, look, yardstick_of
from bertkit.studies.plan import Planned, Run
from bertkit.studies.runner import failure, state


@dataclass(frozen=True)
class Row:
    """A variant in one stage.

    Attributes:
        name: of the variant.
        note: on it.
        runs: that were planned, one a seed.
        done: the seeds that are; `failed` says why others are not.
        failed: by seed.
        group: what the models of the runs came to; None where none is done.
        to: the variant that it is compared with; "" of none.
        difference: of its score; None of a pretraining, and where there is nothing to compare.
        alike: losses of pretrained models where all variants restore the same tokens; empty where their own
            compare, or a model is gone.
        offsets: where the heads of the first pretrained model look; None where its text can't be read.
    """

    name: str
    note: str
    runs: Sequence[Run]
    done: tuple[int, ...] = ()
    failed: Mapping[int, str] = field(default_factory=dict)
    group: Group | None = None
    to: str = ""
    difference: Difference | None = None
    alike: tuple[float, ...] = ()
    offsets: Offsets | None = None

    def to_json(self) -> dict[str, Any]:
        """As `result.json` has it: without the single rows' answers."""
        apart = self.difference
        return {
            "name": self.name,
            "note": self.note,
            "planned": len(self.runs),
            "done": list(self.done),
            "failed": {str(seed): why for seed, why in self.failed.items()},
            **self._came_to(),
            "difference": apart and {"to": self.to, "value": apart.value, "interval": apart.interval},
        }

    def _came_to(self) -> dict[str, Any]:
        group = self.group
        if isinstance(group, Finetuned):
            usual, blind = group.usual, group.kind.baselines[0].name
            return {
                "metric": group.metric.name,
                "score": group.score,
                "interval": group.interval,
                "scores": group.scores,
                usual: group.metrics[usual],
                blind: group.baselines[blind],
                "train_loss": group.train_loss,
                "prior": group.floor,
                "off_prior": group.off_floor,
                "collapsed": group.statuses.count("collapsed"),
                "diverged": group.statuses.count("diverged"),
                "steps": group.steps,
                "seconds": group.seconds,
            }
        if isinstance(group, Pretrained):
            return {
                "loss": group.score,
                "losses": group.scores,
                "interval": group.interval,
                "alike": self.alike,
                "heldout": group.heldout,
                "accuracy": group.accuracy,
                "pairs": group.pairs,
                "unigram": group.floors["unigram"],
                "through_at": group.through_at,
                "steps": group.steps,
                "tokens": group.tokens,
                "seconds": group.seconds,
            }
        return {}


def rows_of(planned: Sequence[Planned], stage: str) -> list[Row]:
    """A row for each variant: compared with the one it comes after, else with the first."""
    recipes = [run.recipe for variant in planned for run in variant.runs[stage][:1]]
    pretrained = [recipe for recipe in recipes if isinstance(recipe, PretrainRecipe)]
    yardstick = yardstick_of(pretrained) if pretrained else None
    rows = {variant.name: _row(variant, variant.runs[stage], yardstick) for variant in planned}
    compared = []
    for variant in planned:
        row, to = rows[variant.name], variant.after or planned[0].name
        difference = None if to == variant.name else _difference(row.group, rows[to].group)
        compared.append(replace(row, to=to, difference=difference))
    return compared


def _row(variant: Planned, runs: Sequence[Run], yardstick: Yardstick | None) -> Row:
    """What the runs of a variant found; a finished run whose files are damaged has failed.

    `yardstick` is what pretrainings are measured with beside their own held-out losses.
    """
    failed = {seed: failure(run) for seed, run in enumerate(runs) if state(run) == "failed"}
    finished: dict[int, FinishedRun] = {}
    for seed, run in enumerate(runs):
        if state(run) == "done":
            try:
                finished[seed] = _read(run)
            except (OSError, ValueError, UserError) as error:
                failed[seed] = f"{run.folder} is damaged ({error}); remove it, and it is run again"
    row = Row(variant.name, variant.note, runs, tuple(finished), failed)
    if not finished:
        return row
    group = group_of(list(finished.values()), drawn=True)
    if isinstance(group, Finetuned):
        return replace(row, group=group)
    done = [runs[seed] for seed in finished]
    return replace(row, group=group, alike=_alike(done, yardstick), offsets=_offsets(done[0]))


def _read(run: Run) -> FinishedRun:
    """What a finished run tells.

    Raises:
        UserError: its folder is damaged, or does not tell what a study says.
    """
    found = read_finished(run.folder, read_history(run.folder))
    if found is None:
        raise UserError("it has lost its result")
    group = group_of([found])
    told = [group.score]
    if isinstance(group, Finetuned):
        if not group.answers:
            raise UserError("its seed's answers are not there")
        if math.isnan(group.train_loss):
            raise UserError("its log does not tell a training loss")
        told.append(math.nan if group.floor is None else group.floor)
        told.append(group.metrics.get(group.usual, math.nan))
        told.append(group.baselines.get(group.kind.baselines[0].name, math.nan))
    if any(map(math.isnan, told)):
        raise UserError("its result does not tell its scores")
    return found


def _difference(one: Group | None, other: Group | None) -> Difference | None:
    """How one fine-tuning's score differs from another's over the same dev rows; None of anything else."""
    if not isinstance(one, Finetuned) or not isinstance(other, Finetuned):
        return None
    found = score_difference(one, other, known_rows=True)
    return None if found.interval is None else found


def _alike(runs: Sequence[Run], yardstick: Yardstick | None) -> tuple[float, ...]:
    """By the yardstick; empty without one, and where a model is gone."""
    if yardstick is None:
        return ()
    try:
        return tuple(yardstick.loss_of(run.folder) for run in runs)
    except UserError:
        return ()


def _offsets(run: Run) -> Offsets | None:
    assert isinstance(run.recipe, PretrainRecipe), "a pretraining has a recipe of its kind"
    try:
        return look(run.folder, run.recipe)
    except UserError:
        return None
