"""The mistakes of a run have the tokens that moved the model to them."""

import csv
from pathlib import Path

import pytest
from asking import unlabelled

from bertkit import api, load
from bertkit.recipe import Recipe
from bertkit.train import explain


def pairs(source: str, path: Path) -> str:
    """Each text of the toy's beside a second one with signs that a tokenizer turns over."""
    with Path(source).open(newline="") as file:
        _, *lines = csv.reader(file)
    with path.open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file)
        written.writerow(["text", "other", "label"])
        written.writerows([text, f"  Très   {text[:9]}, oh", label] for text, label in lines)
    return str(path)


def test_a_mistake_tells_which_tokens_moved_it(toy: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = api.finetune(recipe=toy, out=run)
    mistakes = result["mistakes"]
    assert mistakes, "nothing to explain here"
    predictor = load(run).predictor
    for mistake in mistakes[: explain.EXPLAINED]:
        found = mistake["explanation"]
        assert found["complete"]
        total = sum(token["push"] for token in found["tokens"])
        assert total == pytest.approx(found["difference"] - found["gap"], abs=1e-4)
        logs = predictor.outputs(predictor.encode(unlabelled(mistake["text"])))[0]
        labels = list(predictor.labels)
        end = logs[labels.index(mistake["predicted"])] - logs[labels.index(mistake["label"])]
        assert found["baseline"] + found["difference"] == pytest.approx(end, abs=1e-4)
        words = [mistake["text"][token["from"] : token["to"]] for token in found["tokens"]]
        assert words == [token["token"].removeprefix("##") for token in found["tokens"]]
        assert "".join(words) == mistake["text"].replace(" ", "")
    assert not any("explanation" in mistake for mistake in mistakes[explain.EXPLAINED :])


def test_pairs_and_what_was_cut(toy: Recipe, tmp_path: Path) -> None:
    files = {key: pairs(getattr(toy.task, key), tmp_path / f"pairs-{key}.csv") for key in ("train", "dev")}
    recipe = toy.with_changes({"task": {**files, "pair": "other"}, "batch": {"max_length": 11}})
    result = api.finetune(recipe=recipe, out=tmp_path / "run")
    for mistake in result["mistakes"][: explain.EXPLAINED]:
        tokens = mistake["explanation"]["tokens"]
        assert len(tokens) == 11 - 3, "all are longer than that"
        second = [mistake["pair"][each["from"] : each["to"]] for each in tokens if each["text"] == 1]
        assert "".join(second).startswith("Très"[: len("".join(second))])
        assert {each["text"] for each in tokens} == {0, 1}
        assert mistake["explanation"]["complete"]


def test_it_takes_a_share_of_the_time_of_training_at_most(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "LEAST_TOKENS", 500)
    result = api.finetune(recipe=toy, out=tmp_path / "run")
    explained = [mistake for mistake in result["mistakes"] if "explanation" in mistake]
    assert 1 <= len(explained) < min(len(result["mistakes"]), explain.EXPLAINED)
