"""A run folder as the history that is judged and shown: its recipe, its logs, and what came of it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertkit.config.head import USUAL_KIND
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.parts import Phase
from bertkit.recipe.pretrain import kind_of_recipe
from bertkit.runs.folder import RECIPE, RESULT, check_is_run, is_run, seed_folders, stop_note
from bertkit.runs.history import (
    NAN,
    ClassFound,
    History,
    Outcome,
    RunHistory,
    Scores,
    Track,
    left_plateau,
    phase_of,
    smoothed,
)
from bertkit.runs.log import phase_of_log, read_track
from bertkit.runs.records import Record, read_object
from bertkit.runs.restarts import read_restarts, settings, with_settings
from bertkit.runs.result import SEED_RESULT, Answers
from bertkit.tasks.kind import Kind
from bertkit.tasks.kinds import get_kind, macro_beside
from bertkit.version import __version__


def read_history(run: Path, *, without_recipe: bool = False) -> History:
    """What a run of either phase went through so far.

    Args:
        run: its folder.
        without_recipe: take a folder too that has no recipe, as one has that somebody sent a log of.

    Raises:
        UserError: `run` is no run folder (what it is instead is said, where that can be told), it cannot be
            read, a file in it is damaged, or it is of a newer bertkit.
    """
    known = not without_recipe or is_run(run)
    if known:
        check_is_run(run)
    result = read_result(run)
    recipe = read_recipe(run) if known else _usual_recipe(run, result)
    tracks = read_tracks(run, phase_of(recipe))
    changes = restart_settings(run)
    common: dict[str, Any] = {"tracks": tracks, "settings": changes, "known": known, "stopped": _stopped(run)}
    common |= {"finished": result is not None, "best_seed": _best_seed(tracks, result)}
    if isinstance(recipe, PretrainRecipe):
        return _pretraining(RunHistory(with_settings(recipe, changes), **common), result)
    return _finetuning(RunHistory(with_settings(recipe, changes), **common), result)


def read_recipe(run: Path) -> Recipe | PretrainRecipe:
    """What a run was asked to do.

    Raises:
        UserError: its recipe cannot be read, or is of a newer bertkit.
    """
    try:
        return kind_of_recipe(run / RECIPE).from_toml(run / RECIPE)
    except UserError as error:
        if "There is no recipe key" not in str(error):
            raise
        raise UserError(
            f"{error} Perhaps the run is of a newer bertkit than this one, {__version__}."
        ) from None


def _usual_recipe(run: Path, result: Record | None) -> Recipe | PretrainRecipe:
    """The usual one of the phase that a folder without a recipe is of."""
    if result is not None:
        pretraining = result.values.get("kind") == "pretraining"
    else:
        pretraining = phase_of_log(run) == "pretrain"
    return PretrainRecipe() if pretraining else Recipe()


def read_tracks(run: Path, phase: Phase) -> list[Track]:
    """The models that a run has begun, as its logs and what came of them tell.

    Raises:
        UserError: a file is damaged.
    """
    tracks = []
    for seed, folder in seed_folders(run).items():
        done = read_object(folder / SEED_RESULT) if phase == "finetune" else None
        track = replace(read_track(folder, phase), seed=seed, restarts=read_restarts(folder))
        tracks.append(track if done is None else replace(track, outcome=_outcome(done)))
    return tracks


def read_answers(run: Path) -> list[Answers]:
    """What each seed of a finished fine-tuning answered to each dev row; empty where one's are not there.

    Raises:
        UserError: such a file is damaged.
    """
    found = [Answers.read(folder) for folder in seed_folders(run).values()]
    return [] if None in found else [each for each in found if each is not None]


def restart_settings(run: Path) -> dict[str, Any]:
    """What restarts changed in a run's recipe, by `section.key`; of several seeds what all changed alike.

    Raises:
        UserError: a seed's list of restarts is damaged.
    """
    found = [settings(read_restarts(folder)) for folder in seed_folders(run).values()]
    first = found[0] if found else {}
    return {key: value for key, value in first.items() if all(each.get(key) == value for each in found)}


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


def _finetuning(run: RunHistory[Recipe], result: Record | None) -> RunHistory[Recipe]:
    """What a result adds to a run."""
    if result is None:
        return replace(run, floor=_watched_floor(run.tracks))
    return replace(
        run,
        scores=_scores(get_kind(result.text("kind", USUAL_KIND)), result),
        floor=result.number("floor") if result.has("floor") else _watched_floor(run.tracks),
        by_class=_by_class(result),
    )


def _by_class(result: Record) -> list[ClassFound]:
    """What is told of each class; empty of numbers."""
    if not result.has("by_class"):
        return []
    most: dict[str, Record] = {}
    for pair in result.parts("confusions"):
        most.setdefault(pair.text("label"), pair)  # They come most often confused first.
    found = []
    for each in result.parts("by_class"):
        label, worst = each.text("label"), most.get(each.text("label"))
        taken = ("", 0) if worst is None else (worst.text("predicted"), worst.whole("rows"))
        found.append(ClassFound(label, each.whole("rows"), each.whole("found"), *taken))
    return found


def _outcome(done: Record) -> Outcome:
    return Outcome(
        score=done.number("score"),
        status=done.text("status"),
        best_epoch=done.number("best_epoch"),
        seconds=done.number("seconds"),
    )


def _scores(kind: Kind, result: Record) -> Scores:
    interval, told, metric = result.interval("interval"), result.part("baselines"), result.text("metric")
    if metric not in {each.name for each in kind.metrics}:
        raise result.fault(f"'metric' is {metric!r}, and none of a task of the kind {kind.name!r}")
    found = Scores.of(
        kind,
        metric=metric,
        score=result.number("score"),
        interval=interval,
        rows=result.whole("rows"),
        baselines={name: told.part(name).number("score") for name in told.values if told.has(name)},
        positive=result.text("positive", ""),
    )
    return replace(found, beside=macro_beside(result.values))


def _stopped(run: Path) -> str:
    """Why a run, or a seed of it, could not go on; "" of others."""
    notes = [read_object(stop_note(folder)) for folder in dict.fromkeys((run, *seed_folders(run).values()))]
    return next((note.text("why") for note in notes if note is not None), "")


def _best_seed(tracks: Sequence[Track], result: Record | None) -> int | None:
    """Whose model is kept, of several."""
    if result is None or len(tracks) < 2 or not result.has("best_seed"):
        return None
    return result.whole("best_seed")


def _watched_floor(tracks: Sequence[Track]) -> float | None:
    """As the health of a run that is not done tells it."""
    told = (look.baseline_loss for track in tracks for look in track.health)
    return next((value for value in told if value is not None and math.isfinite(value)), None)


def _pretraining(run: RunHistory[PretrainRecipe], result: Record | None) -> RunHistory[PretrainRecipe]:
    """What a result adds to a run."""
    floors = run.track.floors if result is None else result.figures("floors")
    run = replace(
        run,
        floor=floors.get("unigram"),
        uniform=floors.get("uniform"),
        through_at=_through_at(result, run.track, floors),
    )
    if result is None:
        return run
    return replace(
        run,
        long_from=result.whole("long_from") if result.has("long_from") else None,
        epochs=result.number("epochs", NAN),
        seconds=result.number("seconds", NAN),
    )


def _through_at(result: Record | None, track: Track, floors: Mapping[str, float]) -> int | None:
    """As the result says, and before there is one as the run itself would say by now.

    Without held-out text that is what the training loss says, smoothed as the run does it.
    """
    if result is not None:
        return result.whole("through_at") if result.has("through_at") else None
    if "unigram" not in floors:
        return None
    losses = [(each.step, each.loss) for each in track.evaluations] or smoothed(track.steps)
    return left_plateau(losses, floors["unigram"])
