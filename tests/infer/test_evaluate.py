"""Scoring a trained model, from Python."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import bertkit
from bertkit.errors import UserError
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.tasks.confusion import CLASS_METRICS, sums_of

TRAIN = [("the cat sat .", "good"), ("a dog ran .", "bad"), ("a red mat", "bad"), ("old cats", "odd")] * 3
DEV = [
    ("the cat sat .", "good"),
    ("a dog ran on the mat .", "good"),
    ("red", "bad"),
    ("the old dog", "odd"),
    ("a a a", "bad"),
    ("on the mat the dogs sat .", "odd"),
    ("the cat ran", "good"),
]


def write(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"train": write(tmp_path / "train.tsv", TRAIN), "dev": write(tmp_path / "dev.tsv", DEV)}


def test_the_score_is_that_of_what_it_predicts(tiny_model: Path, files: dict[str, str]) -> None:
    result = bertkit.evaluate(tiny_model, TaskRecipe(**files))
    answers = bertkit.load(tiny_model).predict([text for text, _ in DEV])
    confusion = np.zeros((3, 3), dtype=np.int64)
    names = ["bad", "good", "odd"]
    for answer, (_, label) in zip(answers, DEV, strict=True):
        confusion[names.index(label), names.index(answer["label"])] += 1
    assert result["confusion"] == confusion.tolist()
    sums = sums_of(confusion)
    metrics = {each.name: float(each.score(sums)) for each in CLASS_METRICS if not each.of_positive}
    assert result["metrics"] == metrics
    assert (result["metric"], result["score"]) == ("macro_f1", result["metrics"]["macro_f1"]), (
        "the metric of the card"
    )
    assert result["interval"][0] <= result["score"] <= result["interval"][1]
    truth = [answer["probabilities"][label] for answer, (_, label) in zip(answers, DEV, strict=True)]
    assert result["loss"] == pytest.approx(-np.log(truth).mean(), abs=1e-5)
    wrong = [
        i for i, (answer, row) in enumerate(zip(answers, DEV, strict=True), 2) if answer["label"] != row[1]
    ]
    assert sorted(mistake["line"] for mistake in result["mistakes"]) == wrong
    assert (result["rows"], result["train_rows"], result["leaks"], result["labels"]) == (7, 12, 1, names)
    json.dumps(result, allow_nan=False)


def test_the_baselines_learn_from_train(tiny_model: Path, files: dict[str, str]) -> None:
    result = bertkit.evaluate(tiny_model, TaskRecipe(**files, metric="accuracy"))
    assert result["baselines_from"] == "train"
    assert result["baselines"]["majority"]["score"] == 2 / 7, "train has most of bad"
    assert set(result["baselines"]) == {"majority", "ngram"}
    assert result["metric"] == "accuracy"


def test_without_train_the_majority_is_that_of_the_scored_rows(
    tiny_model: Path, files: dict[str, str]
) -> None:
    result = bertkit.evaluate(tiny_model, TaskRecipe(dev=files["dev"], metric="accuracy"))
    assert (result["baselines_from"], result["train_rows"], result["leaks"]) == ("dev", None, None)
    assert list(result["baselines"]) == ["majority"]
    assert result["baselines"]["majority"]["score"] == 3 / 7


def test_every_key_that_a_result_has(tiny_model: Path, files: dict[str, str]) -> None:
    result = bertkit.evaluate(tiny_model, TaskRecipe(**files))
    keys = (
        "task kind model rows metric score interval metrics baselines seeds seconds tokens_per_second version"
    )
    assert set(keys.split()) <= set(result)
    assert result["model"] == str(tiny_model)
    assert result["seeds"][0]["status"] in ("learned", "not learned", "collapsed")


def test_pads_that_training_showed_are_shown(tiny_model: Path, files: dict[str, str], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "padded")
    card = json.loads((folder / "bertkit.json").read_text())
    (folder / "bertkit.json").write_text(json.dumps({**card, "pad_to": 13}))
    task = TaskRecipe(**files)
    assert bertkit.evaluate(folder, task)["loss"] != bertkit.evaluate(tiny_model, task)["loss"]


def test_what_is_asked_for_counts_of_the_rows_of_the_run_too(
    tiny_model: Path, files: dict[str, str], tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "own")
    card = json.loads((folder / "bertkit.json").read_text())
    recipe = Recipe().with_changes({"task": files}).to_toml()
    (folder / "bertkit.json").write_text(json.dumps({**card, "recipe": recipe}))
    assert bertkit.evaluate(folder, "")["rows"] == len(DEV)
    with pytest.raises(UserError, match="no column 'stars'"):
        bertkit.evaluate(folder, TaskRecipe(label="stars"))


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (TaskRecipe(), "Say what to score on"),
        (TaskRecipe(train="train.tsv"), "Say what to score on"),
        (TaskRecipe(name="cola"), "trained to tell bad, good, odd, and the labels of task 'cola' are unacc"),
        (TaskRecipe(name="colla"), "Did you mean 'cola'"),
        (TaskRecipe(name="cola", dev="dev.tsv"), "not both"),
        (
            TaskRecipe(dev="strange.tsv"),
            r"strange.tsv, line 2: the label 'fine' is not one of those trained on",
        ),
        (TaskRecipe(dev="dev.tsv", metric="acuracy"), "Did you mean 'accuracy'"),
        (TaskRecipe(dev="absent.tsv"), "There is no file absent.tsv"),
    ],
)
def test_mistakes(
    tiny_model: Path,
    files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    task: TaskRecipe,
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "strange.tsv", [("dog", "fine")])
    with pytest.raises(UserError, match=sentence):
        bertkit.evaluate(tiny_model, task)
