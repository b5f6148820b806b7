"""A run folder as the history that the checks of runs judge: its recipe, its logs, and what came of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bertkit.diagnose.logs import PretrainLog, SeedLog, read_pretrain_log, read_seed_log
from bertkit.errors import UserError
from bertkit.health.watch import NEWEST, THROUGH
from bertkit.recipe import BaseRecipe, PretrainRecipe, Recipe
from bertkit.recipe.kinds import kind_of_recipe
from bertkit.runs.folder import RECIPE, RESULT, STOPPED
from bertkit.runs.history import (
    NAN,
    FinetuneHistory,
    Outcome,
    PretrainHistory,
    Scores,
    SeedHistory,
)
from bertkit.runs.log import METRICS
from bertkit.runs.records import Record, read_object
from bertkit.runs.restarts import read_restarts, settings, with_settings
from bertkit.runs.result import SEED_RESULT
from bertkit.tasks.metrics import entropy
from bertkit.version import __version__

History = FinetuneHistory | PretrainHistory
AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)
SEED_FOLDER = re.compile(r"seed-(\d+)")


def read_history(run: Path) -> History:
    """What a run of either kind went through so far.

    Raises:
        UserError: `run` is no run folder (what it is instead is said, where that can be told), it cannot be
            read, a file in it is damaged, or it is of a newer bertkit.
    """
    check_is_run(run)
    result = read_result(run)
    if is_pretraining_recipe(run / RECIPE):
        return _pretraining(run, _recipe(PretrainRecipe, run), result)
    return _finetuning(run, _recipe(Recipe, run), result)


def restart_settings(run: Path) -> dict[str, Any]:
    """What restarts changed in a run's recipe, by `section.key`; of several seeds what all changed alike.

    Raises:
        UserError: a seed's list of restarts is damaged.
    """
    found = [settings(read_restarts(folder)) for folder in seed_folders(run).values()]
    first = found[0] if found else {}
    return {key: value for key, value in first.items() if all(each.get(key) == value for each in found)}


def check_is_run(run: Path) -> None:
    """See that `run` is a run folder.

    Raises:
        UserError: it is not; the sentence says what it is instead, and what to give.
    """
    try:
        if not run.exists():
            raise UserError(f"There is no run at {run}.")
        if not run.is_dir():
            raise UserError(
                f"{run} is a file; give the folder of a run, or name your own rows with --train and --dev."
            )
        names = {path.name for path in run.iterdir()}
    except OSError as error:
        raise UserError(f"{run} cannot be read ({error.strerror}).") from None
    if RECIPE in names:
        return
    what = f"{run} is no run folder: it has no {RECIPE}."
    if SEED_FOLDER.fullmatch(run.resolve().name) and (run.resolve().parent / RECIPE).is_file():
        raise UserError(f"{run} is one seed of a run; give the run, {run.parent}.")
    if "study.toml" in names:
        raise UserError(f"{what} It is a study's: `bertkit study` says what its runs came to.")
    if runs := sorted(name for name in names if (run / name / RECIPE).is_file()):
        raise UserError(f"{what} There are runs in it: give one of {', '.join(runs[:5])}.")
    if "config.json" in names:
        raise UserError(f"{what} It is a model folder; give the run that made it.")
    raise UserError(f"{what} Give the folder that -o named.")


def read_result(run: Path) -> Record | None:
    """What `result.json` holds; None where the run has not come to its end.

    Raises:
        UserError: it is damaged, or of a newer bertkit than this one.
    """
    result = read_object(run / RESULT)
    if result is not None and result.has("version"):
        version = result.text("version")
        if _newer(version):
            raise UserError(
                f"{run / RESULT} is of bertkit {version}, and this is {__version__}; update bertkit."
            )
    return result


def _newer(version: str) -> bool:
    """Whether a version is newer than this one, or is none that this one knows how to read."""
    numbers = [re.match(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?", text) for text in (version, __version__)]
    if numbers[0] is None or numbers[1] is None:
        return True
    theirs, ours = ([int(part or 0) for part in found.groups()] for found in numbers if found)
    return theirs > ours


def is_pretraining_recipe(path: Path) -> bool:
    """Whether a recipe is one of pretraining. False where it cannot be read."""
    try:
        return kind_of_recipe(path) is PretrainRecipe
    except UserError:
        return False


def _recipe(kind: type[AnyRecipe], run: Path) -> AnyRecipe:
    try:
        return kind.from_toml(run / RECIPE)
    except UserError as error:
        if "There is no recipe key" not in str(error):
            raise
        raise UserError(
            f"{error} Perhaps the run is of a newer bertkit than this one, {__version__}."
        ) from None


def seed_folders(run: Path) -> dict[int | None, Path]:
    """The folders of a fine-tuning run's seeds by seed; None stands for the only one, in the run itself."""
    if (run / METRICS).is_file():
        return {None: run}
    found = {int(match[1]): path for path in run.iterdir() if (match := SEED_FOLDER.fullmatch(path.name))}
    return {seed: found[seed] for seed in sorted(found)}


