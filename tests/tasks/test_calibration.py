import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, matthews_corrcoef
from sklearn.metrics import log_loss as sklearn_log_loss

from bertkit.tasks.calibration import (
    BINS,
    brier,
    calibration,
    fit_temperature,
    log_loss,
    logarithms,
    temperature_scaling,
    tempered,
    threshold_curve,
)
from bertkit.tasks.classify import CLASSIFY

Array = npt.NDArray[np.float64]


def rows(
    count: int, classes: int, sharpness: float = 1.0, seed: int = 1
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Labels drawn from softmax(logits), and the log-probabilities of softmax(sharpness * logits)."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(count, classes)) * 1.5
    logs = tempered(logits, 1.0)
    labels = np.array([random.choice(classes, p=np.exp(row)) for row in logs])
    return tempered(logits, 1 / sharpness), labels


def test_by_hand() -> None:
    logs = np.log(np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.45, 0.55]]))
    found = calibration(logs, np.array([0, 1, 1, 0]))
    assert [(each["rows"], each["confidence"], each["right"]) for each in found["bins"]] == [
        (1, pytest.approx(0.55), 0.0),
        (1, pytest.approx(0.8), 1.0),
        (2, pytest.approx(0.9), 0.5),
    ]
    assert [(each["from"], each["to"]) for each in found["bins"]] == [
        (8 / 15, 9 / 15),
        (12 / 15, 13 / 15),
        (13 / 15, 14 / 15),
    ]
    assert found["ece"] == pytest.approx((0.55 + 0.2 + 2 * 0.4) / 4)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.8, 0.45]).mean())
    assert found["brier"] == pytest.approx(2 * np.mean([0.01, 0.81, 0.04, 0.3025]))


def test_it_is_what_scikit_learn_says() -> None:
    logs, labels = rows(503, 2, sharpness=2.0)
    confidence, right = np.exp(logs.max(axis=1)), logs.argmax(axis=1) == labels
    shares, means = calibration_curve(right, confidence, n_bins=BINS)
    found = calibration(logs, labels)
    assert [each["right"] for each in found["bins"]] == pytest.approx(shares)
    assert [each["confidence"] for each in found["bins"]] == pytest.approx(means)
    assert log_loss(logs, labels) == pytest.approx(sklearn_log_loss(labels, np.exp(logs)))
    assert brier(logs, labels) == pytest.approx(2 * brier_score_loss(labels, np.exp(logs[:, 1])))


def test_few_rows_explain_an_error_that_honest_probabilities_show() -> None:
    honest, labels = rows(300, 3)
    boasting, _ = rows(300, 3, sharpness=3.0)
    found = calibration(honest, labels)
    assert found["ece"] < found["ece_expected"]["high"]
    assert 0.01 < found["ece_expected"]["mean"] < found["ece_expected"]["high"] < 0.12
    found = calibration(boasting, labels)
    assert found["ece"] > 2 * found["ece_expected"]["high"]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_sharpened_the_logits(sharpness: float) -> None:
    logs, labels = rows(4_000, 3, sharpness)
    assert fit_temperature(logs, labels) == pytest.approx(sharpness, rel=0.06)


def test_it_is_the_best_one() -> None:
    logs, labels = rows(211, 4, sharpness=2.5)
    best = fit_temperature(logs, labels)
    assert best is not None
    least = log_loss(tempered(logs, best), labels)
    assert all(least <= log_loss(tempered(logs, best * factor), labels) for factor in (0.9, 0.99, 1.01, 1.1))


def test_rows_that_set_no_limit_have_no_temperature() -> None:
    logs, labels = rows(50, 3)
    assert fit_temperature(logs, logs.argmax(axis=1)) is None, "all right: the sharper the better"
    assert fit_temperature(np.full((50, 3), -math.log(3)), labels) == 1.0, "nothing to gain"


def test_it_helps_on_rows_that_it_was_not_fitted_on_where_it_can() -> None:
    logs, labels = rows(400, 3, sharpness=3.0)
    found = temperature_scaling(logs, labels)
    before = calibration(logs, labels)
    fitted = calibration(tempered(logs, found["temperature"]), labels)
    for name in ("ece", "log_loss", "brier"):
        assert found[f"{name}_after"] < 0.9 * before[name]
    assert found["log_loss_after"] > fitted["log_loss"], "the rows that it was fitted on flatter"
    few = temperature_scaling(logs[:9], labels[:9])
    assert few["temperature"] is not None
    assert few["ece_after"] is None


@given(
    logits=arrays(np.float32, (6, 3), elements=st.floats(-30, 30, width=32, allow_subnormal=False)),
    temperature=st.floats(0.1, 10),
)
def test_it_never_changes_an_answer(logits: npt.NDArray[np.float32], temperature: float) -> None:
    logs = tempered(logits, 1.0).astype(np.float32)
    after = tempered(logs, temperature)
    assert (after.argmax(axis=1) == logs.argmax(axis=1)).all()
    assert np.exp(after).sum(axis=1) == pytest.approx(1)


def test_probabilities_that_are_no_numbers_have_none_of_it() -> None:
    logs, labels = rows(20, 2)
    logs[3] = math.nan
    assert fit_temperature(logs, labels) is None


def test_probabilities_that_were_rounded_to_nothing_have_logarithms() -> None:
    assert np.isfinite(logarithms([[0.0, 1.0]])).all()


def test_the_threshold_curve_is_the_metric_at_each_threshold() -> None:
    logs, labels = rows(311, 2)
    probabilities = np.exp(logs[:, 1])
    found = threshold_curve(probabilities, labels, CLASSIFY.metric("mcc"), "yes")
    for threshold, score in list(zip(found["thresholds"], found["scores"], strict=True))[::7]:
        assert score == pytest.approx(matthews_corrcoef(labels, probabilities > threshold))
    assert found["default"] == pytest.approx(matthews_corrcoef(labels, logs.argmax(axis=1)))
    assert found["best"]["score"] == max(found["scores"]) >= found["default"]
    assert found["crossfitted"] <= found["best"]["score"]
    assert (found["label"], found["metric"]) == ("yes", "mcc")


def test_of_equal_thresholds_the_nearest_to_a_half_is_named() -> None:
    labels = np.array([0, 0, 1, 1])
    assert threshold_curve(np.array([0.1, 0.2, 0.8, 0.9]), labels, CLASSIFY.metric("accuracy"), "yes")[
        "best"
    ] == {
        "threshold": 0.5,
        "score": 1.0,
    }
    found = threshold_curve(np.array([0.01, 0.1, 0.3, 0.32]), labels, CLASSIFY.metric("accuracy"), "yes")
    assert found["best"] == {"threshold": 0.29, "score": 1.0}
    assert found["default"] == 0.5
    assert found["crossfitted"] is None, "too few rows"
