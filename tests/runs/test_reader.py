"""The logs of runs: what a line says, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bertkit.diagnose.charts import heldout_points, pair_points
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.runs.folder import has_logged
from bertkit.runs.history import Evaluation, Step, Track
from bertkit.runs.log import phase_of_log, read_track
from bertkit.runs.reader import read_history

LOG: list[dict[str, Any]] = [
    {"event": "floors", "step": 0, "unigram": 6.5, "uniform": 9.0},
    {"event": "evaluation", "step": 0, "mlm_loss": 9.25, "mlm_accuracy": 0.0},
    {
        "event": "train",
        "step": 1,
        "fraction": 0.5,
        "loss": 9.75,
        "mlm_loss": 9.0,
        "tokens": 7,
        "gemm_share": 0.5,
    },
    # Without a masked token: the loss of the pairs alone.
    {"event": "train", "step": 2, "fraction": 1.0, "loss": 0.5, "learning_rate": 1e-3, "tokens": 13},
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


def test_a_pretraining_is_read_as_it_was_logged(tmp_path: Path) -> None:
    history = read_history(write(tmp_path, LOG))
    assert (history.phase, history.floor, history.uniform) == ("pretrain", 6.5, 9.0)
    track = history.track
    assert repr(track.steps) == repr([Step(1, 0.5, 9.0), Step(2, 1.0, 0.5, 1e-3)])
    scored = Evaluation(step=2, loss=6.0, accuracy=0.25, pair_accuracy=0.75, pairs=99.0)
    assert repr(track.evaluations) == repr([Evaluation(step=0, loss=9.25, accuracy=0.0), scored])
    assert [look.gradient_norms for look in track.health] == [{"layer 1": 0.25}, {}]
    assert (track.last_step, track.tokens, track.gemm_shares) == (2, 20, [0.5, 0.0])
    assert heldout_points(track) == [(0, 9.25), (2, 6.0)]
    assert pair_points(track) == [(2, 0.75)]


def test_a_step_that_could_not_be_made_is_where_a_run_broke(tmp_path: Path) -> None:
    run = write(tmp_path, [*LOG, {"event": "broke", "step": 3, "fraction": 1.0, "loss": None}])
    track = read_history(run).track
    assert track.broke is not None
    assert (track.broke.step, track.broke.place, track.last_step) == (3, 1.0, 2)


def test_a_folder_without_a_log_has_nothing_to_tell(tmp_path: Path) -> None:
    assert read_track(tmp_path, "pretrain") == Track(steps=[], evaluations=[], health=[], gemm_shares=[])
    assert not read_track(tmp_path, "finetune").begun
    assert not has_logged(tmp_path)
    assert phase_of_log(tmp_path) is None


def test_a_log_tells_of_which_phase_it_is(tmp_path: Path) -> None:
    assert phase_of_log(write(tmp_path, LOG)) == "pretrain"
    assert phase_of_log(write(tmp_path, LOG[2:3])) == "pretrain"
    assert phase_of_log(write(tmp_path, [{"event": "train", "step": 1, "epoch": 0.5}])) == "finetune"
    assert has_logged(tmp_path)


@pytest.mark.parametrize(
    ("line", "key"), [(3, "step"), (3, "loss"), (1, "mlm_loss"), (1, "mlm_accuracy"), (0, "unigram")]
)
def test_a_record_that_lacks_what_all_of_its_kind_have_is_refused(
    line: int, key: str, tmp_path: Path
) -> None:
    lacking = {name: value for name, value in LOG[line].items() if name != key}
    with pytest.raises(UserError, match=f"line 1: '{key}' is missing"):
        read_track(write(tmp_path, [lacking]), "pretrain")


def test_without_held_out_text_the_training_loss_tells_when_a_run_left_the_plateau(tmp_path: Path) -> None:
    # The means are 6.0, 5.6 and 5.3, and 0.85 of 6.5 is 5.525.
    losses = [6.0, 5.2, 4.7, 6.0]
    steps = [
        {"event": "train", "step": step, "fraction": step / 9, "loss": loss, "mlm_loss": loss}
        for step, loss in enumerate(losses, start=1)
    ]
    assert read_history(write(tmp_path, [LOG[0], *steps])).through_at == 3
    assert read_history(write(tmp_path, [*LOG[:2], *steps])).through_at is None
