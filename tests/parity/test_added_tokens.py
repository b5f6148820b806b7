"""Tokens that were added to a vocabulary, and rows that no token has, as transformers has them."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from bertkit.checkpoint.folder import convert, read_model_folder
from bertkit.infer.model import load

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "a", "##b", "good", "bad"]
TEXTS = ["the covid cat sat", "The COVIDs sat [ENT] [ent]a", "ab[ENT]covidcovid bad", "unknown covid-19"]


def tokenizer_of(folder: Path) -> BertTokenizerFast:
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    return BertTokenizerFast.from_pretrained(folder)


def model(rows: int) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=rows, max_position_embeddings=32, num_labels=3, **sizes)
    # Numbers for labels, as programs write them.
    config.id2label = {0: 10, 1: 20.5, 2: -1}
    return BertForSequenceClassification(config).eval()


def slow(folder: Path) -> None:
    """A vocabulary and the names of what was added, as transformers wrote them before tokenizer.json."""
    tokenizer_of(folder)
    model(14).save_pretrained(folder)
    (folder / "added_tokens.json").write_text(json.dumps({"covid": 12, "[ENT]": 13}))


def fast(folder: Path) -> None:
    tokenizer = tokenizer_of(folder)
    tokenizer.add_tokens(["covid"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["[ENT]"]})
    tokenizer.save_pretrained(folder)
    model(14).save_pretrained(folder)


def padded(folder: Path) -> None:
    tokenizer_of(folder).save_pretrained(folder)
    model(16).save_pretrained(folder)


@pytest.mark.parametrize("make", [slow, fast, padded])
def test_it_is_opened_and_kept(make, tmp_path: Path) -> None:
    make(tmp_path / "theirs")
    convert(str(tmp_path / "theirs"), tmp_path / "ours", to="hf")
    predictions = load(str(tmp_path / "theirs")).predict(TEXTS)
    assert list(predictions[0]["probabilities"]) == ["10", "20.5", "-1"]
    ours = [list(prediction["probabilities"].values()) for prediction in predictions]
    for name in ("theirs", "ours"):
        tokenizer = BertTokenizerFast.from_pretrained(tmp_path / name)
        network = BertForSequenceClassification.from_pretrained(tmp_path / name).eval()
        for text, probabilities in zip(TEXTS, ours, strict=True):
            with torch.no_grad():
                logits = network(**tokenizer(text, return_tensors="pt")).logits[0]
            torch.testing.assert_close(torch.tensor(probabilities), logits.softmax(0), atol=2e-6, rtol=0)
    again, first = (read_model_folder(tmp_path / name).tokenizer for name in ("ours", "theirs"))
    assert again.added == first.added
    assert again.fingerprint == first.fingerprint
