"""What every kind of task has, from a user's files to the folder of the model and what is asked of it."""

import csv
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from trained import StopsAfter, equal, fit

from bertkit import api, load
from bertkit.cli import main
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.runs.result import Answers
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.squad import answer_scores

WORDS = ["the", "a", "film", "book", "song", "was", "is", "very", "long", "short", "old", "red"]
VALUES = {"good": 2_004.0, "fair": 2_001.0, "bad": 1_998.0}


def sentence(chance: random.Random, told: str) -> str:
    words = chance.choices(WORDS, k=chance.randint(2, 11))
    words.insert(chance.randrange(len(words)), told)
    return " ".join(words)


def write_classes(path: Path, count: int, chance: random.Random) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for told in chance.choices([*VALUES], k=count):
            rows.writerow([sentence(chance, told), told.upper()])


def write_scores(path: Path, count: int, chance: random.Random) -> None:
    """Scores far from 0."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for told in chance.choices([*VALUES], k=count):
            rows.writerow([sentence(chance, told), VALUES[told] + chance.random() / 10])


def write_tags(path: Path, count: int, chance: random.Random) -> None:
    """Entities of a word or two, which tell the type."""
    with path.open("w", encoding="utf-8") as file:
        for told in chance.choices([*VALUES], k=count):
            words = sentence(chance, told).split()
            tags = [f"B-{word}" if word == told else "O" for word in words]
            file.writelines(f"{word} {tag}\n" for word, tag in zip(words, tags, strict=True))
            file.write("\n")


def write_questions(path: Path, count: int, chance: random.Random) -> None:
    """Which word tells, in SQuAD's JSON; every fifth text has none."""
    paragraphs: list[dict[str, Any]] = []
    for number in range(count):
        told = "" if number % 5 == 4 else chance.choice([*VALUES])
        text = " ".join(sentence(chance, told).split())
        answers = [{"text": told, "answer_start": text.index(told)}] if told else []
        asked = {"id": f"q{number}", "question": "how was it ?", "answers": answers}
        paragraphs.append({"context": text, "qas": [{**asked, "is_impossible": not told}]})
    path.write_text(json.dumps({"version": "v2.0", "data": [{"paragraphs": paragraphs}]}))


