"""Runs side by side: their scores, and how far a difference is more than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertkit.config.terms import MASKED, PAIRS
from bertkit.diagnose.groups import (
    Difference,
    Finetuned,
    Group,
    Pretrained,
    group_of,
    loss_difference,
    read_finished,
    score_difference,
)
from bertkit.errors import UserError
from bertkit.runs.folder import check_is_run
from bertkit.runs.history import History, is_finetuning
from bertkit.runs.reader import read_history
from bertkit.tasks.registry import kind_of
from bertkit.version import __version__

Row = dict[str, Any]
PRETRAINING = "pretraining"
NOT_FINISHED = "not finished: it is going on, or was interrupted"
NO_ROWS = "only each run's own interval is given"
SAME_TOKENS = ("training.heldout_tokens", "batch.length")
"""Beside `objective.*`, the keys that decide which held-out tokens are masked, and how."""
OF_TRAINING = "objective.fixed_masks"


def compare(runs: Sequence[Path]) -> dict[str, Any]:
    """Lay runs of one kind, task and metric side by side; the first that is finished is what the others are
    compared with.

    Args:
        runs: two run folders or more.

    Returns:
        `kind` (of the task, or "pretraining"), `task` and `metric` (None of pretraining), `rows`, `first`
        (the run compared with; None where no run is finished), `remarks` (sentences on what the numbers do
        not say), `recipe` ({key: the value in each run}, of the keys that differ, as restarts left them),
        `version`. A row has `run`, `name` and `finished`; of a finished run also what it came to and its
        `difference` from the first: `value`, `interval` (None where there is none, and `why`), `ahead` (the
        share of the resampled sets of rows and seeds in which it is ahead; None of pretraining),
        `seeds_drawn` (False where a run has one seed, so that an interval is of rows only) and `words`.

    Raises:
        UserError: fewer than two runs, one of them twice, no run folder, a damaged one, or runs of different
            kinds, tasks or metrics.
    """
    for run in runs:
        check_is_run(run)
    _check_several(runs)
    histories = [read_history(run) for run in runs]
    finetuned = [is_finetuning(history) for history in histories]
    if len(set(finetuned)) > 1:
        one, other = (runs[finetuned.index(kind)] for kind in (False, True))
        raise UserError(f"{one} is a pretraining and {other} a fine-tuning; compare runs of one kind.")
    read = [read_finished(run, history) for run, history in zip(runs, histories, strict=True)]
    groups = {place: group_of([one]) for place, one in enumerate(read) if one is not None}
    _check_alike({runs[place]: group for place, group in groups.items()})
    recipe = differing([history.recipe.flat() for history in histories])
    first = next(iter(groups.values()), None)
    return {
        "kind": _kind(first) if first else _asked(histories[0]),
        "task": first.task if isinstance(first, Finetuned) else None,
        "metric": first.metric.name if isinstance(first, Finetuned) else None,
        "metric_title": first.metric.title if isinstance(first, Finetuned) else None,
        "rows": _rows(runs, groups, recipe),
        "first": str(runs[min(groups)]) if groups else None,
        "remarks": _remarks(list(groups.values())),
        "recipe": recipe,
        "version": __version__,
    }


def _check_several(runs: Sequence[Path]) -> None:
    if len(runs) < 2:
        raise UserError("Give two runs or more, to compare the others with the first.")
    places = [run.resolve() for run in runs]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UserError(f"{runs[number]} is given twice; a run is always like itself.")


def _check_alike(groups: Mapping[Path, Group]) -> None:
    """Refuse runs of other kinds and metrics, and of other tasks."""
    finetuned = {run: group for run, group in groups.items() if isinstance(group, Finetuned)}
    # Files of one's own give a task its name: other rows to train on and the same ones to score are no other.
    scored = {group.dev_fingerprint for group in finetuned.values()}
    told: dict[str, dict[str, Path]] = {
        "task": {group.task: run for run, group in finetuned.items()},
        "kind": {group.kind.name: run for run, group in finetuned.items()},
        "metric": {group.metric.title: run for run, group in finetuned.items()},
    }
    if len(scored) == 1 and "" not in scored:
        del told["task"]
    for key, values in told.items():
        if len(values) > 1:
            (one, here), (other, there), *_ = values.items()
            raise UserError(
                f"The {key} of {here} is {one!r}, and of {there} {other!r}; "
                "compare runs that were scored alike."
            )


def _kind(group: Group) -> str:
    return group.kind.name if isinstance(group, Finetuned) else PRETRAINING


def _asked(history: History) -> str:
    """The same of a run that has no result yet."""
    return kind_of(history.recipe.task).name if is_finetuning(history) else PRETRAINING


def _names(runs: Sequence[Path]) -> list[str]:
    """The folders' names where they tell the runs apart, else their paths."""
    short = [run.resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]


