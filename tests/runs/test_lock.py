"""One writer a folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.runs.lock import LOCK, hold


def test_the_second_is_refused_in_a_sentence_that_names_the_first(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with hold(run, "trains in"):
        (run / "result").touch()
        with (
            pytest.raises(
                UserError, match=rf"^Another process \({os.getpid()} on .+\) trains in {run}; wait"
            ),
            hold(run, "trains in"),
        ):
            pytest.fail("there are two")
        assert (run / LOCK).exists()
    assert [path.name for path in run.iterdir()] == ["result"]
    with hold(run, "trains in"):
        pass


def test_nothing_is_left_of_what_failed_before_anything_was_made(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    for name in ("new", "theirs"):
        with pytest.raises(RuntimeError, match="bad data"), hold(tmp_path / name, "trains in"):
            raise RuntimeError("bad data")
    assert [path.name for path in tmp_path.rglob("*")] == ["theirs"]


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from bertkit.runs.lock import hold\n"
        "with hold(Path(sys.argv[1]), 'trains in'): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"{process.pid} on"), hold(tmp_path, "trains in"):
            pass
        process.send_signal(signal.SIGKILL)
    assert (tmp_path / LOCK).exists()
    with hold(tmp_path, "trains in"):
        pass
    assert not (tmp_path / LOCK).exists()
