import numpy as np
import pytest

from bertkit.tasks.intervals import difference_interval, paired_interval, seeds_interval, wilson_interval
from bertkit.tasks.metrics import bootstrap_interval, confusion_matrix, get_metric


def answers(seeds: int, rows: int, right: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, rows)
    wrong = (labels + random.integers(1, 3, (seeds, rows))) % 3
    return labels, np.where(random.random((seeds, rows)) < right, labels, wrong)


@pytest.mark.parametrize("metric", ["mcc", "accuracy", "f1"])
def test_one_seed_has_the_interval_of_the_rows(metric: str) -> None:
    labels, predictions = answers(1, 211, 0.7)
    rows = bootstrap_interval(confusion_matrix(labels, predictions[0], 3), metric)
    assert seeds_interval(labels, predictions, 3, metric, samples=10_000) == pytest.approx(rows, abs=0.01)


def test_the_interval_is_that_of_an_explicit_bootstrap() -> None:
    labels, predictions = answers(4, 97, 0.6)
    score = get_metric("mcc")
    random = np.random.default_rng(5)
    means = []
    for _ in range(3_000):
        rows, seeds = random.integers(0, 97, 97), random.integers(0, 4, 4)
        means.append(
            np.mean([score(confusion_matrix(labels[rows], predictions[seed, rows], 3)) for seed in seeds])
        )
    explicit = np.quantile(means, [0.025, 0.975])
    assert seeds_interval(labels, predictions, 3, "mcc", samples=10_000) == pytest.approx(explicit, abs=0.015)


def test_seeds_without_a_mistake_have_the_interval_of_the_rows() -> None:
    labels, predictions = answers(3, 97, 1.0)
    rows = bootstrap_interval(confusion_matrix(labels, labels, 3), "mcc")
    assert rows[0] < 1
    assert seeds_interval(labels, predictions, 3, "mcc") == rows


def test_seeds_that_differ_widen_it() -> None:
    labels, predictions = answers(5, 400, 0.9)
    uneven = predictions.copy()
    uneven[:2] = 0
    narrow, wide = (seeds_interval(labels, each, 3, "accuracy") for each in (predictions, uneven))
    assert wide[1] - wide[0] > 4 * (narrow[1] - narrow[0])


def test_wilsons_interval() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)
    low, high = wilson_interval(10, 20)
    assert low + high == pytest.approx(1)
    assert wilson_interval(500, 1_000)[1] - 0.5 < high - 0.5


@pytest.mark.parametrize("share", [0.03, 0.5, 0.97])
def test_wilsons_interval_holds_the_true_share_as_often_as_it_says(share: float) -> None:
    right = np.random.default_rng(1).binomial(40, share, 2_000)
    inside = [low <= share <= high for low, high in (wilson_interval(each, 40) for each in right.tolist())]
    assert 0.92 < np.mean(inside) < 0.985


def test_the_interval_of_a_difference_is_that_of_an_explicit_bootstrap() -> None:
    random = np.random.default_rng(5)
    hard = random.random(97)
    first, second = (random.random((seeds, 97)) * hard < 0.3 for seeds in (4, 3))
    differences = []
    for _ in range(3_000):
        rows = random.integers(0, 97, 97)
        drawn = [right[random.integers(0, len(right), len(right))][:, rows] for right in (first, second)]
        differences.append(drawn[0].mean() - drawn[1].mean())
    explicit = np.quantile(differences, [0.025, 0.975])
    assert difference_interval(first, second, samples=10_000) == pytest.approx(explicit, abs=0.01)


def test_a_model_does_not_differ_from_itself_but_by_its_seeds() -> None:
    right = np.array([[True, False, True, True]])
    assert difference_interval(right, right) == (0.0, 0.0)
    assert difference_interval(right, ~right)[1] > 0.5


def test_the_interval_of_a_difference_pairs_the_rows() -> None:
    labels, predictions = answers(3, 300, 0.7)
    assert paired_interval(labels, predictions[:1], predictions[:1], 3, "mcc") == (0.0, 0.0)
    better = predictions.copy()
    better[:, :30] = labels[:30]
    low, high = paired_interval(labels, better, better * 0, 3, "accuracy")
    assert 0.2 < low < (better == labels).mean() - (labels == 0).mean() < high < 0.6
    # One that is right wherever the other is, and on a few rows more: the rows that both get right or wrong
    # say nothing against it.
    low, _ = paired_interval(labels, better[:1], predictions[:1], 3, "accuracy")
    alone = seeds_interval(labels, better[:1], 3, "accuracy")
    assert low > 0
    assert alone[0] < (predictions[0] == labels).mean()


def test_the_interval_of_a_difference_is_that_of_right_answers_for_accuracy() -> None:
    labels, predictions = answers(4, 150, 0.6)
    right = predictions == labels
    ours = paired_interval(labels, predictions[:2], predictions[2:], 3, "accuracy", samples=20_000)
    assert ours == pytest.approx(difference_interval(right[:2], right[2:], samples=20_000), abs=0.006)
