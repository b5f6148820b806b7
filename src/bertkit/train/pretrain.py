"""Pretraining: from a recipe to a finished run folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bertkit.model.precision import flush_denormals
from bertkit.recipe import PretrainRecipe
from bertkit.runs.folder import check_run, open_run
from bertkit.runs.restarts import Collapsed, changed, read_restarts
from bertkit.train.listener import PretrainListener
from bertkit.train.loop import deferred_signals
from bertkit.train.pretrainrun import PretrainRun
from bertkit.train.processes import (
    NotStarted,
    Processes,
    ProcessLost,
    join_processes,
    launcher,
    leave_processes,
    restarted,
)
from bertkit.train.starting import Start, prepare_start

LAUNCHER = "launcher.txt"
"""In the run folder: which torchrun runs it."""


def pretrain(
    recipe: PretrainRecipe, out: Path, *, resume: bool, overwrite: bool, listener: PretrainListener
) -> dict[str, Any]:
    """Train an encoder on text and leave a run folder at `out`.

    Under torchrun all processes call this; each computes its share of every step, and the first writes.

    Args:
        recipe: what to do.
        out: the run folder to make.
        resume: continue the run that is there, with the same recipe.
        overwrite: replace what is there.
        listener: told of everything as it happens, in the first process.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: bad data or options, or something stands at `out` (see `check_run`, `open_run`).
        Stopped: the loss is no number, or rose suddenly.
        ProcessLost: another process of the run is gone; the run can be resumed.
        Interrupted: Ctrl-C or SIGTERM; the run can be resumed.
    """
    began = time.monotonic()
    flush_denormals()
    processes = join_processes()
    try:
        resume = resume or _goes_on_after_a_restart(out)
        if processes.first:
            check_run(out, recipe, resume=resume, overwrite=overwrite and not resume)
        start = prepare_start(recipe, processes)
        if processes.first:
            inputs = [start.shards.folder, *([start.start] if start.start else [])]
            if recipe.training.replay:
                inputs.append(Path(recipe.training.replay))
            open_run(out, recipe, resume=resume, fingerprint=start.shards.fingerprint, inputs=inputs)
            (out / LAUNCHER).write_text(launcher(), encoding="utf-8")
        _wait_for_the_folder(processes)
        return _run(recipe, start, out, processes, listener, began)
    finally:
        leave_processes()


def _run(
    recipe: PretrainRecipe,
    start: Start,
    out: Path,
    processes: Processes,
    listener: PretrainListener,
    began: float,
) -> dict[str, Any]:
    """Train to the end, in another attempt after a collapse where the recipe wants that."""
    # A signal that comes while one attempt ends and another begins is not to be lost.
    with deferred_signals():
        restarts = read_restarts(out)
        if restarts:
            start = prepare_start(changed(recipe, restarts), processes)
        run = PretrainRun(recipe, start, out, processes, listener, began, restarts)
        while True:
            try:
                return run.run()
            except Collapsed as collapse:
                if processes.first:
                    listener.told(str(run.folder.restart(collapse)))
                processes.wait()
                restarts = read_restarts(out)
                start = prepare_start(changed(recipe, restarts), processes)
                before, run = run, PretrainRun(recipe, start, out, processes, listener, began, restarts)
                # The time of the attempt that failed is spent, too.
                run.began = before.began


def _goes_on_after_a_restart(out: Path) -> bool:
    """Whether the same torchrun that began or resumed the run at `out` has started this process again."""
    note = out / LAUNCHER
    return restarted() and note.is_file() and note.read_text(encoding="utf-8") == launcher()


def _wait_for_the_folder(processes: Processes) -> None:
    """Let no process go on before the first has made the run folder."""
    try:
        processes.agree(0.0)
    except ProcessLost as error:
        raise NotStarted(str(error)) from None
