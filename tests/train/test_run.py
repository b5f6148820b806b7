"""What both objectives gain from one class of run: a budget, many processes, seeds, patience."""

import signal
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from trained import StopsAfter, equal, fit, records

from bertkit import api, load
from bertkit.checkpoint.card import read_note
from bertkit.errors import UserError
from bertkit.health.watch import Evaluation
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import Finding
from bertkit.train.closing import LEAVING
from bertkit.train.labelled import Classification
from bertkit.train.listener import Listener
from bertkit.train.loop import Interrupted
from bertkit.train.objective import Evaluated, Outcome, Progress, Source
from bertkit.train.processes import Processes, ProcessLost
from bertkit.train.run import train_seed
from bertkit.train.seedfolder import Place, Stopped


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at the clock takes a tenth of a second."""
    looks = count()
    monkeypatch.setattr("time.monotonic", lambda: next(looks) / 10)


@pytest.mark.usefixtures("slow_clock")
def test_a_budget_of_fine_tuning_is_shared_by_its_seeds_and_its_rate_follows_the_clock(
    toy: Recipe, tmp_path: Path
) -> None:
    timed = toy.with_changes({"training": {"budget": 14 / 60, "seeds": 2, "epochs": 1, "save_every": 99.0}})
    result = fit(timed, tmp_path / "run")
    for seed in (0, 1):
        steps = records(tmp_path / "run" / f"seed-{seed}", "train")
        rates = [step["learning_rate"] for step in steps]
        assert len(rates) > 9, "an epoch has nine steps, and does not end it"
        assert rates[-1] < 0.5 * max(rates)
        scored = [each["step"] for each in records(tmp_path / "run" / f"seed-{seed}", "evaluation")]
        assert scored == sorted({*range(9, len(rates) + 1, 9), len(rates)})
    assert [seed["seed"] for seed in result["seeds"]] == [0, 1]


@pytest.mark.usefixtures("slow_clock")
def test_a_budget_that_was_interrupted_spends_what_is_left(toy: Recipe, tmp_path: Path) -> None:
    timed = toy.with_changes({"training": {"budget": 10 / 60, "save_every": 0.0}})
    with pytest.raises(KeyboardInterrupt):
        fit(timed, tmp_path / "run", listener=StopsAfter(8))
    before = records(tmp_path / "run", "train")[-1]["learning_rate"]
    fit(timed, tmp_path / "run", resume=True)
    rates = [step["learning_rate"] for step in records(tmp_path / "run", "train")]
    assert max(rates[8:]) <= max(before, timed.optimiser.lr)
    assert rates[-1] < min(rates[3:8])


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_budget_is_of_the_whole_command_from_its_imports_to_its_page(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seeds: int
) -> None:
    """Every look at the clock takes a tenth of a second, importing took eight, and the page takes three."""
    now = 8.0

    def look() -> float:
        nonlocal now
        now += 0.1
        return now

    def page(out: Path) -> None:
        nonlocal now
        assert list(out.rglob("metrics.jsonl"))
        now += 3.0

    monkeypatch.setattr("time.monotonic", look)
    timed = toy.with_changes({"training": {"budget": 50 / 60, "seeds": seeds, "save_every": 99.0}})
    fit(timed, tmp_path / "run", began=0.0, page=page)
    page(tmp_path / "run")
    leaving = LEAVING * 8
    assert 44 < now + leaving < 50


def test_a_budget_of_no_time_and_one_beside_steps_are_refused(toy: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="used up before the first step"):
        fit(toy.with_changes({"training": {"budget": 1e-9}}), tmp_path / "run")
    with pytest.raises(UserError, match="one of steps and budget"):
        toy.with_changes({"training": {"budget": 1.0, "steps": 3}})


def test_seeds_of_pretraining_are_runs_of_their_own_and_the_best_is_kept(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    several = restoring.with_changes({"training": {"seeds": 2, "seed": 4, "save_every": 0.0}})
    whole = fit(several, tmp_path / "whole")
    losses = [seed["heldout"]["mlm_loss"] for seed in whole["seeds"]]
    assert [seed["seed"] for seed in whole["seeds"]] == [4, 5]
    assert whole["best_seed"] == 4 + losses.index(min(losses))
    assert whole["heldout"]["mlm_loss"] == min(losses)
    assert whole["heldout_loss"] == pytest.approx(sum(losses) / 2)
    low, high = whole["interval"]
    assert low < whole["heldout_loss"] < high
    assert equal(tmp_path / "whole", tmp_path / "whole" / f"seed-{whole['best_seed']}")
    assert load(tmp_path / "whole").fill("the [MASK] was")
    # One alone is the same run, and an interrupted second one goes on where it was.
    fit(restoring.with_changes({"training": {"seed": 5}}), tmp_path / "one")
    assert equal(tmp_path / "one", tmp_path / "whole" / "seed-5")
    with pytest.raises(KeyboardInterrupt):
        fit(several, tmp_path / "cut", listener=StopsAfter(7, seed=2))
    resumed = fit(several, tmp_path / "cut", resume=True)
    assert equal(tmp_path / "whole" / "seed-5", tmp_path / "cut" / "seed-5")
    assert resumed["heldout_loss"] == whole["heldout_loss"]


def test_patience_ends_a_pretraining_with_its_last_model(restoring: PretrainRecipe, tmp_path: Path) -> None:
    still = {"optimiser": {"lr": 1e-12}, "training": {"patience": 1, "steps": 40, "evaluations": 10}}
    result = fit(restoring.with_changes(still), tmp_path / "run")
    assert result["steps"] < 40
    assert result["heldout"]["step"] == result["steps"]
    with pytest.raises(UserError, match="patience needs held-out text"):
        restoring.with_changes({"training": {"patience": 1, "heldout_tokens": 0}})


def test_a_seed_that_is_stopped_stops_no_other_and_pages_of_several_seeds_are_written(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = restoring.with_changes({"training": {"seeds": 2, "steps": 4}})

    def train_but_the_first(source: Source, place: Place, began: float) -> Outcome:
        if place.seed == 0:
            raise Stopped("The loss of seed 0 is no number.")
        return train_seed(source, place, began)

    with monkeypatch.context() as patch:
        patch.setattr("bertkit.train.start.train_seed", train_but_the_first)
        with pytest.raises(Stopped, match=r"^The loss of seed 0 is no number\.$"):
            api.pretrain(recipe=several, out=tmp_path / "run")
    second = (tmp_path / "run" / "seed-1" / "seed.json").stat().st_mtime_ns
    result = api.pretrain(recipe=several, out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "seed-1" / "seed.json").stat().st_mtime_ns == second
    assert f"{result['heldout']['mlm_loss']:.3f}" in (tmp_path / "run" / "report.html").read_text()


class EvaluatedAt(Listener):
    """Notes the step of each evaluation."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def evaluated(self, step: int, figures: object, best: bool) -> None:
        self.steps.append(step)


