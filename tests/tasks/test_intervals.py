import numpy as np
import pytest

from bertkit.tasks.confusion import CLASS_METRICS, adds_of
from bertkit.tasks.metrics import (
    Adds,
    Metric,
    get_metric,
    middle,
    paired_samples,
    rows_interval,
    seeds_interval,
    wilson_interval,
)

MCC, ACCURACY = (get_metric(CLASS_METRICS, name) for name in ("mcc", "accuracy"))


def answers(seeds: int, rows: int, right: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, rows)
    wrong = (labels + random.integers(1, 3, (seeds, rows))) % 3
    return labels, np.where(random.random((seeds, rows)) < right, labels, wrong)


def adds(labels: np.ndarray, predictions: np.ndarray, classes: int = 3) -> list[Adds]:  # type: ignore[type-arg]
    return [adds_of(labels, each, classes) for each in predictions]


@pytest.mark.parametrize("metric", CLASS_METRICS, ids=lambda metric: metric.name)
def test_one_seed_has_the_interval_of_the_rows(metric: Metric) -> None:
    labels, predictions = answers(1, 211, 0.7)
    rows = rows_interval(metric, adds_of(labels, predictions[0], 3))
    assert seeds_interval(metric, adds(labels, predictions), samples=10_000) == pytest.approx(rows, abs=0.01)


def test_the_interval_is_that_of_an_explicit_bootstrap() -> None:
    labels, predictions = answers(4, 97, 0.6)
    random = np.random.default_rng(5)
    means = []
    for _ in range(3_000):
        rows, seeds = random.integers(0, 97, 97), random.integers(0, 4, 4)
        means.append(np.mean([MCC.of(adds_of(labels[rows], predictions[seed, rows], 3)) for seed in seeds]))
    explicit = np.quantile(means, [0.025, 0.975])
    assert seeds_interval(MCC, adds(labels, predictions), samples=10_000) == pytest.approx(
        explicit, abs=0.015
    )


def test_seeds_without_a_mistake_have_the_interval_of_the_rows() -> None:
    labels, predictions = answers(3, 97, 1.0)
    rows = rows_interval(MCC, adds_of(labels, labels, 3))
    assert rows[0] < 1
    assert seeds_interval(MCC, adds(labels, predictions)) == rows


def test_seeds_that_differ_widen_it() -> None:
    labels, predictions = answers(5, 400, 0.9)
    uneven = predictions.copy()
    uneven[:2] = 0
    narrow, wide = (seeds_interval(ACCURACY, adds(labels, each)) for each in (predictions, uneven))
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


@pytest.mark.parametrize("alike", [True, False])
def test_the_interval_of_a_difference_is_that_of_an_explicit_bootstrap(alike: bool) -> None:
    random = np.random.default_rng(5)
    hard, labels = random.random(97), np.ones(97, dtype=np.int64)
    first, second = (random.random((seeds, 97)) * hard < 0.3 for seeds in (4, 3))
    differences = []
    for _ in range(3_000):
        rows = random.integers(0, 97, 97)
        drawn = [right[random.integers(0, len(right), len(right))][:, rows] for right in (first, second)]
        differences.append(drawn[0].mean() - drawn[1].mean())
    explicit = np.quantile(differences, [0.025, 0.975])
    both = [adds(labels, right.astype(np.int64), 2) for right in (first, second)]
    found = middle(paired_samples(ACCURACY, *both, samples=10_000, alike=alike))
    assert found == pytest.approx(explicit, abs=0.01)


def test_a_model_does_not_differ_from_itself_but_by_its_seeds() -> None:
    labels, said = np.array([1, 0, 1, 1]), np.array([[1, 1, 1, 1]])
    ours, theirs = adds(labels, said, 2), adds(labels, 1 - said, 2)
    assert middle(paired_samples(ACCURACY, ours, ours)) == (0.0, 0.0)
    assert middle(paired_samples(ACCURACY, ours, theirs))[1] > 0.5


def test_the_interval_of_a_difference_pairs_the_rows() -> None:
    labels, predictions = answers(3, 300, 0.7)
    once = adds(labels, predictions[:1])
    assert middle(paired_samples(MCC, once, once)) == (0.0, 0.0)
    better = predictions.copy()
    better[:, :30] = labels[:30]
    low, high = middle(paired_samples(ACCURACY, adds(labels, better), adds(labels, better * 0)))
    assert 0.2 < low < (better == labels).mean() - (labels == 0).mean() < high < 0.6
    # One that is right wherever the other is, and on a few rows more: the rows that both get right or wrong
    # say nothing against it.
    low, _ = middle(paired_samples(ACCURACY, adds(labels, better[:1]), once))
    alone = seeds_interval(ACCURACY, adds(labels, better[:1]))
    assert low > 0
    assert alone[0] < (predictions[0] == labels).mean()
