"""Against keras-hub and tensorflow-text; `make_keras_reference.py` says how their numbers were made."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bertkit.data.packed import pack
from bertkit.data.packing import encode_texts
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary import VocabularyOptions, learn

REFERENCE = json.loads(Path(__file__).with_name("keras_reference.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sentences(shared_data: Path) -> list[str]:
    lines = (shared_data / "cola" / "in_domain_train.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[3] for line in lines]


@pytest.fixture(scope="module")
def learned(sentences: list[str]) -> list[str]:
    return learn(sentences[:8_512], VocabularyOptions(size=4_000, algorithm="topdown"))


def test_the_topdown_vocabulary_token_by_token(learned: list[str]) -> None:
    assert len(learned) == REFERENCE["learned"]["size"] == 1_517
    assert hashlib.sha256("\n".join(learned).encode()).hexdigest() == REFERENCE["learned"]["tokens_sha256"]


@pytest.mark.parametrize("name", ["learned", "uncased"])
def test_ids_of_cola(name: str, shared_data: Path, sentences: list[str], learned: list[str]) -> None:
    path = shared_data / "vocab" / "bert-base-uncased-vocab.txt"
    tokenizer = Tokenizer.from_vocabulary(learned if name == "learned" else path)
    expected = REFERENCE[name]
    texts = [text for text in sentences if "\N{HORIZONTAL ELLIPSIS}" not in text]
    assert len(texts) == REFERENCE["rows"]

    rows = tokenizer.encode_batch(texts)
    assert sha256([len(row) for row in rows]) == expected["lengths_sha256"]
    assert sha256([token for row in rows for token in row]) == expected["ids_sha256"]

    count = len(expected["pairs"])
    longest = REFERENCE["max_length"]
    pairs = encode_texts(
        tokenizer, texts[:count], texts[count : 2 * count], max_length=longest, pad_to=longest
    )
    assert 0 < pairs.truncated < count
    assert pairs.ids.reshape(count, longest).tolist() == expected["pairs"]
    segments = pack(pairs, range(count)).segments_T.reshape(count, longest).numpy()
    # keras-hub gives the pads segment 0; there are none where attention is masked, and so in bertkit.
    visible = pairs.ids.reshape(count, longest) != tokenizer.pad_id
    assert (segments * visible).tolist() == expected["pair_segments"]


def sha256(values: list[int]) -> str:
    return hashlib.sha256(np.array(values, "<i4").tobytes()).hexdigest()
