"""The demo in small: the same commands over fewer sentences and steps."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertkit.cli import demo, main
from bertkit.demo import FRESH, PRETRAIN, PRETRAINED, Sizes, parts
from bertkit.demo.grammar import Sentence, generate, plain_text
from bertkit.demo.parts import check_unseen, finetune_recipe, groups_of
from bertkit.demo.report import demo_verdict
from bertkit.infer.model import load

SMALL = Sizes(
    text=700, vocabulary=800, steps=6, tokens=256, labels=48, epochs=2, sequences=16, seeds=2, dev=128
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SIZES", SMALL)


@pytest.mark.usefixtures("small")
def test_the_demo_leaves_text_models_and_a_page_and_is_the_same_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "the demo"
    assert main(["demo", "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["pretraining"]["steps"] == 6
    assert found["updates"] == 6
    for name in (FRESH, PRETRAINED):
        assert found[name]["rows"] == 128
        assert found[name]["train_rows"] == 48
        assert [seed["steps"] for seed in found[name]["seeds"]] == [6, 6]
    assert found["groups"]["all"][PRETRAINED][0] == pytest.approx(found[PRETRAINED]["score"])
    assert found["groups"]["all"]["ngram"][0] == found[FRESH]["baselines"]["ngram"]["score"]
    more, low, high = found["difference"]
    assert more == pytest.approx(found[PRETRAINED]["score"] - found[FRESH]["score"])
    assert low <= more <= high
    assert found["pairs"]["pairs"] == 64
    assert [each["text"] for each in found["filled"]] == list(demo.GAPS)

    page = (out / "report.html").read_text()
    assert found["report"] == str(out / "report.html")
    assert demo_verdict(found)[1].split(". ")[0] in page
    for run in (PRETRAIN, FRESH, PRETRAINED):
        assert f"href='{run}/report.html'" in page
        assert (out / run / "report.html").is_file()
    for words in ("construction", "Without any label", "report.html", "48 labelled sentences, 6 updates"):
        assert words in printed.err

    assert load(out / PRETRAINED).predict(["Our nephew described himself."])[0]["label"] in (
        "acceptable",
        "unacceptable",
    )
    assert main(["demo", "-o", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err

    assert main(["demo", "-o", str(out), "--json", "--overwrite"]) == 0
    again = json.loads(capsys.readouterr().out)
    for key in ("groups", "difference", "pairs", "filled"):
        assert again[key] == found[key]


def test_the_demo_overwrites_nothing_but_a_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.txt").write_text("mine")
    assert main(["demo", "-o", str(tmp_path), "--overwrite"]) == 2
    assert "no demo" in capsys.readouterr().err
    assert (tmp_path / "text.txt").read_text() == "mine"


def test_both_models_learn_from_the_same_labels_in_the_same_way(tmp_path: Path) -> None:
    fresh = finetune_recipe(tmp_path, SMALL, 0, pretrained=False)
    pretrained = finetune_recipe(tmp_path, SMALL, 0, pretrained=True)
    assert replace(pretrained, model=fresh.model, vocabulary=fresh.vocabulary) == fresh
    assert fresh.model.options == parts.pretrain_recipe(tmp_path, SMALL, 0).model.options
    assert fresh.vocabulary.file == str(tmp_path / "vocab.txt")


def test_no_dev_sentence_may_stand_in_the_text() -> None:
    dev = [Sentence("My aunt is tall.", "acceptable", "agreement", "none")]
    check_unseen(["My aunts are tall."], dev)
    with pytest.raises(RuntimeError, match=r"1 dev sentences stand in the text, such as 'My aunt is tall.'"):
        check_unseen(["My aunts are tall.", "my aunt is tall."], dev)


def test_what_is_filled_in_does_not_stand_in_the_text() -> None:
    sizes = Sizes()
    text = set(plain_text(min(sizes.text, 8_000)))
    for gap in demo.GAPS:
        assert all(gap.replace("[MASK]", verb) not in text for verb in ("is", "are", "was", "were"))


def test_groups_are_all_novelties_and_dependencies() -> None:
    dev = generate("dev", 128)
    groups = groups_of(dev)
    assert list(groups)[:4] == ["all", "none", "words", "construction"]
    assert len(groups) == 4 + 8
    assert len(groups["all"]) == sum(len(groups[name]) for name in ("none", "words", "construction")) == 128
    assert all(dev[row].phenomenon == "reflexive" for row in groups["reflexive"])


def found_with(difference: list[float]) -> dict[str, Any]:
    bars = {"ngram": [0.5, 0.4, 0.6], "fresh": [0.6, 0.5, 0.7], "pretrained": [0.8, 0.7, 0.9]}
    return {
        "sizes": {"labels": 48, "dev": 128, "seeds": 2},
        "updates": 6,
        "groups": {"all": bars},
        "difference": difference,
    }


@pytest.mark.parametrize(
    ("difference", "level", "words"),
    [
        ([0.2, 0.1, 0.3], "good", "Pretraining buys 20.0 points [10.0, 30.0]."),
        ([0.05, -0.05, 0.1], "open", "The difference, 5.0 points [-5.0, 10.0], may be chance."),
    ],
)
def test_the_verdict_asks_for_an_interval_above_zero(difference: list[float], level: str, words: str) -> None:
    found_level, text = demo_verdict(found_with(difference))
    assert found_level == level
    assert text.endswith(words)
    assert "the same 48 labelled sentences, in the same 6 updates" in text
    assert "80.0 % [70.0, 90.0] of 128 new sentences right, fresh weights 60.0 % [50.0, 70.0]" in text


def test_answers_of_one_seed_are_found_too(tmp_path: Path) -> None:
    from bertkit.runs.result import Answers
    from bertkit.tasks.examples import Targets

    adds = np.eye(2, dtype=np.uint8)
    Answers(Targets.single(np.array([0, 1])), np.zeros((2, 2), dtype=np.float32), adds).write(tmp_path)
    np.testing.assert_array_equal(parts.answers(tmp_path, {"seeds": [{"seed": 0}]}), [adds])
