"""Pseudo-log-likelihoods from Python, beside a naive loop over transformers' model."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertForMaskedLM

import bertkit
from bertkit.errors import UserError
from bertkit.infer import score as module
from bertkit.infer.model import Model
from bertkit.infer.score import Scores, score, summarise_pairs
from bertkit.tasks.metrics import wilson_interval
from bertkit.text.tokenizer import Tokenizer

SENTENCES = [
    "the cats sat .",
    "a dog",
    "the oldtys ran on the mat.",
    "a dog",
    "A DOG",
    "mat",
    "the horse ran",
]
# [CLS] and [SEP] of ids 2 and 3 around: the cat ##s sat . | old ##ty ##s
THE_CATS, OLDTYS = [2, 10, 6, 13, 8, 12, 3], [2, 15, 14, 13, 3]


@pytest.fixture(scope="module")
def model(tiny_masked_model: Path) -> Model:
    return bertkit.load(tiny_masked_model, precision="fp32")


@torch.no_grad()
def naive(theirs: BertForMaskedLM, tokenizer: Tokenizer, text: str, *, whole_words: bool) -> float:
    """Each token masked in a pass of its own."""
    encoding = tokenizer.encode(text)
    ids, total = [2, *encoding.ids, 3], 0.0
    for place in range(1, len(ids) - 1):
        masked = list(ids)
        masked[place] = tokenizer.mask_id
        behind = place + 1
        while whole_words and behind < len(ids) - 1 and not encoding.word_starts[behind - 1]:
            masked[behind] = tokenizer.mask_id
            behind += 1
        logits = theirs(input_ids=torch.tensor([masked])).logits[0, place]
        total += logits.log_softmax(-1)[ids[place]].item()
    return total


@pytest.mark.parametrize("whole_words", [False, True])
def test_scores_are_those_of_a_naive_loop(whole_words: bool, model: Model, tiny_masked_model: Path) -> None:
    found = score(model.masked, SENTENCES, whole_words=whole_words)
    theirs = BertForMaskedLM.from_pretrained(tiny_masked_model).eval()
    tokenizer = Tokenizer.from_folder(tiny_masked_model)
    expected = [naive(theirs, tokenizer, text, whole_words=whole_words) for text in SENTENCES]
    assert found.scores == pytest.approx(expected, abs=1e-4)
    assert found.tokens.tolist() == [5, 2, 9, 2, 2, 1, 3]
    assert found.unknown.tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert found.perplexity == pytest.approx(np.exp(-sum(expected) / 24), rel=1e-4)
    # Of equal tokens, to the last bit.
    assert found.scores[1] == found.scores[3] == found.scores[4]


def test_whole_words_hide_what_comes_behind(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    plain = model.masked.log_probabilities

    def watch(batch, masked_M):
        seen.extend(part.tolist() for part in batch.ids_T.split(batch.lengths))
        return plain(batch, masked_M)

    monkeypatch.setattr(model.masked, "log_probabilities", watch)
    score(model.masked, ["oldtys", "the cats sat ."], whole_words=True)
    mask = 4
    assert [row for row in seen if len(row) == 5] == [
        [2, mask, mask, mask, 3],
        [2, 15, mask, mask, 3],
        [2, 15, 14, mask, 3],
    ]
    assert [2, 10, mask, mask, 8, 12, 3] in seen
    seen.clear()
    score(model.masked, ["the cats sat .", "oldtys"])
    assert seen == [
        [*ids[:place], mask, *ids[place + 1 :]]
        for ids in (THE_CATS, OLDTYS)
        for place in range(1, len(ids) - 1)
    ]


@settings(max_examples=15)
@given(
    sentences=st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=12),
    tokens=st.integers(1, 60),
    together=st.integers(1, 5),
)
def test_no_score_depends_on_its_neighbours(
    model: Model, sentences: list[str], tokens: int, together: int
) -> None:
    alone = {text: score(model.masked, [text]).scores[0] for text in SENTENCES}
    rows, tokens_done, tokens_known = [], [], []
    listener = SimpleNamespace(
        begin=lambda count, _: rows.append(-count),
        block=lambda _, tokens: tokens_known.append(tokens),
        done=lambda count, tokens: (rows.append(count), tokens_done.append(tokens)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "TOKENS", tokens)
        patch.setattr(module, "SENTENCES_AT_ONCE", together)
        found = score(model.masked, sentences, progress=listener)
    assert found.scores == pytest.approx([alone[text] for text in sentences], abs=1e-5)
    assert sum(rows) == 0
    assert sum(tokens_done) == sum(tokens_known)


def test_from_python(model: Model) -> None:
    found = model.score(["the cat sat .", "a dog"])
    assert [list(row) for row in found] == [["text", "score", "tokens"]] * 2
    # Beside another text it is computed in another batch: on some processors that rounds otherwise.
    assert found[1]["score"] == pytest.approx(score(model.masked, ["a dog"]).scores[0], rel=1e-6)
    with pytest.raises(UserError, match="put one text in a list"):
        model.score("a dog")


def test_what_cannot_be_scored_is_refused(model: Model) -> None:
    with pytest.raises(UserError, match="Sentence 2 has no token that could be scored"):
        model.score(["a dog", " \x00"])
    with pytest.raises(UserError, match=r"pairs.jsonl, line 3 has 17 tokens.*positions for 16: split it"):
        score(model.masked, ["cat " * 15], places=["pairs.jsonl, line 3"])
    assert model.score(["cat " * 14])[0]["tokens"] == 14


def scores(*values: float) -> Scores:
    ones = np.ones(len(values), dtype=np.int64)
    return Scores(np.array(values), ones, 0 * ones)


def test_pairs_in_all_and_in_groups() -> None:
    good, bad = scores(-1, -2, -3, -4, -5), scores(-2, -1, -3, -9, -9)
    assert summarise_pairs(good, bad) == {
        "pairs": 5,
        "accuracy": 0.7,
        "interval": list(wilson_interval(3.5, 5)),
        "ties": 1,
    }
    found = summarise_pairs(good, bad, ["b", "b", "a", "b", "a"])
    assert list(found["groups"]) == ["b", "a"]
    assert found["groups"]["b"]["accuracy"] == pytest.approx(2 / 3)
    assert found["groups"]["a"] == summarise_pairs(good[2::2], bad[2::2])
    assert found["groups_mean"] == pytest.approx((2 / 3 + 3 / 4) / 2)
