"""The tutorial is true: its commands run, in order, in an empty folder, and print what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bertkit

DOCS = Path(__file__).parents[1] / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def skeleton(line: str) -> str:
    """A line without what differs from machine to machine: numbers, their format, how wide columns are."""
    line = re.sub(r"\b(fp32|bf16)\b", "#", line)
    return re.sub(r"\d[\d.,]*", "#", re.sub(r"[\s─━-]+", " ", line)).strip()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which `bertkit` and `python` are those under test, and nothing is on screen."""
    folder = tmp_path_factory.mktemp("bin")
    for name, arguments in (("bertkit", " -m bertkit"), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
        (folder / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(bertkit.__file__).parents[1]),
        "COLUMNS": "110",
        "TERM": "dumb",
    }


def test_the_tutorial_runs_and_prints_what_it_shows(tmp_path: Path, shell: dict[str, str]) -> None:
    check("tutorial.md", tmp_path, shell)


def test_the_chinese_tutorial_runs_and_prints_what_it_shows(
    tmp_path: Path, shell: dict[str, str], shared_data: Path
) -> None:
    check("tutorial.zh.md", tmp_path, {**shell, "BERTKIT_DATA": str(shared_data)})


def check(name: str, folder: Path, shell: dict[str, str]) -> None:
    """Run a document's commands in order in an empty folder, and see that all is printed that it shows."""
    blocks = FENCE.findall((DOCS / name).read_text(encoding="utf-8"))
    script = "\n".join(text for language, text in blocks if language == "bash")
    run = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=shell,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,  # it takes half a minute, but machines are shared
    )
    assert run.returncode == 0, run.stdout + run.stderr
    printed = {skeleton(line) for line in (run.stdout + run.stderr).splitlines()}
    shown = [line for language, text in blocks if language == "text" for line in text.splitlines()]
    missing = [line for line in shown if line.strip() not in ("", "...") and skeleton(line) not in printed]
    assert shown
    assert not missing, f"shown but not printed: {missing}\nprinted:\n{run.stdout}{run.stderr}"
