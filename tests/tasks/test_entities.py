"""Scores of tags, equal to those of seqeval and scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import metrics as theirs
from seqeval.scheme import IOB2, IOBES
from sklearn.metrics import accuracy_score, f1_score

from bertkit.tasks.entities import TAG_METRICS, by_type, tag_adds, tag_metrics, types_of
from bertkit.tasks.metrics import rows_interval, summary
from bertkit.tasks.schemes import SCHEMES

METRICS = {metric.name: metric for metric in TAG_METRICS}
TYPES = ["LOC", "PER", "ORG"]


def pairs(names: tuple[str, ...]) -> st.SearchStrategy[list[list[tuple[int, int]]]]:
    """Sentences of words, each with the true tag and the predicted one."""
    tag = st.integers(0, len(names) - 1)
    return st.lists(st.lists(st.tuples(tag, tag), min_size=1, max_size=9), min_size=1, max_size=4)


@pytest.mark.parametrize(("scheme", "other"), [("BIO", IOB2), ("IOBES", IOBES)])
def test_scores_are_those_of_seqeval(scheme: str, other: type) -> None:
    names = SCHEMES[scheme].names(TYPES)

    @given(pairs(names))
    def check(sentences: list[list[tuple[int, int]]]) -> None:
        true, predicted = ([np.array(part)[:, side] for part in sentences] for side in (0, 1))
        told = [[[names[tag] for tag in tags] for tags in side] for side in (true, predicted)]
        adds = tag_adds(true, predicted, names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            strict = theirs.f1_score(*told, mode="strict", scheme=other)
            report = theirs.classification_report(*told, output_dict=True, zero_division=0)
            expected = {
                "entity_f1": theirs.f1_score(*told),
                "entity_precision": theirs.precision_score(*told),
                "entity_recall": theirs.recall_score(*told),
                "strict_f1": strict,
                "accuracy": theirs.accuracy_score(*told),
                # The mean over no types is no number there.
                "macro_f1": np.nan_to_num(theirs.f1_score(*told, average="macro")),
            }
        found = {name: metric.of(adds) for name, metric in METRICS.items()}
        assert found == pytest.approx(expected)
        for row in by_type(adds, names):
            if row["rows"] or row["predicted"]:
                each = report[row["label"]]
                assert (row["rows"], row["f1"]) == (each["support"], pytest.approx(each["f1-score"]))
                assert (row["precision"], row["recall"]) == pytest.approx((each["precision"], each["recall"]))

    check()


def test_tags_that_name_no_entities_have_accuracy_and_the_f1_of_each_tag() -> None:
    names = ("ADJ", "NOUN", "VERB")
    true, predicted = [np.array([0, 1, 2]), np.array([1])], [np.array([0, 1, 1]), np.array([1])]
    adds = tag_adds(true, predicted, names)
    metrics = tag_metrics(names, "")
    assert [metric.name for metric in metrics] == ["accuracy", "macro_f1"]
    flat = np.concatenate(true), np.concatenate(predicted)
    assert METRICS["accuracy"].of(adds) == accuracy_score(*flat)
    assert METRICS["macro_f1"].of(adds) == pytest.approx(f1_score(*flat, average="macro"))
    assert METRICS["entity_f1"].of(adds) == METRICS["accuracy"].of(adds)
    assert [(row["label"], row["rows"], row["found"]) for row in by_type(adds, names)] == [
        ("ADJ", 1, 1),
        ("NOUN", 2, 2),
        ("VERB", 1, 0),
    ]


def test_one_word_with_a_wrong_tag_is_counted_by_hand() -> None:
    names = SCHEMES["BIO"].names(["A", "B"])
    numbers = {name: number for number, name in enumerate(names)}
    true = [np.array([numbers[tag] for tag in ["B-A", "I-A", "O", "B-B"]])]
    predicted = [np.array([numbers[tag] for tag in ["B-A", "O", "O", "I-B"]])]
    assert types_of(names) == ("A", "B")
    # Right words, words, strict 3, found A B, predicted A B, true A B.
    assert tag_adds(true, predicted, names).tolist() == [[2, 4, 0, 1, 2, 0, 1, 1, 1, 1, 1]]
    bare = [np.array([1, 2, 0])]
    assert by_type(tag_adds(bare, bare, ("O", "B", "I")), ("O", "B", "I"))[0]["label"] == "entity"


def test_sentences_without_a_mistake_have_an_interval_from_below() -> None:
    names = SCHEMES["BIO"].names(["A"])
    true = [np.array([1, 2, 0])] * 30
    adds = tag_adds(true, true, names)
    low, high = rows_interval(METRICS["entity_f1"], adds)
    assert (round(low, 3), high) == (round(0.05 ** (1 / 30), 3), 1.0)
    missed = tag_adds(true, [np.array([0, 0, 0]), *true[1:]], names)
    found = summary(TAG_METRICS, missed, "entity_f1")
    assert found["score"] == pytest.approx(58 / 59)
    assert found["interval"][0] < found["score"] <= found["interval"][1] <= 1
