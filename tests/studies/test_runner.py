"""Runs are processes of their own: they fail alone, can be interrupted, and are never repeated."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.recipe.study import Study
from bertkit.runs.lock import hold
from bertkit.studies.plan import Run, distinct, plan
from bertkit.studies.runner import failure, run_all, state

FINISH = "FOLDER.mkdir(exist_ok=True); (FOLDER / 'result.json').write_text('{}')"


def run(runs: list[Run], out: Path, jobs: int = 2, again: bool = False) -> list[tuple[str, str]]:
    out.mkdir(exist_ok=True)
    told: list[tuple[str, str]] = []
    with hold(out, "runs") as lock:
        run_all(runs, lock, jobs=jobs, again=again, told=lambda r, s: told.append((r.folder.name, s)))
    return told


def test_all_are_run_once(study: Study, tmp_path: Path, pretend: Callable[[str], None]) -> None:
    runs = distinct(plan(study, tmp_path / "s"))
    pretend(f"{FINISH}; (FOLDER.parent / 'times').open('a').write('x')")
    told = run(runs, tmp_path / "s")
    assert sorted(told) == sorted((r.folder.name, s) for r in runs for s in ("running", "done"))
    assert run(runs, tmp_path / "s") == []
    assert (tmp_path / "s" / "runs" / "times").read_text() == "x" * len(runs)


def test_one_that_fails_does_not_end_the_others(
    study: Study, tmp_path: Path, pretend: Callable[[str], None]
) -> None:
    runs = distinct(plan(study, tmp_path / "s"))
    fail = "if 'lr = 0.0001' in RECIPE.read_text(): sys.exit('bertkit: the disk is made of cheese.')"
    pretend(f"{fail}\n{FINISH}")
    run(runs, tmp_path / "s")
    assert [state(r) for r in runs] == ["failed", "done", "done"] * 2
    assert failure(runs[0]) == "the disk is made of cheese."
    # It is not tried again unasked.
    pretend(FINISH)
    assert run(runs, tmp_path / "s") == []
    run(runs, tmp_path / "s", again=True)
    assert {state(r) for r in runs} == {"done"}


def test_what_needs_a_failed_run_fails_too_and_says_so(
    study: Study, tmp_path: Path, pretend: Callable[[str], None]
) -> None:
    first = distinct(plan(study, tmp_path / "s"))[0]
    second = Run("finetune", first.recipe, first.folder.with_name("second"), needs=first.folder)
    pretend("sys.exit('no')")
    run([first, second], tmp_path / "s")
    assert failure(second) == f"The run {first.folder.name}, which it starts from, failed."


def test_what_needs_a_run_waits_for_it(study: Study, tmp_path: Path, pretend: Callable[[str], None]) -> None:
    first = distinct(plan(study, tmp_path / "s"))[0]
    second = Run("finetune", first.recipe, first.folder.with_name("second"), needs=first.folder)
    pretend(FINISH)
    told = run([first, second], tmp_path / "s")
    assert told.index((first.folder.name, "done")) < told.index(("second", "running"))


def test_what_the_system_killed_did_not_fail_by_its_last_line(
    study: Study, tmp_path: Path, pretend: Callable[[str], None]
) -> None:
    runs = distinct(plan(study, tmp_path / "s"))[:1]
    pretend("print('epoch 1: all is well', flush=True); os.kill(os.getpid(), signal.SIGKILL)")
    run(runs, tmp_path / "s")
    assert failure(runs[0]) == "It was ended by SIGKILL, perhaps because the memory was full."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_neither_done_nor_failed_and_is_gone_on_with(
    number: int, study: Study, tmp_path: Path, pretend: Callable[[str], None]
) -> None:
    runs = distinct(plan(study, tmp_path / "s"))[:1]
    pretend(
        "FOLDER.mkdir(); [(FOLDER / n).write_text('') for n in ('recipe.toml', 'fingerprint.txt')]\n"
        "signal.signal(signal.SIGINT, lambda *_: ((FOLDER / 'saved').write_text('x'), sys.exit(130)))\n"
        "(FOLDER / 'ready').write_text('')\ntime.sleep(60)"
    )

    def interrupt() -> None:
        while not (runs[0].folder / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(runs, tmp_path / "s")
    assert (runs[0].folder / "saved").exists()
    assert state(runs[0]) == "running"
    pretend(f"assert (FOLDER / 'saved').exists(), 'thrown away'\n{FINISH}")
    run(runs, tmp_path / "s")
    assert state(runs[0]) == "done"


def test_a_study_that_is_killed_leaves_its_run_alone_and_is_gone_on_with(
    study: Study, tmp_path: Path, pretend: Callable[[str], None]
) -> None:
    runs = distinct(plan(study, tmp_path / "s"))[:1]
    pretend(
        "FOLDER.mkdir(); [(FOLDER / n).write_text('') for n in ('recipe.toml', 'fingerprint.txt')]\n"
        "(FOLDER / 'process').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    child = os.fork()
    if not child:
        run(runs, tmp_path / "s")
        os._exit(0)
    process = runs[0].folder / "process"
    while not process.exists() or not process.read_text():
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    # What it started still writes to its folder, so nobody else may.
    with pytest.raises(UserError, match="Another process"):
        run(runs, tmp_path / "s")
    os.kill(int(process.read_text()), signal.SIGKILL)
    pretend(f"assert (FOLDER / 'process').exists(), 'thrown away'\n{FINISH}")
    while True:
        try:
            assert run(runs, tmp_path / "s") == [(runs[0].folder.name, s) for s in ("running", "done")]
            break
        except UserError:  # The killed process has not let go of it yet.
            time.sleep(0.02)


def test_two_at_once_are_refused(study: Study, tmp_path: Path, pretend: Callable[[str], None]) -> None:
    runs = distinct(plan(study, tmp_path / "s"))[:1]
    pretend(f"time.sleep(1.5)\n{FINISH}")
    thread = threading.Thread(target=run, args=(runs, tmp_path / "s"))
    thread.start()
    while not (tmp_path / "s" / "runs").exists():
        time.sleep(0.02)
    with pytest.raises(UserError, match="Another process"):
        run(runs, tmp_path / "s")
    thread.join()
    assert state(runs[0]) == "done"
