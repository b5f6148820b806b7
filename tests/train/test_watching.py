"""A run is watched while it trains: nothing of it changes, and what collapses is told of or begun again."""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from trained import equal, fit, records

from bertkit.errors import UserError
from bertkit.health.watch import Watched
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.checkpoints import Checkpoints
from bertkit.runs.findings import Change, Finding, read_findings
from bertkit.runs.history import Health
from bertkit.runs.restarts import RESTARTS, Restart, changed, read_restarts
from bertkit.train import watching
from bertkit.train.listener import Listener
from bertkit.train.loop import StepRecord

LOST = Finding(
    "gradient_vanished",
    "grave",
    "likely",
    "It fell.",
    "It has collapsed.",
    (Change("optimiser.lr", 1e-3), Change("model.options.norm", "pre")),
)


class Told(Listener):
    """Keeps what was found and told, and stops the run in the given steps."""

    def __init__(self, *stops: int) -> None:
        self.stops = list(stops)
        self.findings: list[Finding] = []
        self.sentences: list[str] = []

    def found(self, findings: Sequence[Finding]) -> None:
        self.findings += [finding for finding in findings if finding == LOST]

    def told(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def stepped(self, record: StepRecord, fraction: float, figures: Any) -> None:
        if self.stops and record.step == self.stops[0]:
            self.stops.pop(0)
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def watched(toy: Recipe) -> Recipe:
    """36 steps, of which 1, 2, 5, 10, 20 and 30 are looked at."""
    columns = {"text": "text", "label": "label", "kind": "classify"}
    head = {"pooling": "pooler"}
    return toy.with_changes({"task": columns, "head": head, "training": {"watch_every": 10, "epochs": 4}})


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collapse at step 30 of every attempt with the rate that the recipe began with."""

    def plant(now: Watched, told: list[str]) -> list[Finding]:
        if now.step != 30 or now.setting.optimiser.lr != 5e-3 or LOST.check in told:
            return []
        told.append(LOST.check)
        return [LOST]

    monkeypatch.setattr(watching, "check_during", plant)


def test_a_watched_run_is_bit_for_bit_the_one_that_is_not(toy: Recipe, tmp_path: Path) -> None:
    toy = toy.with_changes({"optimiser": {"clip": 0.2}})
    for name, every in (("never", -1), ("always", 1)):
        fit(toy.with_changes({"training": {"watch_every": every}}), tmp_path / name)
    assert equal(tmp_path / "never", tmp_path / "always")
    assert records(tmp_path / "never", "train") == records(tmp_path / "always", "train")
    assert records(tmp_path / "never", "health") == []
    seen = [Health.from_record(record) for record in records(tmp_path / "always", "health")]
    assert [look.step for look in seen] == list(range(1, 28))
    layers = ["embeddings", "layer 1", "pooler", "head"]
    assert all(list(look.gradient_norms) == list(look.update_ratios) == layers for look in seen)
    assert all(0 < ratio < 1 for look in seen for ratio in look.update_ratios.values())
    assert all(look.baseline_loss and look.epoch == look.step / 9 and look.cls_spread for look in seen)
    # The norm of all layers together is the one in the log of steps, before it was clipped.
    norms = [record["gradient_norm"] for record in records(tmp_path / "always", "train")]
    whole = [sum(norm**2 for norm in look.gradient_norms.values()) ** 0.5 for look in seen]
    assert whole == pytest.approx(norms, rel=1e-4)
    assert max(norms) > toy.optimiser.clip
    assert seen[9].heldout_gap is not None


def test_the_first_steps_are_looked_at_and_then_as_often_as_is_cheap(toy: Recipe, tmp_path: Path) -> None:
    fit(toy, tmp_path / "run")
    looks = records(tmp_path / "run", "health")
    assert [look["step"] for look in looks][:5] == [1, 2, 5, 10, 20]
    assert ["cls_spread" in look for look in looks][:4] == [True, False, False, True]


@pytest.mark.usefixtures("planted")
def test_a_collapse_is_told_at_once_and_once_and_the_run_goes_on(watched: Recipe, tmp_path: Path) -> None:
    told = Told(33)
    with pytest.raises(KeyboardInterrupt):
        fit(watched, tmp_path / "run", listener=told)
    result = fit(watched, tmp_path / "run", listener=told, resume=True)
    assert told.findings == [LOST]
    entries = [entry for entry in read_findings(tmp_path / "run") if entry["moment"] == "watch"]
    assert [(entry["step"], entry["check"]) for entry in entries] == [(30, "gradient_vanished")]
    assert LOST.line in (tmp_path / "run" / "log.txt").read_text()
    assert result["seeds"][0]["steps"] == 36


@pytest.mark.usefixtures("planted")
def test_a_collapse_may_end_the_seed(watched: Recipe, tmp_path: Path) -> None:
    stopping = watched.with_changes({"training": {"on_collapse": "stop"}})
    result = fit(stopping, tmp_path / "run")
    seed = result["seeds"][0]
    assert (seed["steps"], seed["status"], seed["collapse"]) == (30, "collapsed", "gradient_vanished")
    assert result["failed"] == 1
    assert (tmp_path / "run" / "model").is_dir()


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("stops", [(12, 30, 34), (29, 35)], ids=str)
def test_a_collapse_may_begin_the_seed_again_and_resuming_it_is_exact(
    watched: Recipe, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    again = watched.with_changes({"training": {"on_collapse": "restart"}})
    told = Told()
    whole = fit(again, tmp_path / "whole", listener=told)
    # The last evaluation before the collapse was after step 27; the model's norm is not for a restart.
    restart = {
        "step": 30,
        "check": "gradient_vanished",
        "seen": "It fell.",
        "change": {"optimiser.lr": 1e-3},
        "from_step": 27,
    }
    assert whole["seeds"][0]["restarts"] == [restart]
    assert told.sentences == ["Starting again from step 27 with optimiser.lr=0.001."]
    assert Recipe.from_toml(tmp_path / "whole" / "recipe.toml") == again
    card = json.loads((tmp_path / "whole" / "model" / "bertkit.json").read_text())
    if whole["seeds"][0]["best_epoch"] == 4:
        assert card["restarts"] == [restart]
    assert [line["step"] for line in records(tmp_path / "whole", "train")] == list(range(1, 37))
    assert [line["step"] for line in records(tmp_path / "whole", "train", "attempt-1.jsonl")] == list(
        range(1, 31)
    )
    rates = [line["learning_rate"] for line in records(tmp_path / "whole", "train")]
    assert rates[27] < rates[26] / 3
    assert list(Checkpoints(tmp_path / "whole", 1).by_step()) == [36]

    stopping = Told(*stops)
    for count in range(len(stops)):
        with pytest.raises(KeyboardInterrupt):
            fit(again, tmp_path / "cut", listener=stopping, resume=count > 0)
    fit(again, tmp_path / "cut", resume=True)
    assert equal(tmp_path / "whole", tmp_path / "cut")
    assert records(tmp_path / "whole", "train") == records(tmp_path / "cut", "train")
    assert records(tmp_path / "whole", "health") == records(tmp_path / "cut", "health")


def test_a_seed_begins_again_twice_and_then_goes_on(
    watched: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always(now: Watched, told: list[str]) -> list[Finding]:
        return [LOST] if now.step == 5 else []

    monkeypatch.setattr(watching, "check_during", always)
    again = watched.with_changes({"training": {"on_collapse": "restart", "epochs": 1}})
    result = fit(again, tmp_path / "run")
    seed = result["seeds"][0]
    assert [(restart["step"], restart["from_step"]) for restart in seed["restarts"]] == [(5, 0), (5, 0)]
    assert seed["steps"] == 9
    card = json.loads((tmp_path / "run" / "model" / "bertkit.json").read_text())
    assert card["restarts"] == seed["restarts"]
    assert "lr = 0.001" in card["recipe"]


def test_a_state_from_which_an_attempt_was_lost_is_not_begun_from_again(
    watched: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(now: Watched, told: list[str]) -> list[Finding]:
        return [LOST] if now.step == 30 else []

    monkeypatch.setattr(watching, "check_during", lost)
    again = watched.with_changes({"training": {"on_collapse": "restart"}})
    seed = fit(again, tmp_path / "run")["seeds"][0]
    assert [(restart["step"], restart["from_step"]) for restart in seed["restarts"]] == [(30, 27), (30, 0)]
    assert seed["steps"] == 36
    assert [line["step"] for line in records(tmp_path / "run", "train")] == list(range(1, 37))


def test_what_an_early_collapse_may_have_begun_in_is_not_gone_back_to(
    watched: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(now: Watched, told: list[str]) -> list[Finding]:
        return [LOST] if now.step == 20 and now.setting.optimiser.lr == 5e-3 else []

    monkeypatch.setattr(watching, "check_during", lost)
    again = watched.with_changes({"training": {"on_collapse": "restart"}})
    seed = fit(again, tmp_path / "run")["seeds"][0]
    # The dev rows were scored after steps 9 and 18, too early to know whether all was well.
    assert [(restart["step"], restart["from_step"]) for restart in seed["restarts"]] == [(20, 0)]


@pytest.mark.usefixtures("planted")
def test_another_attempt_compares_with_nothing_that_the_one_before_it_saw(
    watched: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Watched] = []
    plant = watching.check_during

    def remember(now: Watched, told: list[str]) -> list[Finding]:
        if now.setting.optimiser.lr != 5e-3:
            seen.append(now)
        return plant(now, told)

    monkeypatch.setattr(watching, "check_during", remember)
    fit(watched.with_changes({"training": {"on_collapse": "restart"}}), tmp_path / "run")
    assert [look.step for look in seen[0].past.looks] == [30]
    assert all(peak.step >= 30 for now in seen for peak in now.past.peaks.values())
    assert [evaluation.step for evaluation in seen[0].past.evaluations] == [9, 18, 27]


@pytest.mark.usefixtures("planted")
def test_pretraining_begins_again_from_its_last_good_checkpoint(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    class Sentences(Listener):
        def __init__(self) -> None:
            self.sentences: list[str] = []

        def told(self, sentence: str) -> None:
            self.sentences.append(sentence)

    again = restoring.with_changes(
        {"training": {"steps": 32, "watch_every": 10, "on_collapse": "restart", "save_every": 0.0}}
    )
    told = Sentences()
    result = fit(again, tmp_path / "run", listener=told)
    assert [(each["step"], each["from_step"]) for each in result["restarts"]] == [(30, 29)]
    assert "Starting again from step 29 with optimiser.lr=0.001." in told.sentences
    assert [line["step"] for line in records(tmp_path / "run", "train")] == list(range(1, 33))
    assert result["steps"] == 32


def test_restarts_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert read_restarts(tmp_path) == []
    (tmp_path / RESTARTS).write_text('{"restarts": [{"steps": 3}]}')
    with pytest.raises(UserError, match="--overwrite"):
        read_restarts(tmp_path)


def test_later_restarts_change_what_earlier_ones_changed() -> None:
    restarts = [
        Restart(5, "a", "", {"optimiser.lr": 1e-3, "optimiser.warmup": 0.1}),
        Restart(5, "a", "", {"optimiser.lr": 1e-4}),
    ]
    recipe = changed(Recipe(), restarts)
    assert (recipe.optimiser.lr, recipe.optimiser.warmup) == (1e-4, 0.1)
    assert changed(Recipe(), []) == Recipe()


def test_the_toy_run_hears_nothing(toy: Recipe, tmp_path: Path) -> None:
    fit(toy.with_changes({"training": {"epochs": 8, "watch_every": 10}}), tmp_path / "run")
    assert [entry for entry in read_findings(tmp_path / "run") if entry["moment"] == "watch"] == []
