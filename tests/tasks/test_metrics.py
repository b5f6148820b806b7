"""Metrics: worked by hand, against scikit-learn, and the interval against a bootstrap of rows."""

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from bertkit.errors import UserError
from bertkit.tasks.confusion import (
    CLASS_METRICS,
    adds_of,
    by_class,
    confusion_matrix,
    confusions,
    metrics_of,
    sums_of,
)
from bertkit.tasks.metrics import SPARSE, get_metric, rows_interval, summary

METRICS = {metric.name: metric for metric in CLASS_METRICS}
CONFUSION = np.array([[20, 5], [10, 65]])


def all_metrics(confusion: npt.NDArray[np.int64]) -> dict[str, float]:
    return {name: float(metric.score(sums_of(confusion))) for name, metric in METRICS.items()}


def bootstrap_interval(confusion: npt.NDArray[np.int64], metric: str, **options: int) -> tuple[float, float]:
    return rows_interval(METRICS[metric], adds_of(*rows_of(confusion), len(confusion)), **options)


def test_confusion_has_true_rows_and_predicted_columns() -> None:
    confusion = confusion_matrix([0, 1, 2, 2, 2], [0, 2, 2, 2, 1], 3)
    assert confusion.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 2]]
    assert adds_of([0, 1, 2, 2, 2], [0, 2, 2, 2, 1], 3).sum(0).tolist() == sums_of(confusion).tolist()


def test_by_hand() -> None:
    scores = all_metrics(CONFUSION)
    assert scores["accuracy"] == pytest.approx(0.85)
    assert scores["f1"] == pytest.approx(2 * 65 / (2 * 65 + 5 + 10))
    assert scores["mcc"] == pytest.approx((65 * 20 - 5 * 10) / np.sqrt(70 * 75 * 25 * 30))


