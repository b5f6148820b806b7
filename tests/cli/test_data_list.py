"""`bertkit data list`: what is here, and what is wrong with it, in one table."""

import json
from pathlib import Path

import pytest

from bertkit.cli import main
from bertkit.tasks.named import TASKS

RTE = "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tentailment\n1\tC.\tD.\tnot_entailment\n"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """RTE's training rows, an AG News of another layout, and a task of one's own that is broken."""
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BERTKIT_TASKS", str(tmp_path))
    for name, content in (("glue/RTE/train.tsv", RTE), ("ag_news/train.csv", '"a",1\n"b",2\n')):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    (tmp_path / "mine.toml").write_text("trian = 1\n")
    return tmp_path


def test_every_task_has_a_line_and_what_is_wrong_stands_below(data: Path, capsys) -> None:
    assert main(["data", "list"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[1]: line for line in printed.splitlines() if line.startswith("│")}
    assert {*TASKS, "mine"} <= lines.keys()
    assert "train 2" in lines["rte"]
    assert f"{data / 'glue/RTE'} (without dev.tsv)" in lines["rte"]
    assert "cannot be read" in lines["ag-news"]
    assert "ag-news: " in printed
    assert "has no column 3" in printed
    assert "Did you mean 'train'?" in printed
    assert "not here" in lines["sst2"]
    assert "bertkit data fetch TASK" in printed


def test_of_one_task_it_is_said_how_to_cite_it(capsys) -> None:
    assert main(["data", "list", "rte"]) == 0
    assert "Dagan et al. 2005" in capsys.readouterr().out


def test_a_program_reads_the_same(capsys) -> None:
    assert main(["data", "list", "--json"]) == 0
    rows = {row["task"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["rte"]["rows"] == {"train": 2}
    assert rows["rte"]["missing"] == ["dev.tsv"]
    assert "trian" in rows["mine"]["problem"]
    assert len({tuple(row) for row in map(sorted, rows.values())}) == 1, "all have the same keys"


def test_an_unknown_task_offers_the_nearest(capsys) -> None:
    assert main(["data", "list", "rtee"]) == 2
    assert "Did you mean 'rte'?" in capsys.readouterr().err
