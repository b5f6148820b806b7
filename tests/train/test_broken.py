"""Pretrainings that break: what was good stays, and what is broken is neither saved nor called good."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from trained import StopsAfter, fit, records

from bertkit.cli import main
from bertkit.diagnose.doctor import examine
from bertkit.diagnose.report import write_report
from bertkit.errors import UserError
from bertkit.model.optimisers import build_optimiser
from bertkit.recipe import ModelRecipe, PretrainRecipe, Recipe, VocabularyRecipe
from bertkit.runs.checkpoints import Checkpoints
from bertkit.runs.folder import STOPPED
from bertkit.runs.result import Answers
from bertkit.text.jsons import to_json
from bertkit.train.listener import Listener
from bertkit.train.loop import Interrupted
from bertkit.train.seedfolder import Stopped
from bertkit.train.start import train

GOOD, FAR_TOO_HIGH = 5e-3, 1e25


def at_rates(recipe: PretrainRecipe, folder: Path, rates: Sequence[float]) -> PretrainRecipe:
    """The recipe with a step at each of the rates, none of them clipped, saved whenever it may be."""
    folder.mkdir()
    steps = [
        {"event": "train", "fraction": step / len(rates), "learning_rate": rate}
        for step, rate in enumerate(rates)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return recipe.with_changes(
        {
            "training": {"steps": 0, "replay": str(folder), "save_every": 0.0},
            "optimiser": {"clip": 0.0},
        }
    )


@pytest.fixture
def of_a_broken_model(toy: Recipe, tiny_model: Path, tmp_path: Path) -> Recipe:
    """The recipe of a task, from weights that are too large to compute with."""
    folder = tmp_path / "broken"
    shutil.copytree(tiny_model, folder)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {name: weight + FAR_TOO_HIGH for name, weight in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    return replace(toy, model=ModelRecipe(start=str(folder)), vocabulary=VocabularyRecipe())


def largest_weight(out: Path) -> float:
    return max(
        weight.abs().max().item() for weight in load_file(out / "model" / "model.safetensors").values()
    )


def saved_steps(out: Path) -> list[int]:
    return list(Checkpoints(out, 1).by_step())


def test_weights_that_break_are_neither_saved_nor_called_good(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    recipe = at_rates(restoring, tmp_path / "rates", [GOOD] * 4 + [FAR_TOO_HIGH] + [GOOD] * 2)
    with pytest.raises(Stopped, match=r"in step 6\..* good checkpoint is checkpoint/step-00000004.*weights"):
        fit(recipe, tmp_path / "run")
    assert saved_steps(tmp_path / "run") == [3, 4]
    assert largest_weight(tmp_path / "run") < 10
    card = json.loads((tmp_path / "run" / "model" / "bertkit.json").read_text())
    assert card["steps"] == 4
    assert json.loads((tmp_path / "run" / STOPPED).read_text())["checkpoint"] == (
        "checkpoint/step-00000004.safetensors"
    )


def test_a_run_that_was_never_good_leaves_no_model(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = at_rates(restoring, tmp_path / "rates", [FAR_TOO_HIGH] * 3)
    with pytest.raises(Stopped, match=r"in step 2.*there is no good checkpoint") as stopped:
        fit(recipe, tmp_path / "run")
    assert "last good weights" not in str(stopped.value)
    assert saved_steps(tmp_path / "run") == []
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.parametrize("heldout", [3, 0])
def test_a_last_update_that_breaks_the_model_is_no_end_of_a_run(
    restoring: PretrainRecipe, tmp_path: Path, make_shards: Callable[..., Path], heldout: int
) -> None:
    shards = make_shards(tmp_path / "others", heldout=heldout)
    recipe = at_rates(
        restoring.with_changes({"corpus": {"shards": str(shards)}}),
        tmp_path / "rates",
        [GOOD] * 4 + [FAR_TOO_HIGH],
    )
    with pytest.raises(Stopped, match=r"The loss is nan after step 5\..*step-00000004"):
        fit(recipe, tmp_path / "run")
    assert not (tmp_path / "run" / "result.json").exists()
    assert largest_weight(tmp_path / "run") < 10
    assert "uses the context" not in (tmp_path / "run" / "log.txt").read_text()
    (finding,) = [
        each
        for each in json.loads((tmp_path / "run" / "findings.json").read_text())
        if each["check"] == "not_a_number"
    ]
    assert finding["seen"] == "The loss is nan after step 5."


def test_an_interrupted_state_is_called_good_once_it_went_on(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    recipe = at_rates(restoring, tmp_path / "rates", [GOOD] * 3 + [FAR_TOO_HIGH] + [GOOD] * 2).with_changes(
        {"training": {"save_every": 5.0}}
    )
    with pytest.raises(Interrupted):
        fit(recipe, tmp_path / "run", listener=StopsAfter(2))
    with pytest.raises(Stopped, match="good checkpoint is checkpoint/step-00000002"):
        fit(recipe, tmp_path / "run", resume=True)


def test_a_run_resumed_at_its_end_is_judged_there(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = restoring.with_changes({"training": {"steps": 4}})
    with pytest.raises(Interrupted):
        fit(recipe, tmp_path / "run", listener=StopsAfter(4))
    fit(recipe, tmp_path / "run", resume=True)
    evaluations = [(each["step"], each["fraction"]) for each in records(tmp_path / "run", "evaluation")]
    assert evaluations == [(0, 0.0), (3, 0.5), (4, 1.0)]


def test_the_good_checkpoint_outlives_newer_ones(tmp_path: Path, restoring: PretrainRecipe) -> None:
    model = torch.nn.Linear(3, 2)
    optimiser = build_optimiser(model, restoring.optimiser)
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step, good in ((5, 5), (10, 10), (20, 10), (30, 10)):
        checkpoints.save(step, model, optimiser, {}, good=good)
    assert list(checkpoints.by_step()) == [10, 30]
    checkpoints.remove(after=10)
    assert list(checkpoints.by_step()) == [10]


def test_a_run_that_goes_on_is_no_longer_a_stopped_one(restoring: PretrainRecipe, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fit(restoring, tmp_path / "run", listener=StopsAfter(3))
    (tmp_path / "run" / STOPPED).write_text('{"why": "The loss rose."}')
    with pytest.raises(Interrupted):
        fit(restoring, tmp_path / "run", listener=StopsAfter(5), resume=True)
    examined = examine(tmp_path / "run")
    assert examined.verdict.startswith("It is not done: 5 steps are")
    assert "diverged" not in [finding.check for finding in examined.findings]


def test_fine_tuning_a_broken_model_is_refused_before_its_folder_is_made(
    of_a_broken_model: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"in step 1\. No update was made yet: the weights of .* are broken"):
        fit(of_a_broken_model, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_doctor_says_that_a_model_is_broken(
    of_a_broken_model: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(of_a_broken_model.to_toml())
    assert main(["doctor", "--recipe", str(tmp_path / "recipe.toml"), "--seconds", "0.1"]) == 3
    assert "Before the first update the loss is no number." in capsys.readouterr().out


def lines_of(out: Path) -> list[str]:
    """Of all that a run wrote for programs, one JSON text each."""
    texts = [path.read_text() for path in sorted(out.glob("*.json"))]
    return [*texts, *(out / "metrics.jsonl").read_text().splitlines()]


def refused(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


@pytest.mark.parametrize("steps", [1, 5])
def test_a_seed_that_breaks_says_so_in_json(toy: Recipe, tmp_path: Path, steps: int) -> None:
    recipe = toy.with_changes(
        {"optimiser": {"lr": FAR_TOO_HIGH, "clip": 0.0, "warmup": 0.0}, "training": {"steps": steps}}
    )
    settings: dict[str, Any] = {"overwrite": False, "listener": Listener()}
    result = train(recipe, tmp_path / "run", resume=False, **settings)
    # The first update broke it: the second step says so, or, where there is none, the scores.
    assert [(seed["steps"], seed["status"]) for seed in result["seeds"]] == [(1, "diverged")]
    (broke,) = records(tmp_path / "run", "broke")
    assert broke["step"] == min(2, steps)
    assert [json.loads(line, parse_constant=refused) for line in lines_of(tmp_path / "run")]
    assert result["mistakes"] == []
    read = Answers.read(tmp_path / "run")
    assert read is not None
    assert np.isnan(read.outputs).all()
    (finding,) = examine(tmp_path / "run").findings
    assert finding.check == "diverged"
    assert f"at step {broke['step']}" in finding.seen
    # A run that ended before its result was written goes on with what its seed left.
    (tmp_path / "run" / "result.json").unlink()
    again = train(recipe, tmp_path / "run", resume=True, **settings)
    assert again["score"] == result["score"]


def test_the_page_shows_where_a_pretraining_broke(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = at_rates(restoring, tmp_path / "rates", [GOOD, GOOD, FAR_TOO_HIGH, GOOD])
    with pytest.raises(Stopped):
        fit(recipe, tmp_path / "run")
    assert [(each["step"], each["fraction"]) for each in records(tmp_path / "run", "broke")] == [(3, 0.5)]
    assert [json.loads(line, parse_constant=refused) for line in lines_of(tmp_path / "run")]
    assert "The loss was no number from step 3 on." in write_report(tmp_path / "run").read_text()


def test_what_is_no_number_is_null_in_json_and_all_else_is_as_it_was() -> None:
    value = {"a": [1.5, math.nan, (math.inf, 3)], "ü": {"b": -math.inf, "c": True}}
    assert to_json(value) == '{"a": [1.5, null, [null, 3]], "ü": {"b": null, "c": true}}'
    assert to_json([0.1, None]) == "[0.1, null]"
