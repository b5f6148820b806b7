"""Numbers: how they are read, what rows add, and scores as other implementations have them."""

from pathlib import Path

import numpy as np
import pytest
from asking import asking, encoded
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

from bertkit.errors import UserError
from bertkit.tasks.examples import Examples, Targets, contradictions
from bertkit.tasks.kind import Wanted
from bertkit.tasks.load import load_examples
from bertkit.tasks.metrics import middle, paired_samples, rows_interval, seeds_interval, summary
from bertkit.tasks.registry import get_task, task_from_files
from bertkit.tasks.regress import NAMES, REGRESS
from bertkit.tasks.task import Task

PEARSON, SPEARMAN, MSE, MAE = REGRESS.metrics


def own(folder: Path, train: str, dev: str = "text,score\nx,1\n") -> Task:
    (folder / "train.csv").write_text(train)
    (folder / "dev.csv").write_text(dev)
    files = folder / "train.csv", folder / "dev.csv"
    return task_from_files(*files, text="text", label="score", kind="regress")


def drawn(rows: int, noise: float, *, shift: float = 0.0, seed: int = 1) -> tuple[Targets, np.ndarray]:
    random = np.random.default_rng(seed)
    values = random.integers(0, 11, rows) / 2 + shift
    return Targets.single(values), values + noise * random.normal(size=rows)


def test_scores_are_read_as_numbers(tmp_path: Path) -> None:
    task = own(tmp_path, "text,score\nx, 3\ny,-1.5e2\nx,2\n")
    train, names = load_examples(task, "train")
    assert (train.known.values.tolist(), names, task.metric) == ([3.0, -150.0, 2.0], ("score",), "pearson")
    assert contradictions(train) == [0, 2]
    assert load_examples(task, "dev", names)[0].known.values.tolist() == [1.0]


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("good", r"line 3: the score 'good' is not a number"),
        ("", r"line 3: the label is empty"),
        ("inf", r"line 3: the score 'inf' is not a finite number"),
        ("-1e999", r"line 3: the score '-1e999' is not a finite number"),
        ("nan", r"line 3: the score 'nan' is not a finite number"),
        ("2e18", r"line 3: the score '2e18' is beyond 1e\+18; give scores in a larger unit"),
        ("1.000001", r"the scores, from 1 to 1\.000001, are too much alike"),
        ("1", r"every row has the score 1; learning needs rows of different ones"),
    ],
)
def test_what_is_no_score_is_refused(tmp_path: Path, cell: str, said: str) -> None:
    with pytest.raises(UserError, match=rf"train\.csv.*{said}"):
        load_examples(own(tmp_path, f'text,score\nx,1\ny,"{cell}"\n'), "train")


def test_a_score_that_is_no_number_is_the_worst() -> None:
    assert [metric.best([np.nan, 0.25, 0.5]) for metric in (PEARSON, MSE)] == [2, 1]


def test_dev_may_have_one_score(tmp_path: Path) -> None:
    dev, _ = load_examples(
        own(tmp_path, "text,score\nx,1\ny,2\n", "text,score\nx,3\ny,3\n"), "dev", ("score",)
    )
    assert REGRESS.scoring(NAMES, "pearson").summary(dev, np.array([1.0, 2.0]))["score"] == 0.0


@pytest.mark.parametrize("shift", [0.0, 2_000.0, 1e7])
def test_scores_are_those_of_scipy_and_scikit_learn(shift: float) -> None:
    targets, predictions = drawn(211, 0.8, shift=shift)
    found = REGRESS.scoring(NAMES, "spearman").summary(asking(targets), predictions)
    true = targets.values
    assert found["score"] == found["metrics"]["spearman"]
    assert found["metrics"] == pytest.approx(
        {
            "pearson": stats.pearsonr(predictions, true)[0],
            "spearman": stats.spearmanr(predictions, true)[0],
            "mse": mean_squared_error(true, predictions),
            "mae": mean_absolute_error(true, predictions),
        },
        rel=1e-9,
    )


@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 2), min_size=2, max_size=30))
def test_correlations_never_leave_their_range(rows: list[tuple[int, int]]) -> None:
    true, said = np.array(rows, dtype=np.float64).T
    adds = REGRESS.adds(asking(true), said, ("score",))
    for metric in (PEARSON, SPEARMAN):
        assert -1 - 1e-9 <= metric.of(adds) <= 1 + 1e-9


def test_one_number_for_all_rows_has_no_correlation_and_is_told() -> None:
    targets, predictions = drawn(97, 0.5, shift=1e6)
    said = np.full(97, targets.values.mean() + 0.1)
    rows = asking(targets)
    adds = REGRESS.adds(rows, said, ("score",))
    assert [PEARSON.of(adds), SPEARMAN.of(adds)] == [0.0, 0.0]
    assert REGRESS.one_answer(rows, said)
    assert not REGRESS.one_answer(rows, predictions)
    pearson, mse = (REGRESS.scoring(NAMES, name) for name in ("pearson", "mse"))
    assert pearson.status(rows, said, [0.0, 0.0], 0.0) == "collapsed"
    assert pearson.status(rows, predictions, [0.1, 0.3], 0.0) == "learned"
    assert mse.status(rows, predictions, [2.0, 3.0], 2.5) == "not learned"
    assert mse.status(rows, predictions, [2.0, 2.4], 2.5) == "learned"