@given(
    st.integers(2, 5).flatmap(
        lambda classes: st.tuples(
            st.just(classes),
            st.lists(st.tuples(*[st.integers(0, classes - 1)] * 2), min_size=1, max_size=60),
        )
    )
)
@pytest.mark.filterwarnings("ignore:A single label")
def test_agrees_with_scikit_learn(case: tuple[int, list[tuple[int, int]]]) -> None:
    classes, rows = case
    true, predicted = np.array(rows).T
    confusion = confusion_matrix(true, predicted, classes)
    scikit = {"y_true": true, "y_pred": predicted, "zero_division": 0.0}
    assert all_metrics(confusion) == pytest.approx(
        {
            "mcc": sklearn.metrics.matthews_corrcoef(true, predicted),
            "accuracy": sklearn.metrics.accuracy_score(true, predicted),
            "f1": sklearn.metrics.f1_score(**scikit, average=None, labels=range(classes))[-1],
            "macro_f1": sklearn.metrics.f1_score(**scikit, average="macro", labels=range(classes)),
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("metric", METRICS)
def test_one_predicted_class_is_no_division_by_zero(metric: str) -> None:
    score = float(METRICS[metric].score(sums_of(np.array([[0, 30], [0, 70]]))))
    assert score == pytest.approx(
        {"mcc": 0.0, "accuracy": 0.7, "f1": 140 / 170, "macro_f1": 70 / 170}[metric]
    )
    assert float(METRICS[metric].score(np.zeros(7))) == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_many_matrices_at_once(metric: str) -> None:
    many = np.random.default_rng(0).integers(0, 9, (7, 3, 4, 4))
    score = METRICS[metric].score
    at_once = score(sums_of(many))
    assert at_once.shape == (7, 3)
    assert at_once[5, 2] == pytest.approx(float(score(sums_of(many[5, 2]))))


def rows_of(confusion: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    cells = np.repeat(np.arange(confusion.size), confusion.ravel())
    return cells // len(confusion), cells % len(confusion)


@pytest.mark.parametrize("confusion", [CONFUSION, np.array([[30, 2, 9], [5, 11, 1], [0, 8, 33]])])
@pytest.mark.parametrize("metric", METRICS)
def test_interval_is_that_of_a_bootstrap_of_rows(confusion: npt.NDArray[np.int64], metric: str) -> None:
    true, predicted = rows_of(confusion)
    generator = np.random.default_rng(1)
    scores = []
    for _ in range(3_000):
        drawn = generator.integers(0, len(true), len(true))
        scores.append(METRICS[metric].of(adds_of(true[drawn], predicted[drawn], len(confusion))))
    assert bootstrap_interval(confusion, metric) == pytest.approx(
        np.quantile(scores, [0.025, 0.975]), abs=0.015
    )


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    shares = CONFUSION / CONFUSION.sum()
    truth = float(METRICS["mcc"].score(sums_of(shares)))
    covered = 0
    for drawn in np.random.default_rng(2).multinomial(500, shares.ravel(), 400):
        low, high = bootstrap_interval(drawn.reshape(2, 2), "mcc", samples=1_000)
        covered += low <= truth <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_interval_is_the_same_for_the_same_seed_whatever_is_done_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = bootstrap_interval(CONFUSION, "f1", samples=999, seed=3)
    monkeypatch.setattr("bertkit.tasks.metrics.CELLS_AT_ONCE", 40)
    assert bootstrap_interval(CONFUSION, "f1", samples=999, seed=3) == expected
    assert bootstrap_interval(CONFUSION, "f1", samples=999, seed=4) != expected


def test_rows_without_a_mistake_leave_open_how_rare_mistakes_are() -> None:
    low, high = bootstrap_interval(np.diag([13, 7, 99]), "accuracy")
    assert high == 1.0
    # At that rate of mistakes 119 rows show none one time in twenty.
    assert low**119 == pytest.approx(0.05)
    # Two classes of as many rows, wrong alike often: MCC is 1 - 2 * the rate, F1 the share of right answers.
    right = 0.05 ** (1 / 80)
    assert bootstrap_interval(np.diag([40, 40]), "mcc") == pytest.approx((2 * right - 1, 1.0))
    assert bootstrap_interval(np.diag([40, 40]), "f1") == pytest.approx((right, 1.0))


@pytest.mark.parametrize("metric", METRICS)
def test_rows_of_one_class_without_a_mistake_have_an_interval(metric: str) -> None:
    low, high = bootstrap_interval(np.diag([9, 0, 0]), metric)
    assert 0 <= low <= high == all_metrics(np.diag([9, 0, 0]))[metric]


def test_one_mistake_is_not_better_than_none() -> None:
    none, one = np.diag([40, 40]), np.array([[39, 1], [0, 40]])
    for metric in METRICS:
        assert bootstrap_interval(one, metric)[0] <= bootstrap_interval(none, metric)[0] + 0.005


def test_the_f1_of_two_classes_is_that_of_the_positive_one() -> None:
    # Two of a hundred are fraud, and none is found: what scikit-learn says with pos_label, and without.
    true, predicted = np.array([0] * 2 + [1] * 98), np.ones(100, dtype=np.int64)
    told = {}
    for positive in ("fraud", "normal"):
        metrics = metrics_of(("fraud", "normal"), positive)
        found = summary(metrics, adds_of(true, predicted, 2), "f1")["metrics"]
        told[get_metric(metrics, "f1").title] = found["f1"]
        assert found["macro_f1"] == pytest.approx(0.495, abs=5e-4)
    assert told == {"F1 of fraud": 0.0, "F1 of normal": pytest.approx(0.98990, abs=5e-6)}
    assert metrics_of(("a", "b"), "a") == metrics_of(("a", "b"), "a") != metrics_of(("a", "b"), "b")
    assert [each.name for each in metrics_of(("a", "b", "c"), "")] == ["mcc", "accuracy", "macro_f1"]


def test_by_class_and_confusions_by_hand() -> None:
    true, said = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 1, 1, 1, 0])
    assert by_class(true, said, ("a", "b", "c")) == [
        {"label": "a", "rows": 3, "predicted": 2, "found": 1, "precision": 1 / 2, "recall": 1 / 3, "f1": 0.4},
        {"label": "b", "rows": 2, "predicted": 4, "found": 2, "precision": 1 / 2, "recall": 1.0, "f1": 4 / 6},
        {"label": "c", "rows": 1, "predicted": 0, "found": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0},
    ]
    assert confusions(true, said, ("a", "b", "c")) == [
        {"label": "a", "predicted": "b", "rows": 2},
        {"label": "c", "predicted": "a", "rows": 1},
    ]


def test_many_classes_are_added_up_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    true = random.integers(0, 40, 200)
    adds = adds_of(true, np.where(random.random(200) < 0.8, true, random.integers(0, 40, 200)), 40)
    assert adds.shape[1] > SPARSE
    sparse = [rows_interval(metric, adds, samples=500) for metric in CLASS_METRICS]
    monkeypatch.setattr("bertkit.tasks.metrics.SPARSE", 10_000)
    assert [rows_interval(metric, adds, samples=500) for metric in CLASS_METRICS] == sparse


def test_summary_names_score_interval_and_all_metrics() -> None:
    said = summary(CLASS_METRICS, adds_of(*rows_of(CONFUSION), 2), "accuracy")
    assert (said["metric"], said["score"], set(said["metrics"])) == ("accuracy", 0.85, set(METRICS))
    low, high = said["interval"]
    assert low < said["score"] < high


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no metric 'acuracy'\. Did you mean 'accuracy'"):
        get_metric(CLASS_METRICS, "acuracy")
