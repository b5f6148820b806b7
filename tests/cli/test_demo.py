"""The demo in small: the same commands over fewer sentences."""

import json
from pathlib import Path

import pytest

from bertkit import load
from bertkit.cli import demo, main


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "ROWS", {"train": 320, "dev": 64})


@pytest.mark.usefixtures("small")
def test_the_demo_leaves_its_data_a_model_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert result["rows"] == 64
    assert set(result["baselines"]) == {"majority", "ngram"}
    assert "new construction" in printed.err
    assert "report.html" in printed.err
    header, *rows = (out / "train.tsv").read_text().splitlines()
    assert header == "sentence\tlabel\tdependency\tnovelty"
    assert len(rows) == 320
    assert load(out / "run").predict(["Our nephew described himself."])[0]["label"] in result["labels"]
    assert main(["demo", "-o", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["demo", "-o", str(out), "--overwrite"]) == 0


def test_the_demo_overwrites_nothing_but_a_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.tsv").write_text("mine")
    assert main(["demo", "-o", str(tmp_path), "--overwrite"]) == 2
    assert "no demo" in capsys.readouterr().err
    assert (tmp_path / "train.tsv").read_text() == "mine"


@pytest.mark.usefixtures("small")
def test_the_demo_is_the_same_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for name in ("a", "b"):
        assert main(["demo", "-o", str(tmp_path / name), "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out))
    assert results[0]["seeds"][0]["score"] == results[1]["seeds"][0]["score"]
    assert results[0]["confusion"] == results[1]["confusion"]


def test_the_questions_are_not_taken_from_the_training_rows(tmp_path: Path) -> None:
    demo.write_sentences(tmp_path, 0)
    rows = {line.split("\t")[0] for line in (tmp_path / "train.tsv").read_text().splitlines()}
    assert rows.isdisjoint(demo.QUESTIONS)
