"""`bertkit evaluate`: what it prints and how it ends."""

import json
from pathlib import Path

import pytest

from bertkit.cli import main

TRAIN = "sentence,class\nthe cat sat .,good\na dog ran .,bad\na red mat,bad\n"
DEV = "sentence,class\nthe cat sat .,bad\nthe [red] cat,good\nold dogs,odd\na mat,good\n"


@pytest.fixture
def evaluate(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    """Run the command where train.csv and dev.csv are; returns code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text(TRAIN)
    Path("dev.csv").write_text(DEV)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["evaluate", str(tiny_model), *arguments])
        return code, *capsys.readouterr()

    return run


COLUMNS = ("dev.csv", "--text", "sentence", "--label", "class")


def test_json_is_the_result_alone(evaluate) -> None:
    code, out, err = evaluate(*COLUMNS, "--train", "train.csv", "--metric", "accuracy", "--json")
    result = json.loads(out)
    assert (code, err) == (0, "")
    assert (result["rows"], result["train_rows"], result["leaks"]) == (4, 3, 1)
    assert result["metric"] == "accuracy"


def test_people_see_baselines_confusion_and_mistakes(evaluate) -> None:
    code, out, err = evaluate(*COLUMNS, "--train", "train.csv")
    assert (code, err) == (0, "")
    for part in (
        "4 rows",
        "macro F1",
        "by class",
        "recall",
        "95 % interval",
        "n-gram",
        "majority",
        "confusion matrix",
        "tokens/s",
    ):
        assert part in out
    assert "1 of these rows stand in the training file too." in out
    mistakes = [line for line in out.splitlines() if line.startswith("  line ")]
    assert 1 <= len(mistakes) <= 4


def test_where_there_is_no_terminal_mistakes_are_not_cut(evaluate) -> None:
    long = " ".join(["the old cat sat on the red mat"] * 8)
    Path("dev.csv").write_text("sentence,class\n" + "".join(f"{long},{label}\n" for label in ("bad", "odd")))
    _, out, _ = evaluate(*COLUMNS)
    assert any(line.startswith("  line ") and line.endswith(long) for line in out.splitlines())


def test_without_train_it_says_whose_majority_it_is(evaluate) -> None:
    code, out, _ = evaluate(*COLUMNS)
    assert code == 0
    assert "The majority is that of the scored rows" in out
    assert "n-gram" not in out


def test_what_is_not_told_is_asked_for(evaluate) -> None:
    code, out, err = evaluate()
    assert (code, out) == (2, "")
    assert err == "bertkit: Say what to score on: the name of a task, or a file of your own.\n"
    assert "There is no file tets.csv" in evaluate("tets.csv")[2]
    assert "There is no task 'colla'. Did you mean 'cola'?" in evaluate("colla")[2]


def test_a_task_may_stand_behind_options(evaluate) -> None:
    code, _, err = evaluate("--json", "cola")
    assert code == 2
    assert "labels of task 'cola' are unacceptable, acceptable" in err


def test_columns_that_are_not_there(evaluate) -> None:
    code, _, err = evaluate("dev.csv")
    assert code == 2
    assert "dev.csv has no column 'text'. Known: sentence, class." in err
