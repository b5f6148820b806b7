"""A run that learns tags of words, and what its folder answers: to texts, words and files of words."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from trained import fit

from bertkit import api, load
from bertkit.cli import main
from bertkit.data.tagged import read_tagged
from bertkit.errors import UserError
from bertkit.recipe import Recipe, TaskRecipe

WORDS = ["the", "a", "film", "book", "was", "is", "long", "old"]
TAGS = {"paris": "B-LOC", "rome": "B-LOC", "ann": "B-PER", "bob": "B-PER"}


def write(path: Path, count: int, seed: int) -> Path:
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            words = chance.choices([*WORDS, *TAGS], k=chance.randint(4, 9))
            file.writelines(f"{word}\t{TAGS.get(word, 'O')}\n" for word in words)
            file.write("\n")
    return path


@pytest.fixture(scope="module")
def run(make_toy: Callable[[Path], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tags")
    files = {
        "train": str(write(folder / "train.conll", 150, 1)),
        "dev": str(write(folder / "dev.conll", 20, 2)),
    }
    task = {**files, "metric": "", "context": 1}
    fit(make_toy(folder).with_changes({"task": task, "training": {"epochs": 4}}), folder / "run")
    return folder / "run"


def test_a_text_has_entities_with_their_characters(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(run), "--say", "Bob,  the Paris!", "--say", "a film", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["words"] == ["Bob", ",", "the", "Paris", "!"]
    assert {(each["label"], each["start"], each["end"]) for each in first["entities"]} >= {("LOC", 10, 15)}
    assert all(first["text"][each["start"] : each["end"]] == each["text"] for each in first["entities"])
    assert (second["tags"], second["entities"]) == (["O", "O"], [])
    assert main(["predict", str(run), "--say", "the paris", "--decode", "greedy"]) == 0
    assert capsys.readouterr().out == "paris (LOC)\tthe paris\n"


def test_words_have_entities_with_their_numbers(run: Path) -> None:
    (found,) = load(run).predict([["the", "film", "paris"]])
    assert (found["words"], found["tags"]) == (["the", "film", "paris"], ["O", "O", "B-LOC"])
    (entity,) = found["entities"]
    assert (entity["start"], entity["end"], entity["text"]) == (2, 3, "paris")
    for texts, said in (([["a"], "b"], "give all as texts, or all as lists"), ([[]], "there are no words")):
        with pytest.raises(UserError, match=said):
            load(run).predict(texts)


def test_a_file_with_a_word_a_line_is_answered_by_such_a_file(run: Path, tmp_path: Path) -> None:
    result = json.loads((run / "result.json").read_text())
    source, out = run.parent / "dev.conll", tmp_path / "answers.conll"
    assert main(["predict", str(run), str(source), "-o", str(out)]) == 0
    truth, answers = (list(read_tagged(path)) for path in (source, out))
    assert [row.words for row in answers] == [row.words for row in truth]
    right = [
        a == b
        for one, other in zip(answers, truth, strict=True)
        for a, b in zip(one.tags, other.tags, strict=True)
    ]
    assert sum(right) / len(right) == pytest.approx(result["metrics"]["accuracy"])
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps({"id": 5, "tokens": row.words}) + "\n" for row in truth))
    assert main(["predict", str(run), str(lines), "--all", "-o", str(tmp_path / "out.jsonl")]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [*rows[0]] == ["id", "tokens", "entities", "words", "tags"]
    assert len(rows) == len(truth)


def test_it_is_scored_as_it_was_read_and_decoded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((run / "result.json").read_text())
    assert (result["scheme"], result["labels"]) == ("BIO", ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"])
    assert {row["label"] for row in result["by_class"]} == {"LOC", "PER"}
    assert api.evaluate(run, TaskRecipe())["score"] == result["score"]
    greedy = api.evaluate(run, str(run.parent / "dev.conll"), decode="greedy")
    assert greedy["metrics"]["strict_f1"] <= greedy["metrics"]["entity_f1"]
    assert main(["evaluate", str(run), str(run.parent / "dev.conll"), "--skip-bad"]) == 0
    assert "by type" in capsys.readouterr().out
    with pytest.raises(UserError, match="cannot be 'best' but only viterbi or greedy"):
        load(run, decode="best")
