"""A run that trains on: more epochs, steps, minutes or patience, from the state that it reached."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from trained import StopsAfter, equal, fit, records

from bertkit.cli import main
from bertkit.errors import UserError
from bertkit.recipe import OptimiserRecipe, PretrainRecipe, Recipe
from bertkit.runs.checkpoints import Checkpoints
from bertkit.train.schedule import learning_rate


def set_schedule(patch: pytest.MonkeyPatch, reached: int, short: int, long: int) -> None:
    """Make a run of `long` updates follow the schedule of one of `short` until `reached` are made."""

    def rate(step: int, steps: int, recipe: OptimiserRecipe) -> float:
        # A plan tries a few steps by a schedule of its own.
        return learning_rate(step, short if steps == long and step < reached else steps, recipe)

    patch.setattr("bertkit.train.schedule.learning_rate", rate)


def last_state(run: Path) -> dict[str, Any]:
    """Weights and moments as they were in the end."""
    (path,) = Checkpoints(run, 1).paths()
    return load_file(path)


@pytest.mark.parametrize("reached", [10, 27], ids=["interrupted", "finished"])
def test_a_longer_fine_tuning_is_one_whose_schedule_was_so_set(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: int
) -> None:
    longer = toy.with_changes({"training": {"epochs": 6}})
    if reached == 27:
        fit(toy, tmp_path / "on")
    else:
        with pytest.raises(KeyboardInterrupt):
            fit(toy, tmp_path / "on", listener=StopsAfter(reached))
    on = fit(longer, tmp_path / "on", resume=True)
    set_schedule(monkeypatch, reached, 27, 54)
    whole = fit(longer, tmp_path / "whole")
    for event in ("train", "evaluation"):
        assert records(tmp_path / "on", event) == records(tmp_path / "whole", event)
    states = [last_state(tmp_path / name) for name in ("on", "whole")]
    assert all(states[0][name].equal(states[1][name]) for name in states[1])
    assert equal(tmp_path / "on", tmp_path / "whole")
    assert (on["score"], on["metrics"]) == (whole["score"], whole["metrics"])
    assert [seed["steps"] for seed in on["seeds"]] == [54]
    assert Recipe.from_toml(tmp_path / "on" / "recipe.toml").training.epochs == 6


def test_a_longer_pretraining_is_one_whose_schedule_was_so_set(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring = restoring.with_changes({"training": {"evaluations": 6}})
    longer = restoring.with_changes({"training": {"steps": 24}})
    fit(restoring, tmp_path / "on")
    on = fit(longer, tmp_path / "on", resume=True)
    set_schedule(monkeypatch, 12, 12, 24)
    whole = fit(longer, tmp_path / "whole")
    assert equal(tmp_path / "on", tmp_path / "whole")
    assert [step["loss"] for step in records(tmp_path / "on")] == [
        step["loss"] for step in records(tmp_path / "whole")
    ]
    assert on["heldout"] == whole["heldout"]
    # Those of the first part, and then those that the longer run has, but for one right after its end.
    scored = [[each["step"] for each in records(tmp_path / name, "evaluation")] for name in ("on", "whole")]
    assert scored == [[0, 3, 5, 7, 9, 11, 12, 17, 21, 24], [0, 5, 9, 13, 17, 21, 24]]


def test_done_and_interrupted_seeds_train_on_alike(toy: Recipe, tmp_path: Path) -> None:
    """At a constant rate without warm-up nothing tells them from a run that was longer from the start."""
    flat = {"warmup": 0.0, "schedule": "constant"}
    several = toy.with_changes({"optimiser": flat, "training": {"seeds": 2, "epochs": 1}})
    longer = several.with_changes({"training": {"epochs": 2}})
    with pytest.raises(KeyboardInterrupt):
        fit(several, tmp_path / "on", listener=StopsAfter(5, seed=2))
    on = fit(longer, tmp_path / "on", resume=True)
    whole = fit(longer, tmp_path / "whole")
    for name in ("seed-0", "seed-1", "."):
        assert equal(tmp_path / "on" / name, tmp_path / "whole" / name)
    assert on["metrics"] == whole["metrics"]


def test_more_patience_and_more_time_let_a_run_go_on(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = toy.with_changes({"optimiser": {"lr": 0.0}, "training": {"epochs": 5, "patience": 1}})
    assert fit(still, tmp_path / "patient")["seeds"][0]["steps"] == 2 * 9
    with pytest.raises(UserError, match="is finished"):
        fit(still, tmp_path / "patient", resume=True)
    with pytest.raises(UserError, match=r"has 45 updates by its recipe, and would have 36: .*patience"):
        fit(still.with_changes({"training": {"epochs": 4}}), tmp_path / "patient", resume=True)
    patient = still.with_changes({"training": {"patience": 3}})
    assert fit(patient, tmp_path / "patient", resume=True)["seeds"][0]["steps"] == 4 * 9

    looks = count()
    monkeypatch.setattr("time.monotonic", lambda: next(looks) / 10)
    timed = toy.with_changes({"training": {"budget": 6 / 60, "save_every": 99.0}})
    before = fit(timed, tmp_path / "timed")["seeds"][0]["steps"]
    after = fit(timed.with_changes({"training": {"budget": 12 / 60}}), tmp_path / "timed", resume=True)
    rates = [step["learning_rate"] for step in records(tmp_path / "timed")]
    assert after["seeds"][0]["steps"] == len(rates) > before + 9
    assert rates[before - 1] < rates[before] > rates[-1]


def test_what_a_run_cannot_train_on_from_is_refused(
    toy: Recipe, tmp_path: Path, make_toy: Callable[[Path], Recipe]
) -> None:
    run = tmp_path / "run"
    short = toy.with_changes({"training": {"epochs": 1}})
    fit(short, run)
    for changes in ({"budget": 1.0}, {"epochs": 2, "temperature": True}):
        with pytest.raises(UserError, match="is finished"):
            fit(short.with_changes({"training": changes}), run, resume=True)
    left = {path: path.read_bytes() for path in run.glob("[!.]*.*")}
    Path(toy.task.dev).write_text(Path(toy.task.dev).read_text() + "a good film,no\n")
    with pytest.raises(UserError, match="data are not those"):
        fit(toy, run, resume=True)
    make_toy(tmp_path)
    assert {path: path.read_bytes() for path in run.glob("[!.]*.*")} == left
    for path in Checkpoints(run, 1).paths():
        path.unlink()
    with pytest.raises(UserError, match=r"lost its checkpoint.*--model"):
        fit(toy, run, resume=True)


def test_the_last_word_on_the_command_line_says_how_long(
    toy: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--steps` had ended the run, and `--epochs` lifts that; epochs that were chosen for it do not count."""
    (tmp_path / "recipe.toml").write_text(toy.to_toml(), encoding="utf-8")
    run = tmp_path / "run"
    assert main(["finetune", "--recipe", str(tmp_path / "recipe.toml"), "--steps", "5", "-o", str(run)]) == 0
    assert main(["finetune", "-o", str(run), "--resume", "--steps", "12"]) == 0
    assert "Trains on, to 12 updates (before: 5): " in " ".join(capsys.readouterr().out.split())
    assert main(["finetune", "-o", str(run), "--resume", "--epochs", "2"]) == 0
    assert [each["step"] for each in records(run)] == list(range(1, 19))
