"""Scores of label sets as scikit-learn has them, intervals as the bootstrap has them, and thresholds."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.label_baselines import ngram_margins, shares_margins
from bertkit.tasks.label_metrics import SET_METRICS, adds_of_sets, by_label, precision_parts
from bertkit.tasks.label_sets import sets_of
from bertkit.tasks.metrics import rows_interval
from bertkit.tasks.thresholds import USUAL, fit_thresholds, margins

MICRO, MACRO, PRECISION, SUBSET = SET_METRICS


def drawn(rows: int, shares: list[float], seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Which labels rows have, and logits with many equal ones."""
    random = np.random.default_rng(seed)
    true = random.random((rows, len(shares))) < np.array(shares)
    logits = np.round(random.normal(size=true.shape) + 1.5 * true + shift, 1)
    return true, logits


def targets_of(true: np.ndarray) -> Targets:
    return Targets(np.nonzero(true)[1], np.concatenate([[0], np.cumsum(true.sum(axis=1))]))


@settings(max_examples=25)
@given(
    st.integers(1, 40),
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=7),
    st.integers(0, 99),
)
def test_scores_are_those_of_scikit_learn(rows: int, shares: list[float], seed: int) -> None:
    true, logits = drawn(rows, shares, seed)
    adds = adds_of_sets(targets_of(true), logits)
    told = logits > 0
    # scikit-learn takes one column for a class of two values.
    columns = range(len(shares))
    precisions = [
        average_precision_score(true[:, c], logits[:, c]) if true[:, c].any() else 0 for c in columns
    ]
    f1s = [f1_score(true[:, c], told[:, c], zero_division=0) for c in columns]
    assert [metric.of(adds) for metric in SET_METRICS] == pytest.approx(
        [
            f1_score(true.ravel(), told.ravel(), zero_division=0),
            np.mean(f1s),
            np.mean(precisions),
            (true == told).all(axis=1).mean(),
        ]
    )
    found = by_label(targets_of(true), logits, tuple(map(str, columns)))
    for c, each in enumerate(found):
        expected = {
            "label": str(c),
            "rows": true[:, c].sum(),
            "predicted": told[:, c].sum(),
            "found": (true & told)[:, c].sum(),
            "precision": precision_score(true[:, c], told[:, c], zero_division=0),
            "recall": recall_score(true[:, c], told[:, c], zero_division=0),
            "f1": f1s[c],
            "average_precision": pytest.approx(precisions[c]),
        }
        assert each == expected


def test_average_precision_moves_with_a_row_as_its_weight_does() -> None:
    true, logits = drawn(50, [0.5, 0.1, 0.0], 1)
    _, moved = precision_parts(true, logits)
    step = 1e-6
    for row, label in product((0, 7, 49), (0, 1)):
        weights = np.ones(len(true))
        scores = []
        for weight in (1 - step, 1 + step):
            weights[row] = weight
            scores.append(average_precision_score(true[:, label], logits[:, label], sample_weight=weights))
        assert moved[row, label] == pytest.approx((scores[1] - scores[0]) / (2 * step), abs=1e-6)
    assert not moved[:, 2].any()


def test_intervals_of_means_over_labels_are_those_of_the_bootstrap() -> None:
    true, logits = drawn(400, [0.5, 0.3, 0.2, 0.1], 3)
    adds = adds_of_sets(targets_of(true), logits)
    random = np.random.default_rng(0)
    scores = []
    for _ in range(400):
        rows = random.integers(len(true), size=len(true))
        again = adds_of_sets(targets_of(true[rows]), logits[rows])
        scores.append([MACRO.of(again), PRECISION.of(again)])
    for metric, ends in zip((MACRO, PRECISION), np.quantile(scores, [0.025, 0.975], axis=0).T, strict=True):
        assert rows_interval(metric, adds, samples=2_000) == pytest.approx(ends, abs=0.012)


def test_rows_without_a_mistake_have_an_interval_from_below() -> None:
    true, _ = drawn(60, [0.5, 0.3], 1)
    adds = adds_of_sets(targets_of(true), np.where(true, 1.0, -1.0))
    for metric in SET_METRICS:
        low, high = rows_interval(metric, adds)
        assert (low, high) == (pytest.approx(0.05 ** (1 / 60)), 1.0)


def test_what_is_no_number_is_not_told() -> None:
    true, logits = drawn(20, [0.5, 0.3], 1)
    logits[:] = np.nan
    assert [metric.of(adds_of_sets(targets_of(true), logits)) for metric in (MICRO, MACRO)] == [0.0, 0.0]


