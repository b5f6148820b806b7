"""A run folder as the history that the checks of runs judge: its recipe, its logs, and what came of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from bertkit import __version__
from bertkit.diagnose.records import Record, read_object, read_records
from bertkit.errors import UserError
from bertkit.health.history import (
    NAN,
    Evaluation,
    FinetuneHistory,
    HeldOut,
    Outcome,
    PretrainHistory,
    Scores,
    SeedHistory,
    Step,
)
from bertkit.health.watch import HEALTH, THROUGH, Health
from bertkit.recipe import BaseRecipe, PretrainRecipe, Recipe
from bertkit.recipe.kinds import kind_of_recipe
from bertkit.tasks.metrics import entropy
from bertkit.train.pretrainrun import STOPPED
from bertkit.train.results import SEED_RESULT
from bertkit.train.runfolder import RECIPE, RESULT
from bertkit.train.runlog import METRICS

History = FinetuneHistory | PretrainHistory
AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)
BY_LAYER = {"gradient_norms", "update_ratios", "attention_entropy", "dead_units"}
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


@dataclass
class SeedLog:
    """What one seed of a fine-tuning run has logged."""

    steps: list[Step] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    health: list[Health] = field(default_factory=list)
    broke: int | None = None


def read_seed_log(path: Path) -> SeedLog:
    """The log of a seed.

    Raises:
        UserError: a line is no record, lacks what every record has, or has a value of another type.
    """
    log = SeedLog()
    for record in read_records(path):
        event = record.text("event")
        if event == "train":
            step = _step(record, "epoch", record.number("loss"))
            log.steps.append(step)
            if math.isnan(step.loss) and log.broke is None:
                log.broke = step.step
        elif event == "evaluation":
            low, high = record.interval("interval")
            log.evaluations.append(
                Evaluation(
                    step=record.whole("step"),
                    epoch=record.number("epoch"),
                    loss=record.number("loss"),
                    train_loss=record.number("train_loss", NAN),
                    score=record.number("score"),
                    low=low,
                    high=high,
                )
            )
        elif event == HEALTH:
            log.health.append(_health(record))
    return log


def _step(record: Record, place: str, loss: float) -> Step:
    return Step(
        step=record.whole("step"),
        place=record.number(place, NAN),
        loss=loss,
        learning_rate=record.number("learning_rate", NAN),
        gradient_norm=record.number("gradient_norm", NAN),
        pieces_per_second=record.number("pieces_per_second", NAN),
    )


def _health(record: Record) -> Health:
    """As `Health.from_record`, with every type checked."""
    values: dict[str, Any] = {"step": record.whole("step")}
    for name in (spec.name for spec in fields(Health) if spec.name != "step"):
        if name in BY_LAYER:
            values[name] = record.figures(name)
        elif record.has(name):
            values[name] = record.number(name)
    return Health(**values)


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
                log.broke,
            )
        )
    if result is None:
        return FinetuneHistory(recipe, seeds, prior=_prior_of(seeds))
    # Of other kinds of tasks the loss of one who knows the labels' shares is another one.
    shares = result.figures("label_shares") if recipe.task.kind == "classify" else {}
    return FinetuneHistory(
        recipe,
        seeds,
        _scores(result),
        entropy(list(shares.values())) if shares else _prior_of(seeds),
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
    steps: list[Step] = []
    heldout: list[HeldOut] = []
    health: list[Health] = []
    floors: Mapping[str, float] = {}
    broke: int | None = None
    for record in read_records(run / METRICS) if (run / METRICS).is_file() else ():
        event = record.text("event")
        if event == "train":
            # Without a masked piece a step has no MLM loss.
            loss = record.number("mlm_loss", record.number("loss"))
            steps.append(_step(record, "fraction", loss))
            if math.isnan(loss) and broke is None:
                broke = record.whole("step")
        elif event == "evaluation":
            heldout.append(
                HeldOut(
                    step=record.whole("step"),
                    loss=record.number("mlm_loss"),
                    pair_accuracy=record.number("pair_accuracy", NAN),
                    pairs=record.number("pairs", NAN),
                )
            )
        elif event == "floors":
            floors = {name: record.number(name) for name in ("unigram", "uniform")}
        elif event == HEALTH:
            health.append(_health(record))
    if result is not None:
        floors = result.figures("floors")
    stopped = read_object(run / STOPPED)
    return PretrainHistory(
        recipe,
        steps,
        heldout,
        health,
        floors,
        through_at=_through_at(result, heldout, floors),
        finished=result is not None,
        stopped="" if stopped is None else stopped.text("why"),
        epochs=NAN if result is None else result.number("epochs", NAN),
        long_from=result.whole("long_from") if result is not None and result.has("long_from") else None,
        seconds=NAN if result is None else result.number("seconds", NAN),
        broke=broke,
    )


def _through_at(result: Record | None, heldout: Sequence[HeldOut], floors: Mapping[str, float]) -> int | None:
    """As the result says, and before there is one as the run itself would say by now."""
    if result is not None:
        return result.whole("through_at") if result.has("through_at") else None
    if "unigram" not in floors:
        return None
    below = (scored.step for scored in heldout if scored.loss < THROUGH * floors["unigram"])
    return next(below, None)
