"""The time of a command is that of its process, of which its own imports are a part."""

import subprocess
import sys
import time

from bertkit.cli.clock import process_began


def test_a_command_began_with_its_process() -> None:
    code = "import time; time.sleep(0.2); from bertkit.cli import clock; "
    code += "print(time.monotonic() - clock.process_began())"
    before = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.2 <= float(run.stdout) <= time.monotonic() - before + 0.1, "in ticks of the system's clock"
    assert process_began() <= time.monotonic()


def test_a_system_that_does_not_tell_gives_the_moment_of_asking(monkeypatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 7.0)
    monkeypatch.delattr("time.clock_gettime")
    assert process_began() == 7.0
