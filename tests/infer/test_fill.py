"""Filling masks from Python."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertTokenizer, pipeline

import bertkit
from bertkit.errors import UserError
from bertkit.infer.masked import fill
from bertkit.infer.model import Model

TEXTS = ["the cat sat on the [MASK] .", "[MASK]", "a[MASK] [MASK] ran.", "the old cats [MASK] on a mat"]


@pytest.fixture(scope="module")
def model(tiny_masked_model: Path) -> Model:
    return bertkit.load(tiny_masked_model, precision="fp32")


def test_an_answer_has_each_mask_with_its_candidates(model: Model) -> None:
    answers = model.fill(TEXTS, top=3)
    assert [answer["text"] for answer in answers] == TEXTS
    for answer in answers:
        assert list(answer) == ["text", "masks", "filled"]
        for mask in answer["masks"]:
            assert answer["text"][mask["position"] :].startswith("[MASK]")
            chances = [candidate["probability"] for candidate in mask["candidates"]]
            assert len(chances) == 3
            assert chances == sorted(chances, reverse=True)
        assert "[MASK]" not in answer["filled"] or any(
            mask["candidates"][0]["token"] == "[MASK]" for mask in answer["masks"]
        )
    assert [mask["position"] for mask in answers[2]["masks"]] == [1, 8]
    json.dumps(answers, allow_nan=False)


def test_the_candidates_are_those_of_transformers(model: Model, tiny_masked_model: Path) -> None:
    theirs = pipeline(
        "fill-mask",
        model=BertForMaskedLM.from_pretrained(tiny_masked_model),
        tokenizer=BertTokenizer.from_pretrained(tiny_masked_model),
        top_k=17,
    )
    for text in TEXTS:
        expected = theirs(text)
        expected = expected if isinstance(expected[0], list) else [expected]
        for mask, other in zip(model.fill(text, top=17)["masks"], expected, strict=True):
            found = {each["token"]: each["probability"] for each in mask["candidates"]}
            assert found == pytest.approx({each["token_str"]: each["score"] for each in other}, abs=1e-5)


def test_no_answer_depends_on_its_neighbours(model: Model) -> None:
    together, alone = model.fill(TEXTS, top=17), [model.fill(text, top=17) for text in TEXTS]
    for one, other in zip(together, alone, strict=True):
        for first, second in zip(one["masks"], other["masks"], strict=True):
            chances = [{c["token"]: c["probability"] for c in each["candidates"]} for each in (first, second)]
            assert chances[0] == pytest.approx(chances[1], abs=1e-6)
            assert np.isclose(sum(chances[0].values()), 1)


@pytest.mark.parametrize(
    ("text", "tokens", "filled"),
    [
        ("the [MASK] .", ["cat"], "the cat ."),
        ("the cat [MASK] ran", ["##s"], "the cats ran"),
        ("[MASK][MASK] ran.", ["cat", "##s"], "cats ran."),
        ("a [MASK] [MASK]", ["old", "##ty"], "a oldty"),
    ],
)
def test_the_best_token_stands_in_the_gap(
    model: Model, text: str, tokens: list[str], filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary = model.masked.tokenizer.vocabulary
    logs = torch.full((len(tokens), 17), -9.0)
    for row, token in enumerate(tokens):
        logs[row, vocabulary.index(token)] = 0.0
    monkeypatch.setattr(model.masked, "log_probabilities", lambda *_: logs)
    assert model.fill(text)["filled"] == filled


def test_a_typed_special_token_is_no_boundary(model: Model) -> None:
    # Of the typed names the mask alone means itself: [SEP] is three words, here unknown ones.
    plain, forged = model.fill("the cat [MASK]"), model.fill("the cat [SEP] [MASK]")
    assert plain["masks"][0]["candidates"] != forged["masks"][0]["candidates"]
    with pytest.raises(UserError, match="Text 1 has 17 tokens"):
        model.fill("[SEP]" * 4 + "cat cat [MASK]")


def test_what_cannot_be_filled_is_refused(model: Model, tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"Text 2 has no \[MASK\]: write \[MASK\] where"):
        model.fill(["a [MASK]", "a [mask]"])
    with pytest.raises(UserError, match=r"gaps.txt, line 9 has no"):
        fill(model.masked, ["cat"], places=["gaps.txt, line 9"])
    with pytest.raises(UserError, match="positions for 16: shorten it"):
        model.fill("cat " * 14 + "[MASK]")
    assert len(model.fill("cat " * 13 + "[MASK]")["masks"]) == 1
    with pytest.raises(UserError, match="top must be a number of at least 1"):
        model.fill("[MASK]", top=0)
    assert model.fill([]) == []
    with pytest.raises(UserError, match=r"no head for masked tokens, but one that gives.*pretrain"):
        bertkit.load(tiny_model).fill("[MASK]")
    with pytest.raises(UserError, match=r"has no trained head to label texts with.*finetune"):
        model.predict(["cat"])


def test_weights_that_are_none_are_not_passed_off_as_answers(tiny_masked_model: Path) -> None:
    broken = bertkit.load(tiny_masked_model)
    broken.masked._head.bias.data[3] = torch.nan
    with pytest.raises(UserError, match="answers with NaN"):
        broken.fill("[MASK]")
