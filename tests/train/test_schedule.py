import json
from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.recipe import OptimiserRecipe
from bertkit.train import schedule as module
from bertkit.train.schedule import ByClock, ByLog, BySteps, Moment, learning_rate, learning_rate_at

RECIPE = OptimiserRecipe(lr=8.0, warmup=0.5)


def alone(number: float) -> float:
    return number


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    recipe = OptimiserRecipe(lr=12.0, warmup=0.2)
    rates = [learning_rate(step, 10, recipe) for step in range(10)]
    assert rates == pytest.approx([4, 8, 12, 10.5, 9, 7.5, 6, 4.5, 3, 1.5])


def test_a_constant_rate_is_constant_after_the_warm_up() -> None:
    recipe = OptimiserRecipe(lr=3.0, warmup=0.0, schedule="constant")
    assert {learning_rate(step, 7, recipe) for step in range(7)} == {3.0}


def test_the_rate_of_a_share_of_a_run_warms_up_and_falls_to_zero() -> None:
    recipe = OptimiserRecipe(lr=8.0, warmup=0.2)
    shares = (0.0, 0.1, 0.2, 0.6, 1.0)
    assert [learning_rate_at(share, recipe) for share in shares] == pytest.approx([0, 4, 8, 4, 0])
    constant = OptimiserRecipe(lr=8.0, warmup=0.0, schedule="constant")
    assert learning_rate_at(0.9, constant) == 8.0


def test_steps_are_shares_of_their_number() -> None:
    schedule = BySteps(4, RECIPE)
    moments = [schedule(step) for step in range(5)]
    assert [moment and moment.fraction for moment in moments] == [0, 0.25, 0.5, 0.75, None]


def test_the_clock_counts_what_was_spent_and_keeps_what_is_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    # Two minutes, of which 20 seconds are kept and 10 were gone before the first step: 90 to fill.
    schedule = ByClock(2.0, 10.0, 10.0, 20.0, alone, RECIPE)
    assert schedule(0) == Moment(0.0, 0.0), "warm-up begins with the first step"
    now[0] += 5.0
    # A step takes 5 seconds, so the last one begins when 95 are gone.
    assert schedule(1) == Moment(pytest.approx(5 / 85), pytest.approx(8 * 2 * 5 / 85))
    now[0] += 50.0
    assert schedule(2) == Moment(pytest.approx(55 / 85), pytest.approx(8 * 2 * 30 / 85))
    now[0] += 5.0
    assert schedule(3) == Moment(pytest.approx(60 / 85), pytest.approx(8 * 2 * 25 / 85))
    # One that goes on begins where it was, and has lost what it took to begin.
    again = ByClock(2.0, 55.0, 10.0, 20.0, alone, RECIPE)
    assert again(7) == Moment(0.5, 8.0)
    assert ByClock(2.0, 100.0, 100.0, 20.0, alone, RECIPE)(0) is None, "all was used up before the first step"
    now[0] += 25.1
    assert schedule(4) is None


def test_all_processes_follow_the_first_ones_clock() -> None:
    assert ByClock(1.0, 0.0, 0.0, 0.0, lambda _: 0.25, RECIPE)(3) == Moment(0.25, 4.0)
    assert ByClock(1.0, 0.0, 0.0, 0.0, lambda _: 1.5, RECIPE)(3) is None


def test_a_log_is_followed_step_by_step(tmp_path: Path) -> None:
    lines = [
        {"event": "evaluation", "step": 0},
        {"event": "train", "step": 1, "fraction": 0.0, "learning_rate": 0.5},
        {"event": "train", "step": 2, "fraction": 0.6, "learning_rate": 0.1},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    schedule = ByLog(tmp_path)
    assert [schedule(step) for step in range(3)] == [Moment(0.0, 0.5), Moment(0.6, 0.1), None]


@pytest.mark.parametrize("content", ["", "no json\n", '{"event": "train", "step": 1}\n', "[]\n"])
def test_what_is_no_log_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(UserError, match="cannot be replayed"):
        ByLog(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        ByLog(tmp_path / "nowhere")