def write_choices(path: Path, count: int, chance: random.Random) -> None:
    """The good one of two to four is right."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", *(f"choice{number}" for number in range(1, 5)), "label"])
        for _ in range(count):
            choices = [sentence(chance, told) for told in ["bad"] * chance.randint(1, 3)]
            right = chance.randint(0, len(choices))
            choices.insert(right, sentence(chance, "good"))
            rows.writerow([sentence(chance, "red"), *choices, *[""] * (4 - len(choices)), right])


def write_sets(path: Path, count: int, chance: random.Random) -> None:
    """Any of three labels, each of a word of its own."""
    with path.open("w", encoding="utf-8") as file:
        for _ in range(count):
            told = [label for label in VALUES if chance.random() < 0.4]
            text = " ".join([*told, *chance.choices(WORDS, k=chance.randint(1, 3)), *told])
            file.write(json.dumps({"text": text, "labels": [label.upper() for label in told]}) + "\n")


@dataclass(frozen=True)
class Sample:
    """Files of a kind that are learned in seconds.

    Attributes:
        write: so many rows to a file.
        file: what it is called.
        theirs: transformers' class of the model.
        texts: one text, or two, to lay the logits side by side.
        answer: what an answer has beside its texts.
        words: what the report says, and only that of this kind.
        task: keys of the recipe that its files need; the kind is guessed.
        windows: whether a long text is read in windows where that is asked for.
        learned: the least score of the run.
    """

    write: Callable[[Path, int, random.Random], None]
    file: str
    theirs: str
    texts: tuple[str, ...]
    answer: tuple[str, ...]
    words: tuple[str, ...]
    task: dict[str, Any] = field(default_factory=dict)
    windows: bool = True
    learned: float = 0.8


SAMPLES: dict[str, Sample] = {
    "classify": Sample(
        write_classes,
        "classes.csv",
        "AutoModelForSequenceClassification",
        ("the film was good",),
        ("label", "probabilities"),
        ("Confusion matrix", "majority", "n-gram model"),
    ),
    "multilabel": Sample(
        write_sets,
        "sets.jsonl",
        "AutoModelForSequenceClassification",
        ("the film was good",),
        ("labels", "probabilities"),
        ("By label", "most frequent labels"),
        learned=0.7,
    ),
    "regress": Sample(
        write_scores,
        "scores.csv",
        "AutoModelForSequenceClassification",
        ("the film was good",),
        ("score",),
        ("Predicted against true", "Residuals", "ridge regression"),
    ),
    "tag": Sample(
        write_tags,
        "tags.txt",
        "AutoModelForTokenClassification",
        ("the film was good",),
        ("words", "tags", "entities"),
        ("By type", "word lookup"),
    ),
    "answer": Sample(
        write_questions,
        "questions.json",
        "AutoModelForQuestionAnswering",
        ("how was it ?", "the film was good and very long"),
        ("question", "answer", "start", "end", "probability"),
        ("By first word", "HasAns F1", "NoAns EM"),
    ),
    "choose": Sample(
        write_choices,
        "choices.csv",
        "AutoModelForMultipleChoice",
        ("the film was red", "a good book"),
        ("choices", "choice", "probabilities"),
        ("By place", "commonest place", "TF-IDF cosine"),
        windows=False,
    ),
}


def test_every_kind_has_a_sample() -> None:
    assert SAMPLES.keys() == KINDS.keys()


@dataclass(frozen=True)
class Trained:
    """A sample, its recipe, and the run that it made."""

    sample: Sample
    kind: str
    recipe: Recipe
    out: Path


@pytest.fixture(scope="module", params=SAMPLES)
def trained(
    request: pytest.FixtureRequest,
    make_toy: Callable[[Path], Recipe],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    sample, folder = SAMPLES[request.param], tmp_path_factory.mktemp(request.param)
    files = {part: folder / f"{part}-{sample.file}" for part in ("train", "dev")}
    sample.write(files["train"], 150, random.Random(1))
    sample.write(files["dev"], 41, random.Random(2))
    task = {**{part: str(path) for part, path in files.items()}, "metric": "", **sample.task}
    recipe = make_toy(folder).with_changes(
        {"task": task, "training": {"epochs": 6}, "model": {"options": {"positions": "learned"}}}
    )
    api.finetune(recipe=recipe, out=folder / "run")
    return Trained(sample, request.param, recipe, folder / "run")


def test_it_learns_and_its_folder_scores_the_same(trained: Trained) -> None:
    result = json.loads((trained.out / "result.json").read_text())
    kind = KINDS[trained.kind]
    assert (result["kind"], result["metric"]) == (trained.kind, kind.usual)
    assert list(result["baselines"]) == [baseline.name for baseline in kind.baselines]
    assert result["score"] > trained.sample.learned
    assert result["interval"][0] <= result["score"] <= result["interval"][1]
    assert result["seeds"][0]["status"] == "learned"
    answers = Answers.read(trained.out)
    assert answers is not None
    assert len(answers.adds) == result["rows"]
    evaluated = api.evaluate(trained.out, TaskRecipe())
    assert evaluated["score"] == pytest.approx(result["score"], rel=1e-3)
    logged = [json.loads(line) for line in (trained.out / "metrics.jsonl").read_text().splitlines()]
    best = max(
        (line for line in logged if line["event"] == "evaluation"),
        key=lambda line: (line["score"], -line["loss"]),
    )
    assert evaluated["loss"] == pytest.approx(best["loss"], rel=1e-3)
    assert best["loss"] < result["floor"]


def test_its_report_tells_of_its_kind(trained: Trained) -> None:
    page = (trained.out / "report.html").read_text()
    assert [words for words in trained.sample.words if words not in page] == []
    headings = re.findall("<h2>(.*?)</h2>", page)
    assert sorted({*headings}) == sorted(headings), "nothing is told twice"
    own = {words for other in SAMPLES.values() if other is not trained.sample for words in other.words}
    assert [words for words in own - {*trained.sample.words} if f"<h2>{words}" in page] == []


def test_transformers_has_the_same_logits_and_gives_the_model_back(trained: Trained, tmp_path: Path) -> None:
    folder, texts = trained.out / "model", trained.sample.texts
    theirs = getattr(transformers, trained.sample.theirs).from_pretrained(folder).eval()
    encoded = transformers.AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt")
    if trained.kind == "choose":
        encoded = {name: each[None] for name, each in encoded.items()}
    with torch.no_grad():
        found = theirs(**encoded)
    parts = [found.start_logits, found.end_logits] if trained.kind == "answer" else [found.logits]
    expected = torch.stack([part[0] for part in parts], dim=-1).squeeze(-1).numpy()
    ours = load(trained.out).outputs([texts[0]], [texts[1]] if texts[1:] else None)[0]
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    theirs.save_pretrained(tmp_path / "back")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "back")
    changes = {
        "model": {"start": str(tmp_path / "back"), "options": {}},
        "vocabulary": {"size": 4_000, "min_frequency": 0},
        "optimiser": {"lr": 0.0},
        "training": {"epochs": 1},
    }
    again = fit(trained.recipe.with_changes(changes), tmp_path / "again")
    before = json.loads((trained.out / "result.json").read_text())
    assert again["score"] == pytest.approx(before["score"], rel=1e-3)


def test_it_resumes_bit_for_bit(trained: Trained, tmp_path: Path) -> None:
    short = trained.recipe.with_changes({"training": {"epochs": 1}})
    fit(short, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(short, tmp_path / "cut", listener=StopsAfter(7))
    fit(short, tmp_path / "cut", resume=True)
    assert equal(tmp_path / "whole", tmp_path / "cut")


def test_it_takes_seeds_windows_and_frozen_encoders_and_is_compared(trained: Trained, tmp_path: Path) -> None:
    once = trained.recipe.with_changes({"training": {"epochs": 1}})
    windows = {"batch": {"window": 14, "max_length": 24}} if trained.sample.windows else {}
    several = fit(once.with_changes({**windows, "training": {"seeds": 2}}), tmp_path / "seeds")
    assert len(several["seeds"]) == 2
    assert several["interval"][0] <= several["score"] <= several["interval"][1]
    frozen = fit(once.with_changes({"model": {"freeze": True}}), tmp_path / "frozen")
    assert frozen["rows"] == several["rows"]
    compared = api.compare([trained.out, tmp_path / "seeds", tmp_path / "frozen"])
    assert [row["difference"]["interval"] is not None for row in compared["rows"][1:]] == [True, True]


def test_the_doctor_looks_at_it_before_and_after(trained: Trained) -> None:
    before = api.doctor(recipe=trained.recipe, seconds=1)
    assert [finding["check"] for finding in before["findings"] if finding["weight"] == "grave"] == []
    assert main(["doctor", str(trained.out)]) in (0, 3)


def test_official_files_have_every_answer(trained: Trained, tmp_path: Path) -> None:
    out = tmp_path / "official"
    arguments = ["predict", str(trained.out), trained.recipe.task.dev, "--official", str(out)]
    if KINDS[trained.kind].official is None:
        assert main(arguments) == 2
        assert not out.exists()
        return
    assert main(arguments) == 0
    files = [json.loads(path.read_text()) for path in sorted(out.iterdir())]
    rows = json.loads((trained.out / "result.json").read_text())["rows"]
    assert [len(content) for content in files] == [rows] * len(files)
    if trained.kind == "answer":
        null, given = files
        told = json.loads(Path(trained.recipe.task.dev).read_text())["data"][0]["paragraphs"]
        right = {row["qas"][0]["id"]: [each["text"] for each in row["qas"][0]["answers"]] for row in told}
        scores = [answer_scores(given[name], right[name], may_be_none=True)[0] for name in right]
        assert np.mean(scores) == pytest.approx(api.evaluate(trained.out, TaskRecipe())["score"], abs=0.05)
        assert all(0 <= probability <= 1 for probability in null.values())
    assert main(arguments) == 2  # It is there.


def test_rows_of_a_file_are_answered(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dev = trained.recipe.task.dev
    assert main(["predict", str(trained.out), dev, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == json.loads((trained.out / "result.json").read_text())["rows"]
    assert set(trained.sample.answer) <= {*answers[0]}
    for name in ("answers.csv", "answers.jsonl"):
        assert main(["predict", str(trained.out), dev, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 0
    assert main(["evaluate", str(trained.out), dev, "--train", trained.recipe.task.train]) == 0
    told = capsys.readouterr().out
    assert [metric.title for metric in KINDS[trained.kind].metrics[:1] if metric.title not in told] == []
