import errno
import json
import math
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trained import StopsAfter, fit, records, weights

from bertkit.checkpoint.folder import read_model_folder
from bertkit.data.shards import open_shards
from bertkit.errors import UserError
from bertkit.model.terms import Sums
from bertkit.recipe import ModelRecipe, PretrainRecipe
from bertkit.runs.checkpoints import Checkpoints, save_state
from bertkit.runs.folder import STOPPED
from bertkit.train.listener import Listener
from bertkit.train.loop import Interrupted
from bertkit.train.masked import unigram_entropy
from bertkit.train.processes import ALONE, ProcessLost
from bertkit.train.seedfolder import Stopped
from bertkit.train.start import source_of
from bertkit.train.unlabelled import Restoring

Changes = dict[str, dict[str, Any]]


def objective_of(recipe: PretrainRecipe) -> Restoring:
    made = source_of(recipe, ALONE, Listener()).objective(recipe.training.seed)
    assert isinstance(made, Restoring)
    return made


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_it_learns_and_says_what_it_found(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = restoring.with_changes({"training": {"steps": 150}, "optimiser": {"lr": 2e-2}})
    result = fit(recipe, tmp_path / "run")
    shards = open_shards(Path(recipe.corpus.shards))
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["floors"]["uniform"] == pytest.approx(math.log(shards.tokenizer.size))
    assert result["before"]["mlm_loss"] > result["floors"]["unigram"] - 0.1
    # A word says which one stands beside it.
    assert result["heldout"]["mlm_loss"] < result["floors"]["unigram"] - 0.1
    assert result["steps"] == 150
    steps = records(tmp_path / "run")
    assert [step["step"] for step in steps] == list(range(1, 151))
    assert result["tokens"] == sum(step["tokens"] for step in steps)
    evaluations = records(tmp_path / "run", "evaluation")
    assert [line["step"] for line in evaluations] == [0, 51, 101, 150]
    assert list(Checkpoints(tmp_path / "run", 1).by_step()) == [150]


def test_the_floor_is_the_entropy_of_the_masked_tokens_under_their_frequencies() -> None:
    counts = np.array([0, 3, 1])
    expected = -(math.log(3 / 4.5) + math.log(0.5 / 4.5)) / 2
    assert unigram_entropy(counts, np.array([1, 0])) == pytest.approx(expected)


@pytest.mark.parametrize("pairs", ["nsp", "sop", "none"])
def test_every_objective_trains_and_leaves_its_heads(
    restoring: PretrainRecipe, tmp_path: Path, pairs: str
) -> None:
    recipe = restoring.with_changes({"objective": {"pairs": pairs}, "training": {"steps": 3}})
    result = fit(recipe, tmp_path / "run")
    folder = read_model_folder(tmp_path / "run" / "model")
    assert folder.masked is not None
    assert (folder.pair is not None) == (pairs != "none")
    assert ("pair_accuracy" in result["heldout"]) == (pairs != "none")


@pytest.mark.parametrize("masking", ["token", "whole-word", "span"])
def test_the_realised_shares_of_the_masking_are_in_the_log(
    restoring: PretrainRecipe, tmp_path: Path, masking: str
) -> None:
    changes: Changes = {"objective": {"masking": masking, "pairs": "none", "rate": 0.3, "mask_share": 1.0}}
    fit(
        restoring.with_changes({**changes, "objective": {**changes["objective"], "random_share": 0.0}}),
        tmp_path / "run",
    )
    for step in records(tmp_path / "run"):
        assert step["masked"] == 1.0
        assert step["random"] == 0.0
        assert 0.2 < step["chosen"] < 0.4


def test_parts_of_a_step_add_up_to_it(restoring: PretrainRecipe, tmp_path: Path) -> None:
    still: Changes = {"model": {"options": {**restoring.model.options, "hidden_dropout": 0.0}}}
    whole = restoring.with_changes(still)
    cut = whole.with_changes({"batch": {"at_once": 40}})
    fit(whole, tmp_path / "whole")
    fit(cut, tmp_path / "cut")
    first, second = (records(tmp_path / name) for name in ("whole", "cut"))
    assert [s["loss"] for s in first] == pytest.approx([s["loss"] for s in second], rel=1e-4)
    assert [s["tokens"] for s in first] == [s["tokens"] for s in second]


@pytest.mark.parametrize(
    ("number", "optimiser"),
    [
        (signal.SIGINT, "adamw"),
        (signal.SIGTERM, "adam"),
        (signal.SIGINT, "lamb"),
        (signal.SIGTERM, "muon"),
    ],
)
def test_an_interrupted_run_goes_on_bit_for_bit(
    restoring: PretrainRecipe, tmp_path: Path, number: signal.Signals, optimiser: str
) -> None:
    if optimiser == "lamb":
        pytest.importorskip("pytorch_optimizer", reason="the extra lamb is not installed")
    restoring = restoring.with_changes({"optimiser": {"name": optimiser, "weight_decay": 0.0}})
    fit(restoring, tmp_path / "whole")
    with pytest.raises(Interrupted):
        fit(restoring, tmp_path / "cut", listener=StopsAfter(5, number))
    fit(restoring, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    timed = {"tokens_per_second", "gemm_share"}
    logs = [
        [{k: v for k, v in step.items() if k not in timed} for step in records(tmp_path / name)]
        for name in ("whole", "cut")
    ]
    assert logs[0] == logs[1]


def test_the_newest_checkpoints_are_kept(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = restoring.with_changes({"training": {"save_every": 0.0, "keep": 2}})
    with pytest.raises(Interrupted):
        fit(recipe, tmp_path / "run", listener=StopsAfter(7))
    names = [path.name for path in Checkpoints(tmp_path / "run", 2).paths()]
    assert names == ["step-00000006.safetensors", "step-00000007.safetensors"]


def test_a_full_disk_leaves_the_checkpoint_before_it(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = restoring.with_changes({"training": {"save_every": 0.0}})
    calls: list[int] = []

    def fills_up(*arguments: Any) -> None:
        calls.append(0)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_state(*arguments)

    monkeypatch.setattr("bertkit.runs.checkpoints.save_state", fills_up)
    with pytest.raises(OSError, match="No space left"):
        fit(recipe, tmp_path / "run")
    assert [path.name[5:13] for path in Checkpoints(tmp_path / "run", 2).paths()] == ["00000002", "00000003"]
    monkeypatch.undo()
    fit(recipe, tmp_path / "run", resume=True)
    fit(recipe, tmp_path / "whole")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_a_process_lost_after_its_update_is_not_saved_as_before_it(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Sums.add_up

    def lost(self: Any, add: Any) -> None:
        if calls.append(0) or len(calls) == 5:
            raise ProcessLost("Another process of this run is gone.")
        original(self, add)

    calls: list[int] = []
    monkeypatch.setattr(Sums, "add_up", lost)
    with pytest.raises(ProcessLost, match=r"--resume"):
        fit(restoring, tmp_path / "run")
    monkeypatch.undo()
    fit(restoring, tmp_path / "run", resume=True)
    fit(restoring, tmp_path / "whole")
    assert same(weights(tmp_path / "run"), weights(tmp_path / "whole"))


def test_nothing_is_replaced_before_all_is_checked(restoring: PretrainRecipe, tmp_path: Path) -> None:
    fit(restoring, tmp_path / "run")
    wrong = restoring.with_changes({"training": {"steps": 0, "replay": str(tmp_path / "nowhere")}})
    with pytest.raises(UserError, match="cannot be read"):
        fit(wrong, tmp_path / "run", overwrite=True)
    into_itself = restoring.with_changes({"training": {"steps": 0, "replay": str(tmp_path / "run")}})
    with pytest.raises(UserError, match="lies in"):
        fit(into_itself, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "result.json").is_file()


def test_shards_may_move_between_a_run_and_its_resumption(restoring: PretrainRecipe, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fit(restoring, tmp_path / "run", listener=StopsAfter(3))
    moved = Path(restoring.corpus.shards).rename(tmp_path / "moved")
    fit(restoring.with_changes({"corpus": {"shards": str(moved)}}), tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "result.json").is_file()


def test_long_sequences_come_last(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = restoring.with_changes(
        {"batch": {"length": 12, "long_length": 40, "long_share": 0.25}, "objective": {"short_share": 0.0}}
    )
    result = fit(recipe, tmp_path / "run")
    assert result["long_from"] == 9
    objective = objective_of(recipe)
    objective.long_from = 9
    longest = [max(objective.masks(step).sequences.lengths) for step in range(12)]
    assert max(longest[:9]) <= 12 < max(longest[9:]) <= 40
    with pytest.raises(Interrupted):
        fit(recipe, tmp_path / "cut", listener=StopsAfter(10))
    fit(recipe, tmp_path / "cut", resume=True)
    assert same(weights(tmp_path / "run"), weights(tmp_path / "cut"))


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes a tenth of a second."""
    looks = count()
    monkeypatch.setattr("time.monotonic", lambda: next(looks) / 10)


@pytest.mark.usefixtures("slow_clock")
def test_a_budget_ends_the_run_and_its_log_can_be_replayed(restoring: PretrainRecipe, tmp_path: Path) -> None:
    timed = restoring.with_changes({"training": {"steps": 0, "budget": 5 / 60}})
    fit(timed, tmp_path / "timed")
    rates = [step["learning_rate"] for step in records(tmp_path / "timed")]
    assert len(rates) > 3
    assert rates[-1] < max(rates)
    again = restoring.with_changes({"training": {"steps": 0, "replay": str(tmp_path / "timed")}})
    fit(again, tmp_path / "again")
    assert [step["learning_rate"] for step in records(tmp_path / "again")] == rates
    assert same(weights(tmp_path / "timed"), weights(tmp_path / "again"))


@pytest.mark.usefixtures("slow_clock")
def test_a_resumed_budget_spends_what_is_left(restoring: PretrainRecipe, tmp_path: Path) -> None:
    timed = restoring.with_changes({"training": {"steps": 0, "budget": 7 / 60}})
    with pytest.raises(Interrupted):
        fit(timed, tmp_path / "run", listener=StopsAfter(4))
    before = records(tmp_path / "run")[-1]["fraction"]
    fit(timed, tmp_path / "run", resume=True)
    fractions = [step["fraction"] for step in records(tmp_path / "run")]
    assert fractions == sorted(fractions)
    assert fractions[4] >= before
    assert fractions[-1] < 1


def test_a_budget_of_no_time_is_refused(restoring: PretrainRecipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="used up before the first step"):
        fit(restoring.with_changes({"training": {"steps": 0, "budget": 1e-9}}), tmp_path / "run")


def test_training_goes_on_from_a_model_folder(restoring: PretrainRecipe, tmp_path: Path) -> None:
    first = fit(
        restoring.with_changes({"training": {"steps": 60}, "optimiser": {"lr": 2e-2}}), tmp_path / "one"
    )
    on = replace(restoring, model=ModelRecipe(start=str(tmp_path / "one")))
    second = fit(on, tmp_path / "two")
    assert second["before"]["mlm_loss"] == pytest.approx(first["heldout"]["mlm_loss"], rel=1e-5)
    assert second["before"]["pair_accuracy"] == first["heldout"]["pair_accuracy"]


def test_a_loss_that_is_no_number_stops_with_the_batch_and_a_checkpoint(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Restoring.loss

    def poisoned(self: Any, model: Any, batch: Any) -> torch.Tensor:
        loss = original(self, model, batch)
        return loss * float("nan") if calls.append(0) or len(calls) == 6 else loss

    calls: list[int] = []
    monkeypatch.setattr(Restoring, "loss", poisoned)
    recipe = restoring.with_changes({"training": {"save_every": 0.0}})
    with pytest.raises(Stopped, match=r"nan .* step 6.*step-00000004"):
        fit(recipe, tmp_path / "run")
    told = json.loads((tmp_path / "run" / STOPPED).read_text())
    objective = objective_of(restoring)
    assert told["step"] == 6
    assert told["batch"]["tokens"] == len(objective.masks(5).sequences.ids)
    # The checkpoint is good: without the poison the run goes on as if nothing had been.
    monkeypatch.undo()
    fit(recipe, tmp_path / "run", resume=True)
    fit(restoring, tmp_path / "whole")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "run"))


def test_a_sudden_rise_stops_the_run(restoring: PretrainRecipe, tmp_path: Path) -> None:
    wild = restoring.with_changes(
        {"optimiser": {"lr": 30.0, "clip": 0.0, "warmup": 0.9}, "training": {"steps": 400, "spike": 1.0}}
    )
    with pytest.raises(Stopped, match="rose suddenly"):
        fit(wild, tmp_path / "run")
    assert (tmp_path / "run" / STOPPED).is_file()


def test_a_run_stuck_at_word_frequencies_says_so(restoring: PretrainRecipe, tmp_path: Path) -> None:
    fit(restoring.with_changes({"optimiser": {"lr": 1e-9}}), tmp_path / "run")
    assert "stuck on the unigram plateau" in (tmp_path / "run" / "log.txt").read_text()


def test_a_run_that_breaks_through_says_so(restoring: PretrainRecipe, tmp_path: Path) -> None:
    recipe = restoring.with_changes({"training": {"steps": 300}, "optimiser": {"lr": 2e-2}})
    result = fit(recipe, tmp_path / "run")
    assert "broke through" in (tmp_path / "run" / "log.txt").read_text()
    assert result["through_at"] is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpus": {"shards": ""}}, "bertkit prepare"),
        ({"corpus": {"shards": "nowhere"}}, "no folder of shards"),
        ({"training": {"steps": 0}}, "--budget 1h"),
        ({"batch": {"length": 99}}, "99 tokens are beyond the 40 positions"),
        ({"model": {"start": "tny"}}, "'tiny'"),
        ({"model": {"options": {"layrs": 1}}}, "layers"),
        ({"optimiser": {"lr": 0.0}}, "lr must be above 0"),
    ],
)
def test_bad_options_are_named(
    restoring: PretrainRecipe, tmp_path: Path, changes: Changes, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fit(restoring.with_changes(changes), tmp_path / "run")


def test_another_recipe_is_refused_and_its_differences_listed(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted):
        fit(restoring, tmp_path / "run", listener=StopsAfter(3))
    other = restoring.with_changes({"objective": {"rate": 0.3}})
    with pytest.raises(UserError, match=r"objective\.rate: 0\.15, now 0\.3"):
        fit(other, tmp_path / "run", resume=True)


def test_shards_of_another_vocabulary_are_refused(
    restoring: PretrainRecipe, tmp_path: Path, tiny_model: Path
) -> None:
    on = replace(restoring, model=ModelRecipe(start=str(tiny_model)))
    with pytest.raises(UserError, match="not the one that cut"):
        fit(on, tmp_path / "run")


def test_a_shard_cut_short_is_refused(restoring: PretrainRecipe, tmp_path: Path) -> None:
    shard = Path(restoring.corpus.shards) / "train-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(UserError, match="cut short"):
        fit(restoring, tmp_path / "run")


def test_an_altered_shard_is_refused(restoring: PretrainRecipe, tmp_path: Path) -> None:
    shard = Path(restoring.corpus.shards) / "train-00001.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"train-00001\.safetensors changed"):
        fit(restoring, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("heldout", [0, 3])
def test_one_document_with_pairs_is_refused(
    restoring: PretrainRecipe, tmp_path: Path, make_shards: Callable[..., Path], heldout: int
) -> None:
    shards = make_shards(tmp_path / "one", documents=1, shards=1, heldout=heldout)
    recipe = restoring.with_changes({"corpus": {"shards": str(shards)}})
    with pytest.raises(UserError, match="--pairs none"):
        fit(recipe, tmp_path / "run")
    result = fit(recipe.with_changes({"objective": {"pairs": "none"}}), tmp_path / "run")
    assert (result["heldout"] is None) == (heldout == 0)


def test_a_model_to_go_on_from_keeps_its_options(restoring: PretrainRecipe, tmp_path: Path) -> None:
    fit(restoring, tmp_path / "one")
    on = restoring.with_changes({"model": {"start": str(tmp_path / "one")}})
    with pytest.raises(UserError, match="cannot be changed"):
        fit(on, tmp_path / "two")
