"""A run, from a recipe to a finished folder: the same for labelled rows and for text."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import naming, replace_folder
from bertkit.errors import UserError
from bertkit.health.checks import check_before
from bertkit.health.preflight import SECONDS, Preflight
from bertkit.model.compute import Compute, flush_denormals
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import append_findings
from bertkit.runs.folder import check_free, has_begun, make_run, seed_folder, write_result
from bertkit.runs.lock import hold
from bertkit.runs.resume import check_resumable, go_on, run_before
from bertkit.tasks.load import ReadOnce, ReadSplits, load_splits
from bertkit.train.closing import Closing
from bertkit.train.corpus import with_own_text
from bertkit.train.labelled import Labelled, count_steps
from bertkit.train.listener import Listener, Plan
from bertkit.train.loop import Interrupted, deferred_signals
from bertkit.train.objective import Objective, Source
from bertkit.train.preflight import measure_all, measure_quickly
from bertkit.train.processes import (
    ALONE,
    NotStarted,
    Processes,
    ProcessLost,
    join_processes,
    launcher,
    leave_processes,
    restarted,
)
from bertkit.train.run import train_seed
from bertkit.train.seedfolder import Place, Stopped
from bertkit.train.settle import settle
from bertkit.train.unlabelled import Unlabelled

LAUNCHER = "launcher.txt"
"""In the run folder: which torchrun runs it."""
ASSUMED_STEPS = 1_000
"""Where a recipe does not say how long, which a run must but a look before it need not."""


def source_of(
    recipe: Recipe | PretrainRecipe,
    processes: Processes,
    listener: Listener,
    read: ReadSplits = load_splits,
) -> Source:
    """What the seeds of a run of the recipe share; labelled rows are got by `read`.

    Raises:
        UserError: bad data or options.
    """
    compute = Compute.choose(recipe.training.precision)
    if isinstance(recipe, PretrainRecipe):
        return Unlabelled(recipe, processes, compute, listener)
    return Labelled(recipe, processes, compute, listener, read)


def preflight(recipe: Recipe | PretrainRecipe, *, seconds: float = SECONDS) -> Preflight:
    """All measures of a run in one process, with trials on copies of its model; nothing is written.

    Args:
        recipe: what would be done. Where nothing ends it, it is looked at as if it had some steps.
        seconds: of computing, for the trials: half to overfit a batch, what is left for the learning rates.

    Raises:
        UserError: bad data or options.
    """
    read = ReadOnce()
    if isinstance(recipe, Recipe):
        recipe, _ = settle(recipe, read)
    else:
        training = recipe.training
        if not (training.steps or training.budget or training.replay):
            recipe = recipe.with_changes({"training": {"steps": ASSUMED_STEPS}})
    return measure_all(source_of(recipe, ALONE, Listener(), read), seconds=seconds)


def train(
    recipe: Recipe | PretrainRecipe,
    out: Path,
    *,
    resume: bool,
    overwrite: bool,
    listener: Listener,
    began: float | None = None,
    page: Callable[[Path], object] | None = None,
) -> dict[str, Any]:
    """Train one model a seed and leave a run folder at `out`.

    Under torchrun all processes call this; each computes its share of every step, and the first writes.

    Args:
        recipe: what to do.
        out: the run folder to make.
        resume: continue the run that is there, with the same recipe or a longer one.
        overwrite: replace what is there.
        listener: told of everything as it happens, in the first process.
        began: when the time of a budget began, as `time.monotonic` counts; now, without.
        page: what the caller makes of the finished run; see `Closing`.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad data or options, a model whose loss is no number, something stands at `out` (see
            `check_free`, `check_resumable`), or another process trains there.
        Stopped: the loss is no number, or rose suddenly, in a run over text.
        ProcessLost: another process of the run is gone; the run can be resumed.
        Interrupted: Ctrl-C, SIGTERM or SIGHUP; the run can be resumed.
    """
    asked = time.monotonic()
    began = asked if began is None else began
    flush_denormals()
    processes, read = join_processes(), ReadOnce()
    with ExitStack() as held:
        held.enter_context(naming(out))
        held.callback(leave_processes)
        if isinstance(recipe, Recipe):
            recipe = _settled(recipe, read, listener)
        resume = resume or _goes_on_after_a_restart(out)
        held.enter_context(_taken(out, recipe, processes, resume=resume, overwrite=overwrite))
        if isinstance(recipe, PretrainRecipe) and recipe.corpus.texts:
            recipe = with_own_text(recipe, out, processes, listener, resume=resume)
            resume = resume and has_begun(out)
        source, plan = _begin(recipe, out, processes, listener, read, resume=resume)
        with deferred_signals() as interrupted:
            closing = Closing(out, recipe.training.seeds, asked - began, page if processes.first else None)
            outcomes = _train_seeds(source, out, began, closing)
            if processes.total(float(interrupted())):  # It came in the very last evaluation.
                raise Interrupted
        result = source.aggregate(out, outcomes, plan)
        result["wall_seconds"] = time.monotonic() - began
        if processes.first:
            _finish(out, result)
        processes.wait()
        listener.finished(result)
    return result


def _settled(recipe: Recipe, read: ReadSplits, listener: Listener) -> Recipe:
    """The recipe with everything chosen that it leaves open, and said."""
    recipe, chosen = settle(recipe, read)
    for choice in chosen:
        listener.told(choice)
    return recipe


@contextmanager
def _taken(
    out: Path, recipe: Recipe | PretrainRecipe, processes: Processes, *, resume: bool, overwrite: bool
) -> Iterator[None]:
    """Let the first process hold the folder, where the run may be made, replaced or gone on with."""
    if not processes.first:
        yield
        return
    check = partial(check_resumable, out, recipe) if resume else partial(check_free, out, overwrite=overwrite)
    check()
    with hold(out, "trains in"):
        check()  # Who held it until now may have changed it.
        yield


def _begin(
    recipe: Recipe | PretrainRecipe,
    out: Path,
    processes: Processes,
    listener: Listener,
    read: ReadSplits,
    *,
    resume: bool,
) -> tuple[Source, Plan]:
    """Read the data, look at what is wrong before the first step, make the folder, and say all that."""
    try:
        source = source_of(recipe, processes, listener, read)
        trial = source.objective(recipe.training.seed, trial=True)
        # A run that goes on was looked at when it began.
        found = [] if resume or not processes.first else check_before(measure_quickly(source, trial))
        plan = source.plan(trial)
        longer = ""
        if processes.first:
            if resume:
                longer = _longer(out, recipe, trial)
                go_on(out, recipe, fingerprint=source.fingerprint)
            else:
                make_run(out, recipe, fingerprint=source.fingerprint, inputs=source.inputs)
            if launcher():
                (out / LAUNCHER).write_text(launcher(), encoding="utf-8")
            append_findings(out, "preflight", 0, found)
        # No process goes on before the first has made the run folder.
        processes.agree(0.0)
    except ProcessLost as error:
        raise NotStarted(str(error)) from None
    listener.planned(plan)
    for note in (*source.notes, *([longer] if longer else [])):
        listener.told(note)
    listener.found(found)
    return source, plan


def _longer(out: Path, recipe: Recipe | PretrainRecipe, objective: Objective) -> str:
    """What there is to say where the run at `out` trains on by a longer recipe; "" where it is the same.

    Raises:
        UserError: the run would be no longer than by the recipe that it has.
    """
    if (before := run_before(out, recipe)) is None:
        return ""
    per_epoch = objective.manner.steps_per_epoch
    old, new = (_length(each, per_epoch) for each in (before, recipe))
    unit = "minutes" if recipe.training.budget else "updates"
    patience, patience_before = recipe.training.patience, before.training.patience
    patient = patience_before and not 0 < patience <= patience_before
    if new < old or (new == old and not patient):
        raise UserError(
            f"The run at {out} has {old:g} {unit} by its recipe, and would have {new:g}: it trains on only "
            "if they are more, or if its patience is greater."
        )
    return (
        f"Trains on, to {new:g} {unit} (before: {old:g}): from the step that is reached, the learning rate "
        "follows the schedule of the longer run."
    )


def _length(recipe: Recipe | PretrainRecipe, steps_per_epoch: int) -> float:
    """The minutes of all seeds where the clock decides, else the updates of one."""
    if recipe.training.budget or isinstance(recipe, PretrainRecipe):
        return recipe.training.budget or recipe.training.steps
    return count_steps(steps_per_epoch, recipe)


def _train_seeds(source: Source, out: Path, began: float, closing: Closing) -> list[Any]:
    """What came of each seed: of those that are done already, and of those that are trained now.

    Raises:
        Stopped: some were stopped; the others are done.
    """
    training = source.recipe.training
    outcomes, stopped = [], []
    for number in range(training.seeds):
        seed = training.seed + number
        folder = seed_folder(out, seed, training.seeds)
        folder.mkdir(exist_ok=True)
        outcome = source.outcome(folder)
        # No process begins before all have looked.
        source.processes.wait()
        if outcome is None:
            minutes = training.budget / training.seeds
            try:
                outcome = train_seed(source, Place(out, folder, seed, minutes, closing), began)
            except Stopped as error:
                stopped.append(str(error))
            began = time.monotonic()
        outcomes.append(outcome)
    if stopped:
        raise Stopped(" ".join(stopped))
    return outcomes


def _finish(out: Path, result: dict[str, Any]) -> None:
    """Put the best seed's model where the run's is, and write the result."""
    seeds = result.get("seeds", ())
    if len(seeds) > 1:
        best = seed_folder(out, result["best_seed"], len(seeds)) / "model"
        with replace_folder(out / "model", overwrite=True) as temporary:
            shutil.copytree(best, temporary, dirs_exist_ok=True)
    write_result(out, result)


def _goes_on_after_a_restart(out: Path) -> bool:
    """Whether the same torchrun that began or resumed the run at `out` has started this process again."""
    note = out / LAUNCHER
    return restarted() and note.is_file() and note.read_text(encoding="utf-8") == launcher()
