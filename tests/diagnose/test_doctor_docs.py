"""What docs/doctor.md shows of the doctor of runs is what it prints, of the same runs thinned out."""

import re
import shutil
from pathlib import Path

import pytest

from bertkit.cli import main

RUNS = Path(__file__).parent / "runs"
"""Made by `thin_run.py`."""
DOCUMENT = Path(__file__).parents[2] / "docs" / "doctor.md"
THINNED = re.compile(r"^Is the log whole\? No: .*\n", flags=re.MULTILINE)
"""What the doctor says of these logs alone, which lack most of their steps."""


def shown(run: str) -> str:
    """The block of the document that shows a run's page."""
    blocks = re.findall(r"^```\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), flags=re.S | re.M)
    (block,) = (each for each in blocks if f"page {run}/doctor.html" in each)
    return str(block)


@pytest.mark.parametrize(("run", "code"), [("stuck", 3), ("my-bert", 0)])
def test_the_document_shows_what_the_doctor_prints(
    run: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RUNS / run, tmp_path / run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bertkit.diagnose.remedy.find_pretrained", lambda: None)
    assert main(["doctor", run]) == code
    printed, thinned = THINNED.subn("", capsys.readouterr().out)
    assert thinned == 1
    # Where lines are broken is the document's own matter.
    assert shown(run).split() == printed.split()
