"""The majority class and the n-gram model."""

from pathlib import Path

import numpy as np
import pytest

from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.load import load_examples
from bertkit.tasks.registry import get_task

MAJORITY, NGRAM = CLASSIFY.baselines


def examples(texts: list[str], labels: list[int], pairs: list[str] | None = None) -> Examples:
    return Examples(texts, pairs, Targets.single(np.array(labels)), list(range(len(texts))), Path("x"))


def ngram(train: Examples, dev: Examples) -> list[int]:
    names = tuple(map(str, range(max(train.known.values) + 1)))
    return list(NGRAM.predict(train, dev, names))


def test_the_majority_of_train_answers_for_dev() -> None:
    three, dev = examples(["x"] * 3, [0, 2, 2]), examples(["x"] * 4, [0, 0, 1, 2])
    assert MAJORITY.predict(three, dev, ("a", "b", "c")).tolist() == [2, 2, 2, 2]
    assert MAJORITY.predict(examples(["x"] * 2, [1, 0]), dev, ("a", "b")).tolist() == [0, 0, 0, 0]


def test_ngram_learns_words_and_pairs_of_words() -> None:
    train = examples(["good", "bad", "not good", "not bad", "good", "bad"], [1, 0, 0, 1, 1, 0])
    dev = examples(["So good!", "so bad", "it is not good", "it is not bad"], [1, 0, 0, 1])
    assert ngram(train, dev) == [1, 0, 0, 1]


def test_ngram_takes_several_classes() -> None:
    train = examples(["red"] * 3 + ["green"] * 3 + ["blue"] * 3, [0] * 3 + [1] * 3 + [2] * 3)
    dev = examples(["a blue one", "a red one", "green", "blue"], [2, 0, 1, 2])
    assert ngram(train, dev) == [2, 0, 1, 2]


def test_ngram_tells_the_texts_of_a_pair_apart() -> None:
    train = examples(["yes", "no"] * 4, [1, 0] * 4, ["no", "yes"] * 4)
    assert ngram(train, examples(["no", "yes"], [0, 1], ["yes", "no"])) == [0, 1]


def test_ngram_splits_ideographs() -> None:
    train = examples(["很好", "很坏", "好", "坏"], [1, 0, 1, 0])
    assert ngram(train, examples(["房间好", "房间坏"], [1, 0])) == [1, 0]


@pytest.mark.slow
def test_ngram_sees_little_of_acceptability(shared_data: Path) -> None:
    task = get_task("cola", shared_data / "cola")
    train, labels = load_examples(task, "train")
    dev, _ = load_examples(task, "dev", labels)
    assert 0.1 < CLASSIFY.score_baselines(train, dev, labels, "mcc")["ngram"]["score"] < 0.2