@pytest.mark.parametrize("rows", [97, 700])
def test_the_interval_is_that_of_a_bootstrap_of_rows(rows: int) -> None:
    """Of many rows, which are drawn one by one, as of few."""
    targets, predictions = drawn(rows, 2.0)
    adds, random = REGRESS.adds(asking(targets), predictions, ("score",)), np.random.default_rng(5)
    scores = []
    for _ in range(2_000):
        some = random.integers(0, rows, rows)
        scores.append(stats.pearsonr(predictions[some], targets.values[some])[0])
    explicit = np.quantile(scores, [0.025, 0.975])
    assert rows_interval(PEARSON, adds) == pytest.approx(explicit, abs=0.012)
    assert seeds_interval(PEARSON, [adds]) == pytest.approx(explicit, abs=0.015)


def test_a_difference_is_paired() -> None:
    targets, predictions = drawn(300, 1.0)
    worse = predictions + np.random.default_rng(8).normal(size=300)
    ours, theirs = (REGRESS.adds(asking(targets), each, ("score",)) for each in (predictions, worse))
    low, high = middle(paired_samples(PEARSON, [ours], [theirs]))
    assert 0 < low < PEARSON.of(ours) - PEARSON.of(theirs) < high
    assert middle(paired_samples(MSE, [ours], [theirs]))[1] < 0


def test_better_is_lower_for_errors() -> None:
    assert (MSE.better(1, 2), PEARSON.better(1, 2)) == (True, False)
    assert (MAE.best([3, 1, 2]), PEARSON.best([3, 1, 2])) == (1, 0)
    assert MSE.beats([1, 2], 2.5)
    assert not MSE.beats([1, 3], 2.5)


def test_the_baselines_are_the_mean_and_a_ridge_regression() -> None:
    texts = ["good film", "bad film", "good book", "bad book", "fair film", "fair book"]
    train = Examples(texts, None, Targets.single(np.array([5.0, 1, 5, 1, 3, 3])), [*range(6)], Path("x"))
    dev = Examples(["good", "bad"], None, Targets.single(np.array([5.0, 1.0])), [0, 1], Path("x"))
    mean, ridge = (each.predict(train, dev, ("score",)).tolist() for each in REGRESS.baselines)
    assert mean == [3.0, 3.0]
    assert ridge[0] > 3 > ridge[1]
    scored = REGRESS.scoring(NAMES, "pearson").baselines(train, dev)
    assert list(scored) == ["mean", "ridge"]
    assert scored["mean"]["metrics"] == {"pearson": 0.0, "spearman": 0.0, "mse": 4.0, "mae": 2.0}


def test_scales_and_floors() -> None:
    assert REGRESS.scale is not None
    targets = Targets.single(np.array([1_990.0, 2_000.0, 2_010.0]))
    scale = REGRESS.scale(targets)
    assert scale.inside(targets.values).mean() == pytest.approx(0, abs=1e-6)
    assert scale.inside(targets.values).std() == pytest.approx(1)
    np.testing.assert_allclose(scale.outside(scale.inside(targets.values)), targets.values)
    assert REGRESS.floor(encoded(targets), scale, ("score",), None) == pytest.approx(1.0)
    outputs = np.full((3, 1), 2_000.0, dtype=np.float32)
    assert REGRESS.losses(encoded(targets), outputs, scale).mean() == pytest.approx(1.0)


def test_the_rows_that_are_furthest_off_are_named() -> None:
    rows = Examples(["a", "b", "c"], None, Targets.single(np.array([1.0, 2, 3])), [2, 3, 4], Path("x"))
    outputs = np.array([[1.5], [5.0], [np.nan]])
    found = REGRESS.mistakes(rows, outputs, outputs[:, 0], ("score",))
    assert [(row["line"], row["score"], row["predicted"]) for row in found] == [(3, 2.0, 5.0), (2, 1.0, 1.5)]


def test_stsb_is_a_task(shared_data: Path) -> None:
    task = get_task("stsb", shared_data / "glue/STS-B")
    train, names = load_examples(task, "train")
    dev, _ = load_examples(task, "dev", names)
    assert (len(train), len(dev), task.metric) == (5_749, 1_500, "pearson")
    assert (train.known.values.min(), train.known.values.max()) == (0.0, 5.0)
    assert train.pairs is not None
    said = summary(REGRESS.metrics, REGRESS.adds(dev, dev.known.values, names), "pearson")
    assert said["score"] == pytest.approx(1.0)


def test_a_table_of_answers_has_scores_and_no_probabilities() -> None:
    assert REGRESS.columns((), Wanted()) == {"score": float}
    assert REGRESS.overview([4.0, 0.0, 1.0, 3.0, 2.0]) == {
        "lowest": "0",
        "25 %": "1",
        "median": "2",
        "75 %": "3",
        "highest": "4",
    }
    with pytest.raises(UserError, match="about the probabilities of labels"):
        REGRESS.columns(("score",), Wanted(top=2))