class Intruder(Listener):
    """Tries, in the midst of the run, to write to it, too."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        self.recipe, self.out, self.refused = recipe, out, 0

    def evaluated(self, step: int, figures: object, best: bool) -> None:
        for way in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(UserError, match=rf"Another process .* trains in {self.out};"):
                fit(self.recipe, self.out, **way)
            self.refused += 1


def test_a_run_has_one_writer_and_a_process_lost_in_an_evaluation_loses_no_evaluation(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intruder = Intruder(toy, tmp_path / "whole")
    fit(toy, tmp_path / "whole", listener=intruder)
    assert intruder.refused == 2 * toy.training.epochs
    with monkeypatch.context() as patch:
        calls = count(1)

        def lost_in_the_second(self: Processes, numbers: object) -> object:
            if next(calls) == 2:
                raise ProcessLost("Another process of this run is gone.")
            return numbers

        patch.setattr(Processes, "together", lost_in_the_second)
        saving = toy.with_changes({"training": {"save_every": 0.0}})
        with pytest.raises(ProcessLost, match=r"ends after step 18; the last checkpoint is step-00000017"):
            fit(saving, tmp_path / "cut")
    fit(saving, tmp_path / "cut", resume=True)
    assert records(tmp_path / "cut", "evaluation") == records(tmp_path / "whole", "evaluation")
    assert equal(tmp_path / "cut", tmp_path / "whole")


def test_what_the_evaluation_of_the_last_step_finds_ends_the_seed_too(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> list[Finding]:
        return [Finding("inputs_alike", "grave", "likely", "seen", "means")]

    monkeypatch.setattr("bertkit.train.watching.Watching.evaluated", lost)
    short, heard = {"training": {"steps": 5, "on_collapse": "stop"}}, EvaluatedAt()
    result = fit(toy.with_changes(short), tmp_path / "run", listener=heard)
    assert (heard.steps, result["seeds"][0]["collapse"]) == ([5], "inputs_alike")


class StopsInEvaluation(Listener):
    """Sends this process a signal in an evaluation, or fails there as if it were killed."""

    def __init__(self, step: int, *, killed: bool = False) -> None:
        self.step, self.killed = step, killed

    def evaluated(self, step: int, figures: object, best: bool) -> None:
        if step == self.step:
            if self.killed:
                raise MemoryError
            signal.raise_signal(signal.SIGINT)


def test_a_signal_in_the_last_evaluation_is_heard_and_nothing_is_lost(toy: Recipe, tmp_path: Path) -> None:
    short = toy.with_changes({"training": {"steps": 5}})
    with pytest.raises(Interrupted):
        fit(short, tmp_path / "run", listener=StopsInEvaluation(5))
    assert fit(short, tmp_path / "run", resume=True)["seeds"][0]["steps"] == 5


def test_a_model_of_a_stretch_that_was_lost_is_not_kept(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best evaluation came after the last checkpoint, and does not come again."""
    evaluate, sign = Classification.evaluate, 1

    def by_step(self: Classification, progress: Progress) -> Evaluated:
        return replace(evaluate(self, progress), value=float(sign * progress.step))

    monkeypatch.setattr(Classification, "evaluate", by_step)
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(toy, run, listener=StopsAfter(10))
    with pytest.raises(MemoryError):
        fit(toy, run, resume=True, listener=StopsInEvaluation(27, killed=True))
    sign = -1
    result = fit(toy, run, resume=True)
    assert read_note(run / "model")["steps"] == 9 * result["seeds"][0]["best_epoch"] == 18


