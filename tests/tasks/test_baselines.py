"""The majority class and the n-gram model."""

from pathlib import Path

import numpy as np
import pytest
from asking import asking, encoded

from bertkit.errors import UserError
from bertkit.tasks.classify import CLASSIFY
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import Scale
from bertkit.tasks.load import load_examples
from bertkit.tasks.registry import get_task
from bertkit.tasks.regress import REGRESS

MAJORITY, NGRAM = CLASSIFY.baselines


def examples(texts: list[str], labels: list[int], pairs: list[str] | None = None) -> Examples:
    return Examples(texts, pairs, Targets.single(np.array(labels)), list(range(len(texts))), Path("x"))


def ngram(train: Examples, dev: Examples) -> list[int]:
    names = tuple(map(str, range(max(train.known.values) + 1)))
    return list(NGRAM.predict(train, dev, names))


def test_the_majority_of_train_answers_for_dev() -> None:
    three, dev = examples(["x"] * 3, [0, 2, 2]), examples(["x"] * 4, [0, 0, 1, 2])
    assert MAJORITY.predict(three, dev, ("a", "b", "c")).tolist() == [2, 2, 2, 2]
    # Of two that are as frequent in train, the one that dev has more of, whichever comes first.
    for labels, expected in (([0, 0, 1], 0), ([1, 1, 0], 1)):
        dev = examples(["x"] * 3, labels)
        assert MAJORITY.predict(examples(["x"] * 2, [1, 0]), dev, ("a", "b")).tolist() == [expected] * 3


def test_the_positive_label_is_the_rarer_one_or_the_one_that_is_asked_for() -> None:
    rows = Targets.single(np.array([0, 1, 1]))
    assert CLASSIFY.positive("", rows, ("fraud", "normal")) == "fraud"
    assert CLASSIFY.positive("", rows, ("a", "b")) == "a"
    assert CLASSIFY.positive("normal", rows, ("fraud", "normal")) == "normal"
    assert CLASSIFY.positive("", rows, ("a", "b", "c")) == ""
    assert CLASSIFY.positive("", Targets.single(np.array([0, 1])), ("a", "b")) == "b"
    with pytest.raises(UserError, match="positive label 'frau' is none of these: fraud, normal"):
        CLASSIFY.positive("frau", rows, ("fraud", "normal"))
    with pytest.raises(
        UserError, match=r"one of two, and these rows have 3 \(a, b, c\); leave --positive out"
    ):
        CLASSIFY.positive("a", rows, ("a", "b", "c"))
    with pytest.raises(UserError, match=r"F1 is of one of two labels, and these rows have 3; .* macro_f1"):
        CLASSIFY.scoring(("a", "b", "c"), "f1")


def test_many_labels_are_told_by_the_largest_and_the_smallest() -> None:
    counts = [*range(20, 0, -1)]
    rows = Targets.single(np.repeat(np.arange(20), counts))
    _, told = CLASSIFY.words(rows, tuple(f"L{place}" for place in range(20)))
    assert told.startswith("20: L0 9.5%, L1 9.0%, ")
    assert told.endswith("L7 6.2%, 8 others, L16 1.9%, L17 1.4%, L18 1.0%, L19 0.5%")
    result = CLASSIFY.scored(asking(rows), rows.values, tuple(map(str, range(20))))
    assert len(result["confusion"]) == len(result["by_class"]) == 20
    many = Targets.single(np.arange(31))
    assert "confusion" not in CLASSIFY.scored(asking(many), many.values, tuple(map(str, range(31))))


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
    assert 0.1 < CLASSIFY.scoring(labels, "mcc").baselines(train, dev)["ngram"]["score"] < 0.2


def test_class_weights_and_the_loss_of_knowing_the_shares_under_them() -> None:
    rows, names = Targets.single(np.repeat([0, 1], [16, 4])), ("a", "b")
    balanced, sqrt = (CLASSIFY.weights(how, rows, names) for how in ("balanced", "sqrt"))
    assert balanced.tolist() == [20 / 32, 20 / 8], "those of scikit-learn"
    assert sqrt[1] / sqrt[0] == pytest.approx(2.0)
    assert [(weights[rows.values]).mean() for weights in (balanced, sqrt)] == pytest.approx([1.0, 1.0])
    assert CLASSIFY.weights("balanced", rows, ("a", "b", "c")).tolist() == [*balanced, 1.0], "only dev has c"
    assert CLASSIFY.floor(encoded(rows), Scale(), names, balanced) == pytest.approx(np.log(2))
    # Of no constant answer is the weighted loss lower.
    losses = [
        np.average(-np.log(np.where(rows.values, p, 1 - p)), weights=sqrt[rows.values])
        for p in np.linspace(0.01, 0.99, 99)
    ]
    assert CLASSIFY.floor(encoded(rows), Scale(), names, sqrt) == pytest.approx(min(losses), abs=1e-3)
    with pytest.raises(UserError, match="are of rows with one of several labels each; leave 'sqrt' out"):
        REGRESS.weights("sqrt", rows, ("score",))
