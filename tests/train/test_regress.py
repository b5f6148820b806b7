"""A run that learns numbers, from its files to its folder and what is asked of that."""

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from asking import asking

from bertkit import api, load
from bertkit.cli import main
from bertkit.errors import UserError
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.runs.result import Answers
from bertkit.tasks.regress import REGRESS
from bertkit.train.prepare import prepare

WORDS = ["the", "a", "film", "book", "song", "was", "is", "very", "long", "short", "old", "red"]
VALUES = {"good": 2_004.0, "fair": 2_001.0, "bad": 1_998.0}


def write_scores(path: Path, count: int, seed: int) -> Path:
    """Rows whose score, far from 0, is that of one word."""
    chance = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for _ in range(count):
            words, told = chance.choices(WORDS, k=chance.randint(2, 11)), chance.choice([*VALUES])
            words.insert(chance.randrange(len(words)), told)
            rows.writerow([" ".join(words), VALUES[told] + chance.random() / 10])
    return path


@pytest.fixture(scope="module")
def scores(make_toy: Callable[[Path], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("scores")
    files = {
        "train": str(write_scores(folder / "numbers.csv", 150, 1)),
        "dev": str(write_scores(folder / "numbers-dev.csv", 41, 2)),
    }
    return make_toy(folder).with_changes(
        {"task": {**files, "kind": "regress", "metric": ""}, "training": {"epochs": 6}}
    )


@pytest.fixture(scope="module")
def run(scores: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of it."""
    out = tmp_path_factory.mktemp("runs") / "run"
    api.finetune(recipe=scores, out=out)
    return out


def test_a_run_learns_numbers_and_its_folder_gives_them_on_their_own_scale(scores: Recipe, run: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    assert (result["kind"], result["metric"], result["floor"]) == ("regress", "pearson", pytest.approx(1.0))
    assert list(result["baselines"]) == ["mean", "ridge"]
    assert result["score"] > 0.8
    assert result["seeds"][0]["status"] == "learned"
    assert result["targets"]["mean"] == pytest.approx(2_001, abs=0.6)
    assert {"labels", "confusion", "calibration"}.isdisjoint(result)
    answers = Answers.read(run)
    assert answers is not None
    model = load(run)
    texts = [row["text"] for row in result["mistakes"]]
    found = model.predict(texts)
    assert [list(row) for row in found[:1]] == [["text", "score"]]
    told = [row["predicted"] for row in result["mistakes"]]
    np.testing.assert_allclose([row["score"] for row in found], told, rtol=1e-6)
    evaluated = api.evaluate(run, scores.task)
    # So far from 0 float32 has few digits left, in which ranks may change places.
    for metric in ("pearson", "mse", "mae"):
        assert evaluated["metrics"][metric] == pytest.approx(result["metrics"][metric], rel=1e-3)
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = max((line for line in logged if line["event"] == "evaluation"), key=lambda line: line["score"])
    assert evaluated["loss"] == pytest.approx(best["loss"], rel=1e-3)
    page = (run / "report.html").read_text()
    for heading in ("Predicted against true", "Residuals", "predicting the mean", "ridge regression"):
        assert heading in page
    assert "Confusion matrix" not in page


def test_the_folder_opens_in_transformers_as_a_regression_with_equal_outputs(
    scores: Recipe, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    plain = scores.with_changes({"model": {"options": {"positions": "learned"}}, "training": {"epochs": 2}})
    api.finetune(recipe=plain, out=tmp_path / "run")
    texts = ["the film was good", "a bad book"]
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model").eval()
    assert (theirs.config.num_labels, theirs.config.problem_type) == (1, "regression")
    encoded = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")(
        texts, padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        logits = theirs(**encoded).logits[:, 0].tolist()
    assert [row["score"] for row in load(tmp_path / "run").predict(texts)] == pytest.approx(logits, rel=1e-6)


def test_commands_print_and_write_scores(
    scores: Recipe, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = scores.task
    assert main(["predict", str(run), "--say", "a good film", "--json"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert list(answer) == ["text", "score"]
    assert main(["predict", str(run), "--say", "a good film"]) == 0
    assert capsys.readouterr().out == f"{answer['score']:.4f}\ta good film\n"
    assert main(["evaluate", str(run), task.dev, "--train", task.train]) == 0
    told = capsys.readouterr().out
    for words in ("Pearson", "Spearman", "MSE", "MAE", "ridge", "mean", "furthest off"):
        assert words in told


def test_a_model_of_the_other_kind_is_refused(toy: Recipe, scores: Recipe, run: Path, tmp_path: Path) -> None:
    classes, numbers = tmp_path / "classes", run
    api.finetune(recipe=toy.with_changes({"training": {"epochs": 1}}), out=classes)
    with pytest.raises(
        UserError, match=r"a head that gives a text one label, and task .* gives a text numbers"
    ):
        api.evaluate(classes, scores.task)
    with pytest.raises(
        UserError, match=r"a head that gives a text numbers, and task .* gives a text one label"
    ):
        api.evaluate(numbers, TaskRecipe(dev=toy.task.dev, kind="classify"))
    with pytest.raises(
        UserError, match=r"dev\.csv: \d+ of \d+ rows cannot .* score 'yes', 'no' is not a number"
    ):
        api.evaluate(numbers, TaskRecipe(dev=toy.task.dev))
    with pytest.raises(
        UserError, match=r"and 38 more is not one of those trained on: no, yes \(41: lines 2, 3"
    ):
        api.evaluate(classes, TaskRecipe(dev=scores.task.dev))
    with pytest.raises(UserError, match="is of the kind 'regress', not 'classify'"):
        api.finetune("stsb", out=tmp_path / "no", changes={"task": {"kind": "classify"}})


def test_a_temperature_of_numbers_is_refused(scores: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a temperature is of the probabilities of classes"):
        api.finetune(recipe=scores.with_changes({"training": {"temperature": True}}), out=tmp_path / "run")


def test_scores_of_a_model_that_broke_are_said_in_json() -> None:
    outputs = np.full((3, 1), np.nan, dtype=np.float32)
    assert np.isnan(REGRESS.predict(asking(np.zeros(3)), outputs, ("score",), {})).all()


def test_no_softening_is_of_numbers(scores: Recipe) -> None:
    with pytest.raises(UserError, match=r"label_smoothing and focal .* another loss"):
        prepare(scores.with_changes({"training": {"label_smoothing": 0.1}}))
