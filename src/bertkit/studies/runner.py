"""Runs the runs of a study, each in a process of its own, and leaves behind what can be gone on with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bertkit.checkpoint.atomic import replace_file
from bertkit.runs.checkpoints import remove_checkpoints
from bertkit.runs.folder import has_begun, is_finished
from bertkit.studies.plan import Run
from bertkit.train.loop import deferred_signals

State = Literal["waiting", "running", "done", "failed"]
FAILED = "failed.txt"
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass
class Job:
    """A run's process and where its output goes."""

    run: Run
    process: subprocess.Popen[bytes]
    output: IO[bytes]


def state(run: Run) -> State:
    """How far a run is: `running` also where an earlier study was interrupted in it."""
    if is_finished(run.folder):
        return "done"
    if failure(run):
        return "failed"
    return "running" if run.folder.is_dir() else "waiting"


def failure(run: Run) -> str:
    """What a run that failed said last; empty if it did not fail."""
    path = _beside(run, FAILED)
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def kept_recipe(run: Run) -> str | None:
    """The recipe, as TOML, that a run was last made or gone on with; None where it was not begun."""
    path = _beside(run, "toml")
    return path.read_text(encoding="utf-8") if path.is_file() else None


def run_all(
    runs: Sequence[Run], lock: int, *, jobs: int, again: bool, told: Callable[[Run, State], None]
) -> None:
    """Run what is not done yet, `jobs` at a time; a run that fails does not end the others.

    Args:
        runs: what to do; a run that needs another comes after it.
        lock: what `runs.lock.hold` gives, which the runs' processes hold, too, should they outlive this one.
        jobs: processes at a time, each with its share of the processor's cores.
        again: try those again that failed before.
        told: of every change of a run's state.

    Raises:
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP, after the runs under way have saved where they are.
    """
    if again:
        for run in runs:
            _beside(run, FAILED).unlink(missing_ok=True)
    waiting = [run for run in runs if state(run) in ("waiting", "running")]
    under_way: list[Job] = []
    with deferred_signals() as interrupted:
        try:
            while (waiting or under_way) and not interrupted():
                waiting = _start(waiting, under_way, jobs, lock, told)
                for job in [job for job in under_way if job.process.poll() is not None]:
                    under_way.remove(job)
                    told(job.run, _ended(job))
                time.sleep(SECONDS_BETWEEN_LOOKS if under_way else 0)
        finally:
            _stop(under_way)
        if interrupted():
            raise KeyboardInterrupt


def _start(
    waiting: list[Run], under_way: list[Job], jobs: int, lock: int, told: Callable[[Run, State], None]
) -> list[Run]:
    """Start what may start now; returns what still waits."""
    left = []
    unfinished = {run.folder for run in waiting} | {job.run.folder for job in under_way}
    for run in waiting:
        if run.needs is not None and run.needs not in unfinished and not is_finished(run.needs):
            _note_failure(run, f"The run {run.needs.name}, which it starts from, failed.")
            told(run, "failed")
        elif len(under_way) < jobs and run.needs not in unfinished:
            under_way.append(_launch(run, jobs, lock))
            told(run, "running")
        else:
            left.append(run)
    return left


def _launch(run: Run, jobs: int, lock: int) -> Job:
    run.folder.parent.mkdir(exist_ok=True)
    begun = has_begun(run.folder)
    if not begun and run.folder.is_dir():  # Interrupted before there was anything to go on with.
        shutil.rmtree(run.folder)
    recipe = _beside(run, "toml")
    with replace_file(recipe) as temporary:
        temporary.write_text(run.recipe.to_toml(), encoding="utf-8")
    output = _beside(run, "log").open("ab")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = str(max(1, cores // jobs))
    process = subprocess.Popen(
        _command(run, recipe, begun),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={"OMP_NUM_THREADS": threads, **os.environ},
        # Ctrl-C in a terminal reaches a whole session: these are told by us, once.
        start_new_session=True,
        pass_fds=(lock,),
    )
    return Job(run, process, output)


def _command(run: Run, recipe: Path, begun: bool) -> list[str]:
    """What makes a run: the command that a person would type."""
    command = [sys.executable, "-m", "bertkit", run.kind, "--recipe", str(recipe), "-o", str(run.folder)]
    return [*command, "--resume"] if begun else command


def _ended(job: Job) -> State:
    """Note how a run ended."""
    job.output.close()
    if job.process.returncode == 0 and is_finished(job.run.folder):
        # A study has many runs, and is made anew where they are to be longer.
        remove_checkpoints(job.run.folder)
        return "done"
    lines = _beside(job.run, "log").read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    code = job.process.returncode
    if code < 0:
        killed = signal.Signals(-code).name
        hint = ", perhaps because the memory was full" if killed == "SIGKILL" else ""
        _note_failure(job.run, f"It was ended by {killed}{hint}.")
    else:
        _note_failure(job.run, last.removeprefix("bertkit: ") or f"It ended with {code}.")
    return "failed"


def _stop(under_way: Sequence[Job]) -> None:
    """Interrupt the runs and wait until they have saved; they then are neither done nor failed."""
    for job in under_way:
        job.process.send_signal(signal.SIGINT)
    for job in under_way:
        job.process.wait()
        job.output.close()


def _note_failure(run: Run, why: str) -> None:
    with replace_file(_beside(run, FAILED)) as temporary:
        temporary.write_text(why + "\n", encoding="utf-8")


def _beside(run: Run, ending: str) -> Path:
    """A file of the study about a run: its recipe, what it printed, why it failed."""
    return run.folder.with_name(f"{run.folder.name}.{ending}")