def probabilities(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("macro", [False, True])
def test_no_thresholds_of_the_grid_are_better(macro: bool) -> None:
    true, logits = drawn(100, [0.4, 0.3], 5)
    probable = probabilities(logits + np.array([-3.0, 2.0]))
    fitted = fit_thresholds(probable, true, macro=macro)
    metric, grid = MACRO if macro else MICRO, np.arange(1, 100) / 100

    def score(thresholds: np.ndarray) -> float:
        return metric.of(adds_of_sets(targets_of(true), probable - thresholds))

    told = probable > grid[:, None, None]
    hit, size = (told & true).sum(axis=1), told.sum(axis=1) + true.sum(axis=0)
    one, other = ((hit[:, label], size[:, label]) for label in (0, 1))
    both = [np.add.outer(a, b) for a, b in zip(one, other, strict=True)]
    means = np.add.outer(one[0] / one[1], other[0] / other[1])
    best = float((means if macro else 2 * both[0] / both[1]).max())
    assert fitted.manner == "own"
    assert score(fitted.of_labels_C) == pytest.approx(best)
    # Each row is told by rows of other folds, which is what the score says.
    assert fitted.scores["own"] == pytest.approx(score(fitted.of_rows_NC))
    assert fitted.scores["one half"] == pytest.approx(score(np.array([USUAL, USUAL])))
    assert fitted.scores["own"] < best


def test_rare_labels_share_a_threshold() -> None:
    true, logits = drawn(400, [0.4, 0.01], 5, shift=-2.0)
    fitted = fit_thresholds(probabilities(logits), true, macro=False)
    alone = fit_thresholds(probabilities(logits), np.hstack([true[:, :1], true[:, 1:] & False]), macro=False)
    assert fitted.manner in ("shared", "own")
    assert fitted.of_labels_C[0] == pytest.approx(alone.of_labels_C[0], abs=0.05)


@pytest.mark.parametrize("change", ["few", "nan"])
def test_one_half_where_nothing_can_be_fitted(change: str) -> None:
    true, logits = drawn(9 if change == "few" else 50, [0.4, 0.3], 5)
    if change == "nan":
        logits[3, 1] = np.nan
    fitted = fit_thresholds(probabilities(logits), true, macro=False)
    assert (fitted.manner, fitted.scores, fitted.of_labels_C.tolist()) == ("one half", {}, [0.5, 0.5])
    assert fitted.of_rows_NC.shape == true.shape


def test_a_margin_is_above_0_where_a_probability_is_above_its_threshold() -> None:
    _, logits = drawn(40, [0.5, 0.5], 2)
    thresholds = np.array([0.2, 0.7])
    assert ((margins(logits, thresholds) > 0) == (probabilities(logits) > thresholds)).all()


def rows_of(sets: list[tuple[str, ...]], names: tuple[str, ...]) -> Examples:
    texts = [" ".join(["the", *labels, "word"]) for labels in sets]
    return Examples(texts, None, sets_of(sets, names), list(range(len(sets))), Path("rows.csv"))


NAMES = ("a", "b", "c", "d")
SETS = [("a",), ("a", "b"), ("b",), (), ("a",), ("c",)]


def test_the_labels_shares_tell_what_has_the_highest_score_without_a_text() -> None:
    train = rows_of(SETS * 5, NAMES)
    told = shares_margins(train, rows_of([("d",), ()], NAMES), NAMES) > 0
    constant = {
        choice: f1_score(np.repeat(True, 1), [True])
        and MICRO.of(adds_of_sets(train.known, np.tile(np.where(choice, 1.0, -1.0), (len(train), 1))))
        for choice in product((False, True), repeat=4)
    }
    best = max(constant, key=lambda choice: constant[choice])
    assert told.tolist() == [list(best)] * 2 == [[True, True, False, False]] * 2


def test_words_tell_labels_also_one_that_occurs_once_and_one_that_never_does() -> None:
    train, dev = rows_of([*SETS * 5, ("d", "a")], NAMES), rows_of(SETS * 2, NAMES)
    found = ngram_margins(train, dev, NAMES)
    assert MICRO.of(adds_of_sets(dev.known, found)) > 0.9
    without = ngram_margins(rows_of(SETS * 5, NAMES), rows_of([("d",)], NAMES), NAMES)
    assert not (without[:, 3] > 0).any()


def test_a_label_of_every_row_is_told_of_every_row() -> None:
    train = rows_of([("a", "b"), ("a",), ("a", "c")] * 4, NAMES)
    assert (ngram_margins(train, train, NAMES)[:, 0] > 0).all()
