"""The logs of runs: what a line says, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertkit.diagnose.histories import read_history
from bertkit.diagnose.logs import read_pretrain_log
from bertkit.diagnose.pretrain_curves import read_pretraining
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.runs.history import NAN, HeldOut, PretrainHistory, Step

LOG: list[dict[str, Any]] = [
    {"event": "floors", "step": 0, "unigram": 6.5, "uniform": 9.0},
    {"event": "evaluation", "step": 0, "mlm_loss": 9.25, "mlm_accuracy": 0.0},
    {
        "event": "train",
        "step": 1,
        "fraction": 0.5,
        "loss": 9.75,
        "mlm_loss": 9.0,
        "pieces": 7,
        "gemm_share": 0.5,
    },
    # Without a masked piece: the loss of the pairs alone.
    {"event": "train", "step": 2, "fraction": 1.0, "loss": 0.5, "learning_rate": 1e-3, "pieces": 13},
    {"event": "health", "step": 2, "gradient_norms": {"layer 1": 0.25}},
    {"event": "health", "step": 2, "smoothed_loss": 4.75},
    {
        "event": "evaluation",
        "step": 2,
        "mlm_loss": 6.0,
        "mlm_accuracy": 0.25,
        "pair_accuracy": 0.75,
        "pairs": 99,
    },
]


def write(folder: Path, log: list[dict[str, Any]]) -> Path:
    (folder / "recipe.toml").write_text(PretrainRecipe().to_toml())
    (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    return folder


def test_a_pretraining_is_drawn_as_it_is_judged(tmp_path: Path) -> None:
    run = write(tmp_path, LOG)
    history, curves = read_history(run), read_pretraining(run)
    assert isinstance(history, PretrainHistory)
    assert repr(history.steps) == repr([Step(1, 0.5, 9.0), Step(2, 1.0, 0.5, 1e-3)])
    assert repr(history.heldout) == repr([HeldOut(0, 9.25, accuracy=0.0), HeldOut(2, 6.0, 0.75, 99.0, 0.25)])
    assert history.floors == curves.floors == {"unigram": 6.5, "uniform": 9.0}
    assert [look.gradient_norms for look in history.health] == [{"layer 1": 0.25}, {}]
    assert curves.train == [(1, 9.0), (2, 0.5)]
    assert repr(curves.rates) == repr([(1, NAN), (2, 1e-3)])
    assert (curves.heldout, curves.accuracy) == ([(0, 9.25), (2, 6.0)], [(0, 0.0), (2, 0.25)])
    assert curves.pairs == [(2, 0.75)]
    assert curves.health == history.health
    assert (curves.steps, curves.pieces, curves.gemm_share) == (2, 20, 0.25)


def test_a_step_that_could_not_be_made_is_where_a_run_broke(tmp_path: Path) -> None:
    run = write(tmp_path, [*LOG, {"event": "broke", "step": 3, "fraction": 1.0, "loss": None}])
    history, curves = read_history(run), read_pretraining(run)
    assert isinstance(history, PretrainHistory)
    assert history.broke == curves.broke_at == 3
    assert history.last_step == curves.steps == 2


def test_a_run_without_a_log_has_nothing_to_draw(tmp_path: Path) -> None:
    curves = read_pretraining(tmp_path)
    assert (curves.train, curves.floors, curves.steps, curves.gemm_share) == ([], {}, 0, 0.0)


@pytest.mark.parametrize(
    ("line", "key"), [(3, "step"), (3, "loss"), (1, "mlm_loss"), (1, "mlm_accuracy"), (0, "unigram")]
)
def test_a_record_that_lacks_what_all_of_its_kind_have_is_refused(
    line: int, key: str, tmp_path: Path
) -> None:
    lacking = {name: value for name, value in LOG[line].items() if name != key}
    with pytest.raises(UserError, match=f"line 1: '{key}' is missing"):
        read_pretrain_log(write(tmp_path, [lacking]) / "metrics.jsonl")


def test_without_held_out_text_the_training_loss_tells_when_a_run_left_the_plateau(tmp_path: Path) -> None:
    # The means are 6.0, 5.6 and 5.3, and 0.85 of 6.5 is 5.525.
    losses = [6.0, 5.2, 4.7, 6.0]
    steps = [
        {"event": "train", "step": step, "fraction": step / 9, "loss": loss, "mlm_loss": loss}
        for step, loss in enumerate(losses, start=1)
    ]
    history = read_history(write(tmp_path, [LOG[0], *steps]))
    assert isinstance(history, PretrainHistory)
    assert history.through_at == 3
    history = read_history(write(tmp_path, [*LOG[:2], *steps]))
    assert isinstance(history, PretrainHistory)
    assert history.through_at is None