def test_no_process_has_a_gradient_of_what_none_trains() -> None:
    class OneOfTwo(Processes):
        """The other one gives what this one gives, and a gradient of the second parameter."""

        def add(self, tensor: torch.Tensor) -> None:
            if len(tensor) == 6:
                tensor[4] += 1

    used, elsewhere, unused = (torch.nn.Parameter(torch.ones(size)) for size in (2, 3, 5))
    used.grad = torch.full((2,), 7.0)
    OneOfTwo(0, 2).add_gradients([used, elsewhere, unused], 1.0, 3, False)
    assert used.grad.tolist() == [7.0, 7.0]
    assert elsewhere.grad is not None
    assert elsewhere.grad.tolist() == [0.0] * 3
    assert unused.grad is None


def test_of_equal_scores_the_one_of_lower_loss_is_the_best_and_patience_does_not_count_it() -> None:
    progress = Progress()
    best = []
    for step, (value, loss) in enumerate([(0.5, 1.0), (0.5, 0.4), (0.5, 0.6), (0.4, 0.1), (0.6, 2.0)], 1):
        progress.step = step
        found = Evaluated({}, Evaluation(step=step, train_loss=1.0, loss=loss), value)
        best.append((progress.evaluated(found, doubted=False), progress.best_step, progress.without_gain))
    assert best == [(True, 1, 0), (True, 2, 1), (False, 2, 2), (False, 2, 3), (True, 5, 0)]