def _finetuning(run: Path, recipe: Recipe, result: Record | None) -> FinetuneHistory:
    seeds = []
    for seed, folder in seed_folders(run).items():
        log = read_seed_log(folder / METRICS) if (folder / METRICS).is_file() else SeedLog()
        done = read_object(folder / SEED_RESULT)
        seeds.append(
            SeedHistory(
                recipe.training.seed if seed is None else seed,
                log.steps,
                log.evaluations,
                log.health,
                None if done is None else _outcome(done),
                log.broke.step if log.broke else None,
                read_restarts(folder),
            )
        )
    changes = restart_settings(run)
    recipe = with_settings(recipe, changes)
    if result is None:
        return FinetuneHistory(recipe, seeds, prior=_prior_of(seeds), settings=changes)
    # Of other kinds of tasks the loss of one who knows the labels' shares is another one.
    shares = result.figures("label_shares") if recipe.task.kind == "classify" else {}
    return FinetuneHistory(
        recipe,
        seeds,
        _scores(result),
        entropy(list(shares.values())) if shares else _prior_of(seeds),
        changes,
    )


def _outcome(done: Record) -> Outcome:
    return Outcome(
        score=done.number("score"),
        status=done.text("status"),
        best_epoch=done.number("best_epoch"),
        seconds=done.number("seconds"),
    )


def _scores(result: Record) -> Scores:
    low, high = result.interval("interval")
    baselines = result.part("baselines")
    return Scores(
        metric=result.text("metric"),
        score=result.number("score"),
        low=low,
        high=high,
        majority=baselines.part("majority").number("score") if baselines.has("majority") else None,
        ngram=baselines.part("ngram").number("score") if baselines.has("ngram") else None,
        rows=result.whole("rows"),
    )


def _prior_of(seeds: Sequence[SeedHistory]) -> float | None:
    """As the health of a run that is not done tells it."""
    told = (record.prior_entropy for seed in seeds for record in seed.health)
    return next((value for value in told if value is not None and math.isfinite(value)), None)


def _pretraining(run: Path, recipe: PretrainRecipe, result: Record | None) -> PretrainHistory:
    log = read_pretrain_log(run / METRICS) if (run / METRICS).is_file() else PretrainLog()
    floors = log.floors if result is None else result.figures("floors")
    stopped = read_object(run / STOPPED)
    changes = restart_settings(run)
    return PretrainHistory(
        with_settings(recipe, changes),
        log.steps,
        log.heldout,
        log.health,
        floors,
        through_at=_through_at(result, log, floors),
        finished=result is not None,
        stopped="" if stopped is None else stopped.text("why"),
        epochs=NAN if result is None else result.number("epochs", NAN),
        long_from=result.whole("long_from") if result is not None and result.has("long_from") else None,
        seconds=NAN if result is None else result.number("seconds", NAN),
        broke=log.broke.step if log.broke else None,
        restarts=read_restarts(run),
        settings=changes,
    )


def _through_at(result: Record | None, log: PretrainLog, floors: Mapping[str, float]) -> int | None:
    """As the result says, and before there is one as the run itself would say by now.

    Without held-out text that is what the training loss says, smoothed as the run does it.
    """
    if result is not None:
        return result.whole("through_at") if result.has("through_at") else None
    if "unigram" not in floors:
        return None
    losses = [(each.step, each.loss) for each in log.heldout] or _smoothed(log)
    return next((step for step, loss in losses if loss < THROUGH * floors["unigram"]), None)


def _smoothed(log: PretrainLog) -> list[tuple[int, float]]:
    """The training loss by step, over about the last hundred of them."""
    found, mean = [], 0.0
    for count, step in enumerate(log.steps, start=1):
        mean += max(NEWEST, 1 / count) * (step.loss - mean)
        found.append((step.step, mean))
    return found
