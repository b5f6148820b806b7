"""Agreement of the scores of answers with SQuAD's two official scripts; see make_squad_reference.py."""

import json

import numpy as np
import pytest
from references import load_maker

from bertkit.tasks.squad import answer_scores, best_threshold

make = load_maker("make_squad_reference")
REFERENCE = json.loads(make.REFERENCE.read_text(encoding="utf-8"))
VERSIONS = ("1.1", "v2.0")


def scores(version: str) -> np.ndarray:
    return np.array(
        [answer_scores(given, right, may_be_none=version != "1.1") for right, given, _ in make.cases(version)]
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_every_answer_is_scored_as_the_official_script_does(version: str) -> None:
    assert scores(version).tolist() == REFERENCE[version]["cases"]


def test_all_answers_together_are_scored_as_by_version_1() -> None:
    printed = REFERENCE["1.1"]["printed"]
    f1, exact = 100 * scores("1.1").mean(0)
    assert printed == {"exact_match": pytest.approx(exact), "f1": pytest.approx(f1)}


def test_all_answers_together_and_the_best_threshold_are_those_of_version_2() -> None:
    printed, found = REFERENCE["v2.0"]["printed"], scores("v2.0")
    has = np.array([bool(right) for right, _, _ in make.cases("v2.0")])
    given = np.array([bool(given) for _, given, _ in make.cases("v2.0")])
    null = np.array([null for _, _, null in make.cases("v2.0")])
    # Above a threshold of 1.0, the default, there is no probability.
    for prefix, rows in (("", has | True), ("HasAns_", has), ("NoAns_", ~has)):
        f1, exact = 100 * found[rows].mean(0)
        assert printed[f"{prefix}f1"] == pytest.approx(f1)
        assert printed[f"{prefix}exact"] == pytest.approx(exact)
        assert printed[f"{prefix}total"] == rows.sum()
    for column, name in enumerate(("f1", "exact")):
        threshold, best = best_threshold(null, found[:, column], has, given)
        assert (threshold, 100 * best) == (printed[f"best_{name}_thresh"], printed[f"best_{name}"])
