"""Rows, their order and their tokens are measured."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.packing import encode_texts
from bertkit.health.preflight import ClassMeasures, NumberMeasures
from bertkit.health.rows import dispersion, measure_rows
from bertkit.health.text import measure_tokens
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.metrics import entropy
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENIZER = Tokenizer.from_vocabulary([*SPECIALS, "a", "cat", "dog", "sat", "##s", "the", "ran", "."])


def examples(texts: list[str], labels: list[int] | list[float]) -> Examples:
    return Examples(
        texts, None, Targets.single(np.array(labels)), list(range(2, len(texts) + 2)), Path("train.tsv")
    )


def in_parts(rows: list[int], size: int) -> list[np.ndarray]:
    return np.split(np.array(rows), range(size, len(rows), size))


def test_dispersion_of_batches_of_one_label_is_their_size() -> None:
    labels = np.repeat([0, 1], 32)
    batches = in_parts(list(range(64)), 8)
    # Each of 8 batches: (8 - 4)^2 / 4 twice, so 64 in all, for 7 degrees of freedom.
    assert dispersion(labels, batches, 2) == pytest.approx(64 / 7)
    even = np.arange(64) % 2
    assert dispersion(even, batches, 2) == 0
    assert dispersion(labels, [np.arange(64)], 2) == 1
    assert dispersion(np.zeros(64, dtype=np.int64), batches, 2) == 1


@given(st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_dispersion_in_random_order_is_about_one(classes: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, 3_000)
    assert dispersion(labels, in_parts(list(range(3_000)), 10), classes) == pytest.approx(1, abs=0.5)


def test_entropy() -> None:
    assert entropy(np.array([3, 3, 0])) == pytest.approx(np.log(2))
    assert entropy(np.array([7, 0])) == 0


def test_the_label_that_is_always_answered_is_the_one_of_the_baseline() -> None:
    train, dev = examples(["a", "b", "c", "d"], [0, 1, 0, 1]), examples(["e", "f", "g"], [1, 0, 1])
    scoring = CLASSIFY.scoring(("no", "yes"), "accuracy", "yes")
    blind = scoring.baselines(train, dev, blind=True)["majority"]
    found = measure_rows(
        train,
        dev,
        ("no", "yes"),
        encode_texts(TOKENIZER, train.texts, max_length=9),
        [np.array([0, 1]), np.array([2, 3])],
        at_once=2,
        baseline_loss=0.69,
        blind=blind,
        classes=True,
        numbers=False,
    )
    assert isinstance(found, ClassMeasures)
    assert (found.majority_label, found.majority_score) == ("yes", pytest.approx(2 / 3))


def test_rows() -> None:
    texts = ["the cat sat", "the  cat sat", "a dog ran", "the dog", "a cat", "the cat ran"]
    train = examples(texts, [0, 1, 0, 1, 1, 1])
    dev = examples(["a dog ran", "dog", "a"], [0, 1, 1])
    found = measure_rows(
        train,
        dev,
        ("no", "yes"),
        encode_texts(TOKENIZER, texts, max_length=9),
        [np.array([0, 2]), np.array([1, 3]), np.array([4, 5])],
        at_once=2,
        baseline_loss=0.64,
        blind={"score": 0.5, "metrics": {"accuracy": 2 / 3}},
        classes=True,
        numbers=False,
    )
    assert isinstance(found, ClassMeasures)
    assert found.counts == {"no": 2, "yes": 4}
    assert found.dev_counts == {"no": 1, "yes": 2}
    assert found.shares == {"no": pytest.approx(1 / 3), "yes": pytest.approx(2 / 3)}
    assert found.majority_label == "yes"
    assert found.baseline_loss == 0.64
    assert found.one_label == 1.0
    assert found.one_label_by_chance == pytest.approx(1 / 9 + 4 / 9)
    assert found.batch_dispersion == pytest.approx(6 / 2)
    assert found.majority_accuracy == pytest.approx(2 / 3)


def test_rows_with_numbers() -> None:
    texts = [f"the cat sat {'dog ' * n}." for n in range(6)]
    train, dev = examples(texts, [1.0, 1.0, 2.0, 2.0, 3.0, 9.0]), examples(texts[:2], [2.0, 5.0])
    found = measure_rows(
        train,
        dev,
        ("score",),
        encode_texts(TOKENIZER, texts, max_length=9),
        in_parts([0, 2, 4, 1, 3, 5], 3),
        at_once=2,
        baseline_loss=1.0,
        blind={"score": 0.0, "metrics": {"pearson": 0.0}},
        classes=False,
        numbers=True,
    )
    assert isinstance(found, NumberMeasures)
    assert (found.mean, found.least, found.greatest, found.dev_mean) == (3.0, 1.0, 9.0, 3.5)
    # Squares of 4, 4, 1, 1, 0 and 36: the variance is 46 / 6, and one row makes most of it.
    assert found.deviation == pytest.approx((46 / 6) ** 0.5)
    assert found.far_share == pytest.approx(36 / 46)
    assert found.lines["outliers"][0] == 7
    # Batches of means 2 and 4; of the file, of means 1, 2 and 6.
    assert found.batch_dispersion == pytest.approx(6 / (46 / 6))
    assert found.file_dispersion == pytest.approx((2 * 4 + 2 * 1 + 2 * 9) / 2 / (46 / 6))


def test_neighbours_of_a_file_sorted_by_source_are_alike() -> None:
    sources = [["the cat sat"] * 30, ["a dog ran"] * 30, ["dog ."] * 30]
    texts = [text for source in sources for text in source]
    train = examples(texts, [0, 1] * 45)
    found = measure_rows(
        train,
        train,
        ("no", "yes"),
        encode_texts(TOKENIZER, texts, max_length=9),
        in_parts(list(range(90)), 9),
        at_once=9,
        baseline_loss=0.69,
        blind={"score": 0.0, "metrics": {"accuracy": 0.5}},
        classes=True,
        numbers=False,
    )
    assert found.neighbours_alike > 0.9
    assert found.strangers_alike < 0.6


def test_tokens() -> None:
    texts = ["the cats sat .", "The zebra sat", "a zebra"]
    sequences = encode_texts(TOKENIZER, texts, max_length=5)
    found = measure_tokens(sequences, TOKENIZER, texts, max_length=5, visible_pads=False)
    # the cat ##s | the [UNK] sat | a [UNK]: 7 words of 8 tokens; 14 of 15 places with [CLS] and [SEP].
    assert found.tokens == 8
    assert found.unknown == pytest.approx(2 / 8)
    assert found.unknown_words == ["zebra"]
    assert found.tokens_a_word == pytest.approx(8 / 7)
    assert found.truncated == pytest.approx(1 / 3)
    assert found.padding == pytest.approx(1 / 15)
    assert found.capitals == pytest.approx(1 / 27)
    assert (found.cased_tokens, found.visible_pads, found.vocabulary_size) == (0, 0, 13)


def test_visible_pads_are_counted_and_are_no_text() -> None:
    texts = ["the cat", "a dog sat"]
    sequences = encode_texts(TOKENIZER, texts, max_length=10, pad_to=10)
    found = measure_tokens(sequences, TOKENIZER, texts, max_length=10, visible_pads=True)
    assert found.visible_pads == pytest.approx(11 / 20)
    assert found.padding == pytest.approx(11 / 20)
    assert (found.tokens, found.unknown) == (5, 0)


def test_the_case_of_a_vocabulary() -> None:
    cased = Tokenizer.from_vocabulary([*SPECIALS, "The", "the", "Cat", "##S"], lowercase=True)
    sequences = encode_texts(cased, ["The Cat"], max_length=9)
    found = measure_tokens(sequences, cased, ["The Cat"], max_length=9, visible_pads=False)
    assert found.cased_tokens == 0.75
    assert found.capitals == pytest.approx(2 / 6)
    assert found.lowercase