def _rows(
    runs: Sequence[Path], groups: Mapping[int, Group], recipe: Mapping[str, Sequence[Any]]
) -> list[Row]:
    """What each run came to, and how it differs from the first finished one; `groups` by place."""
    rows: list[Row] = []
    for place, (run, name) in enumerate(zip(runs, _names(runs), strict=True)):
        row: Row = {"run": str(run), "name": name, "finished": place in groups}
        if place not in groups:
            rows.append({**row, "why": NOT_FINISHED})
            continue
        first = min(groups)
        keys = [key for key, values in recipe.items() if values[place] != values[first]]
        apart = None if place == first else _difference(groups[first], groups[place], keys)
        rows.append({**row, **_came_to(groups[place]), "difference": apart})
    return rows


def _came_to(group: Group) -> Row:
    row: Row = {
        "score": group.score,
        "interval": None if group.interval is None else list(group.interval),
        "seeds": len(group.scores),
        "seed_scores": list(group.scores),
        "train_loss": None if math.isnan(group.train_loss) else group.train_loss,
        "seconds": group.seconds,
        "parameters": group.parameters,
    }
    if isinstance(group, Finetuned):
        learned, baselines = group.statuses.count("learned"), dict(group.baselines)
        return row | {"rows": group.rows, "learned": learned, "baselines": baselines}
    assert isinstance(group, Pretrained)
    return {
        **row,
        **({} if group.heldout else {"score": None, "interval": None, "seed_scores": []}),
        MASKED.accuracy: group.accuracy,
        PAIRS.accuracy: group.pairs,
        "floors": dict(group.floors),
        "steps": group.steps,
        "tokens": group.tokens,
    }


def _difference(first: Group, other: Group, keys: Sequence[str]) -> Row:
    """How a run differs from the first one; their recipes do by `keys`."""
    if isinstance(first, Finetuned) and isinstance(other, Finetuned):
        found = score_difference(other, first)
        words = _score_words(found, other.metric.higher)
    else:
        assert isinstance(first, Pretrained)
        assert isinstance(other, Pretrained)
        others = [key for key in keys if key.startswith("objective.") or key in SAME_TOKENS]
        others = [key for key in others if key != OF_TRAINING]
        found = loss_difference(other, first, same_tokens=not others)
        words = _loss_words(found, others)
    told = {key: value for key, value in asdict(found).items() if key != "samples"}
    return told | {"interval": found.interval and list(found.interval), "words": words}


def _score_words(found: Difference, higher: bool) -> str:
    if found.interval is None or found.ahead is None:
        return f"No interval of the difference: {found.why}; {NO_ROWS}."
    if found.interval == (0.0, 0.0):
        return "It scores the same on these rows, whichever are drawn."
    drawn = f"of {found.samples:,} resampled sets of rows{' and seeds' if found.seeds_drawn else ''}"
    rest = "" if found.seeds_drawn else " Rows only: another seed may differ."
    if not found.clear:
        share = f"{found.ahead:.0%}"
        return f"The two cannot be told apart on these rows: it is ahead in {share} {drawn}.{rest}"
    if (found.interval[0] > 0) == higher:
        return f"It is better: ahead in {found.ahead:.1%} {drawn}.{rest}"
    return f"It is worse: behind in {1 - found.ahead:.1%} {drawn}.{rest}"


def _loss_words(found: Difference, others: Sequence[str]) -> str:
    """Of held-out losses, where the recipes differ by the keys `others` that decide what is masked."""
    if found.value is None:
        return f"No difference: {found.why}."
    told = f"{'Lower' if found.value < 0 else 'Higher'} by {abs(found.value):.3f} nats"
    words = told if found.value else "The same loss"
    if found.interval is not None:
        words += ", more than seeds scatter" if found.clear else ", no more than seeds scatter"
    if others:
        verb = "differs" if len(others) == 1 else "differ"
        words += f", but not of the same masked tokens: {', '.join(others)} {verb}"
    return f"{words}."


def _remarks(groups: Sequence[Group]) -> list[str]:
    """What the numbers do not say, a sentence each."""
    finetuned = [group for group in groups if isinstance(group, Finetuned)]
    pretrained = [group for group in groups if isinstance(group, Pretrained)]
    told = []
    if any(len(group.scores) == 1 for group in finetuned):
        told.append("Of one seed no interval tells how much another seed would change: --seeds 5 does.")
    if finetuned:
        told.append("The best epochs were chosen on the rows that are scored: other rows may score lower.")
    single = [len(group.scores) == 1 for group in pretrained]
    if len(single) > 1 and any(single) and not all(single):
        told.append("Where a run has one seed, a difference has no interval: --seeds 3 gives one.")
    elif len(single) > 1 and all(single):
        told.append(
            "Differences have no interval: a run keeps the mean loss of its held-out text, and has one seed. "
            "Runs from other seeds would say how much is chance."
        )
    return told


def differing(recipes: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The keys whose values are not the same in all recipes, with the value in each; None where it has none.

    A table in a recipe, such as `model.options`, counts key by key.
    """
    flat = [
        {
            f"{key}.{part}" if part else key: one
            for key, value in recipe.items()
            for part, one in (value.items() if isinstance(value, Mapping) else [("", value)])
        }
        for recipe in recipes
    ]
    names = dict.fromkeys(name for keys in flat for name in keys)
    values = {name: [keys.get(name) for keys in flat] for name in names}
    return {name: found for name, found in values.items() if any(each != found[0] for each in found)}
