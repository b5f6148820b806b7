"""What can go wrong while a run trains: each check finds its fault, and all are silent on a healthy run."""

import json
import math
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bertkit.config.model import ModelConfig
from bertkit.health.checks import COLLAPSES, WATCH_CHECKS, check_during, replayed
from bertkit.health.signal import doubtful
from bertkit.health.steps import loss_rises
from bertkit.health.watch import SMOOTHING, Peak, Setting, Watch, Watched
from bertkit.health.watch import Evaluation as WatchedEvaluation
from bertkit.recipe import OptimiserRecipe, PretrainRecipe, Recipe, TrainingRecipe
from bertkit.runs.findings import Finding
from bertkit.runs.history import Evaluation, Health, RunHistory, Scores, Step, Track
from bertkit.tasks.classify import CLASSIFY

PRIOR = 0.607
ARTICLE = OptimiserRecipe(name="adam", lr=1e-3, weight_decay=0.0, clip=0.0, warmup=0.0, schedule="constant")
MODEL = ModelConfig(vocabulary_size=99, layers=2, hidden_size=12, heads=3, feedforward_size=20)
SETTING = Setting(phase="finetune", optimiser=ARTICLE, model=MODEL, baseline_loss=PRIOR)


def look(step: int, bottom: float = 0.2, head: float = 1.0, **changes) -> Health:
    seen = {
        "learning_rate": 1e-3,
        "gradient_norms": {"embeddings": bottom, "layer 1": bottom, "layer 2": 0.5, "head": head},
        "update_ratios": {"embeddings": 1e-3, "layer 1": 1e-3, "layer 2": 1e-3, "head": 2e-3},
        "cls_spread": 0.1,
        "probability_spread": 0.02,
        "majority_share": 1.0,
        "attention_entropy": {"layer 1": 0.9, "layer 2": 0.7},
        "dead_units": {"layer 1": 0.1, "layer 2": 0.4, "pooler": 0.0},
    }
    return Health(step=step, **seen | changes)


def remembering(watched: Watched, **past) -> Watched:
    return replace(watched, past=replace(watched.past, **past))


def at(
    step: int, *looks: Health, loss: float = 0.63, noise: float = 0.0, setting=SETTING, broke=None, **past
) -> Watched:
    """A run of 400 steps; `past` is what is remembered of it beside the looks."""
    peaks = {name: Peak(1, 1.8 if "l" in name else 2.0) for name in looks[0].gradient_norms} if looks else {}
    fraction = past.pop("fraction", step / 400)
    variance = noise**2 * (1 + SMOOTHING) / (1 - SMOOTHING)
    watch = Watch(steps=step, smoothed=loss, variance=variance, looks=list(looks), peaks=peaks, **past)
    return watch.at(setting, step, fraction, broke)


def evaluation(step: int, **changes) -> WatchedEvaluation:
    given = {"train_loss": 0.61, "loss": 0.62, "one_answer": True, "beats_majority": False}
    return WatchedEvaluation(step=step, **given | changes)


HEALTHY = at(100, look(1), look(50), look(100))
PRETRAINING = at(
    30,
    look(1),
    look(20),
    loss=6.9,
    setting=replace(SETTING, phase="pretrain", baseline_loss=6.9, uniform=9.0, spike=2.0),
    fraction=0.3,
    evaluations=(evaluation(30, loss=6.8),),
)
DURING = {check.name: check for check in WATCH_CHECKS}
FAULTS: dict[str, Watched] = {
    "not_a_number": at(3, broke=(math.nan, math.inf)),
    "loss_rose": at(90, look(1), loss=0.8, lowest=0.3, risen_at=77),
    "gradient_vanished": at(20, look(1), look(10, 1e-3), look(20, 5e-4)),
    "inputs_alike": at(100, look(1), look(50, cls_spread=5e-4), look(100, cls_spread=4e-5)),
    "weights_stand_still": at(
        50, look(1), *(look(step, update_ratios={"layer 1": 1e-8, "head": 3e-7}) for step in (20, 50))
    ),
    "dead_units": at(
        50, look(1), *(look(step, dead_units={"layer 1": 0.2, "layer 2": 0.97}) for step in (20, 50))
    ),
    "attention_at_one_place": at(
        50, look(1), *(look(step, attention_entropy={"layer 1": 0.01, "layer 2": 0.7}) for step in (20, 50))
    ),
    "stuck_at_baseline_loss": at(300, look(1), loss=0.61, evaluations=(evaluation(280), evaluation(300))),
    "overfitting": at(
        260,
        look(1),
        loss=0.1,
        evaluations=(evaluation(130), evaluation(260, train_loss=0.1, loss=1.4, one_answer=False)),
    ),
    "plateau": PRETRAINING,
    "heldout_rises": remembering(
        PRETRAINING,
        through_at=10,
        evaluations=tuple(evaluation(step, loss=loss) for step, loss in ((10, 4.0), (20, 4.2), (30, 4.3))),
    ),
}  # fmt: skip


def heard(name: str, watched: Watched) -> Finding | None:
    return DURING[name].find("during", watched, watched.setting.phase)


def test_every_check_has_a_fault_here() -> None:
    assert FAULTS.keys() == DURING.keys()
    assert set(COLLAPSES) < DURING.keys()


@pytest.mark.parametrize("name", DURING)
def test_a_check_finds_its_fault_and_nothing_in_a_healthy_run(name: str) -> None:
    found = heard(name, FAULTS[name])
    assert found is not None
    assert found.check == name
    assert heard(name, HEALTHY) is None
    for change in found.changes:  # Keys that recipes have, and values that they take.
        section, _, key = change.key.partition(".")
        if change.key and not key.startswith("options."):
            Recipe().with_changes({section: {key: change.value}})


@pytest.mark.parametrize("name", [n for n in DURING if n not in ("stuck_at_baseline_loss", "overfitting")])
def test_changes_of_what_both_kinds_of_run_are_told_are_keys_of_both(name: str) -> None:
    found = heard(name, FAULTS[name])
    assert found is not None
    for change in found.changes:
        section, _, key = change.key.partition(".")
        if change.key and not key.startswith("options."):
            PretrainRecipe().with_changes({section: {key: change.value}})


def test_the_articles_collapse_is_told_with_its_cause_and_what_to_change() -> None:
    hot = look(1, 1.8, update_ratios={"layer 1": 1e-2})
    found = heard("gradient_vanished", at(20, hot, look(10, 1e-3), look(20, 3e-8)))
    assert found is not None
    assert found.sureness == "likely"
    assert found.line == (
        "The gradient of layer 1 fell from 1.8 in step 1 to 3e-08 in step 20, at lr 0.001 without warm-up. "
        "The run has collapsed: the learning rate is too high for post-norm layers without warm-up. The "
        "first updates have destroyed the model (Xiong et al., arXiv 2002.04745). "
        "What may help: --set optimiser.lr=0.0001 with --set optimiser.warmup=0.1 with "
        "--set optimiser.clip=1."
    )


@pytest.mark.parametrize(
    "watched",
    [
        at(10, look(1), look(5, 1e-4), look(10, 1e-5)),  # too early
        at(20, look(1), look(10, 0.3), look(20, 1e-5)),  # one look
        at(200, look(1), look(150, 1e-4), look(200, 1e-5), loss=0.02),  # all is learnt
        at(200, look(1), look(150, 1e-4, head=1e-4), look(200, 1e-5, head=1e-5)),  # the head's is gone too
    ],
    ids=["early", "once", "learnt", "everywhere"],
)
def test_a_small_gradient_alone_is_no_collapse(watched: Watched) -> None:
    assert check_during(watched, []) == []


def test_inputs_that_begin_alike_are_no_collapse() -> None:
    first = look(1, cls_spread=6e-4)
    alike = at(60, first, look(10, cls_spread=5e-4), look(50, cls_spread=5e-4))
    assert check_during(alike, []) == []
    copies = [look(step, cls_spread=0.0) for step in (1, 10, 50)]
    assert check_during(at(60, *copies), []) == []


def run_of(log: dict[str, Any]) -> RunHistory[Recipe]:
    """A real run whose every epoch was scored."""
    per_epoch = log["per_epoch"]
    steps = [Step(step, step / per_epoch, loss) for step, loss in enumerate(log["losses"], start=1)]
    scored = zip(log["train_losses"], log["dev_losses"], log["one_answer"], strict=True)
    evaluations = [
        Evaluation(
            step=per_epoch * epoch,
            place=epoch,
            loss=loss,
            train_loss=train_loss,
            score=0.0 if same else 0.05,
            low=0.0 if same else -0.05,
            high=0.0 if same else 0.15,
        )
        for epoch, (train_loss, loss, same) in enumerate(scored, start=1)
    ]
    recipe = Recipe().with_changes({"training": {"epochs": len(evaluations)}, "model": {"start": "tiny"}})
    scores = Scores.of(CLASSIFY, "mcc", 0.05, (-0.05, 0.15), 527, {"majority": 0.0})
    return RunHistory(recipe, [Track(steps=steps, evaluations=evaluations)], scores, log["prior"])


LOGS = Path(__file__).parent / "logs"
"""Four epochs of runs on CoLA, of the article's model 128 wide with changes of the study why-stuck: some
that had been told wrongly that they are stuck, or nearly so, and some that were stuck indeed."""


@pytest.mark.parametrize("path", sorted(LOGS.iterdir()), ids=lambda path: path.stem)
def test_of_real_runs_those_that_stay_on_the_prior_are_told_and_those_that_leave_it_late_are_not(
    path: Path,
) -> None:
    log = json.loads(path.read_text())
    run = run_of(log)
    found = [finding.check for _, finding in replayed(run, run.track)]
    assert found == ([] if log["left_the_prior"] else ["stuck_at_baseline_loss"])


STUCK = FAULTS["stuck_at_baseline_loss"]


@pytest.mark.parametrize(
    "watched",
    [
        replace(STUCK, fraction=0.65),  # early
        replace(STUCK, step=310),  # in the middle of an epoch
        remembering(STUCK, smoothed=0.57),  # it falls by now
        remembering(STUCK, evaluations=(evaluation(280, one_answer=False), evaluation(300))),
        remembering(
            STUCK, evaluations=(evaluation(280), evaluation(300, train_loss=0.6))
        ),  # 0.988 of the prior
        remembering(STUCK, evaluations=(evaluation(280), evaluation(300, train_loss=math.nan))),
    ],
    ids=["early", "between", "falling", "answers", "below", "unknown"],
)
def test_who_may_have_begun_to_learn_is_not_said_to_be_stuck(watched: Watched) -> None:
    assert check_during(STUCK, [])
    assert check_during(watched, []) == []


def test_who_is_surely_wrong_all_the_time_is_stuck_as_well() -> None:
    wild = remembering(
        STUCK,
        smoothed=0.9,
        evaluations=(evaluation(280, train_loss=0.8), evaluation(300, train_loss=0.9)),
    )
    (finding,) = check_during(wild, [])
    assert "0.900, is not below the baseline loss (0.607) after 75% of the run" in finding.seen


def test_a_finding_is_made_once_and_one_collapse_is_enough() -> None:
    told: list[str] = []
    both = at(100, look(1), look(50, 1e-4, cls_spread=5e-4), look(100, 1e-5, cls_spread=4e-5), lowest=0.55)
    assert [finding.check for finding in check_during(both, told)] == ["gradient_vanished"]
    assert check_during(both, told) == []


def test_what_is_to_be_gone_back_to_shows_no_sign_of_a_collapse() -> None:
    assert not doubtful(HEALTHY)
    assert doubtful(at(100, look(1), look(100, 5e-3)))
    assert doubtful(at(100, look(1), look(100, cls_spread=5e-3)))
    assert doubtful(at(100, look(1), look(100), lowest=0.45))
    assert not doubtful(at(100, look(1), look(100), lowest=0.45, noise=0.02))
    assert not doubtful(at(100, look(1, cls_spread=7e-4), look(100, cls_spread=2e-3)))  # it has grown
    assert not doubtful(at(100, look(1), look(100, 5e-3), loss=0.1))


def answering_the_shares(majority: float, rows: int, seed: int) -> Iterator[float]:
    """Losses of batches of one who knows how frequent two labels are and nothing else."""
    chance = random.Random(seed)
    while True:
        right = sum(chance.random() < majority for _ in range(rows))
        yield -(right * math.log(majority) + (rows - right) * math.log(1 - majority)) / rows


def calibrated(level: float, rows: int, seed: int) -> Iterator[float]:
    """Losses of batches of one who has learnt: a few rows cost much, most cost little."""
    chance = random.Random(seed)
    while True:
        yield sum(chance.gammavariate(0.2, 5 * level) for _ in range(rows)) / rows


def watched_over(losses: Iterator[float], setting: Setting, steps: int, watch: Watch) -> Iterator[Watched]:
    """The run after each step."""
    watch.looked(look(1))
    for _ in range(steps):
        watch.stepped(next(losses), setting.rise)
        yield watch.at(setting, watch.steps, 0.5)


@pytest.mark.parametrize(("majority", "rows"), [(0.7, 2), (0.85, 4), (0.9, 16), (0.95, 32), (0.99, 4)])
def test_noise_about_the_labels_entropy_is_no_collapse(majority: float, rows: int) -> None:
    prior = -majority * math.log(majority) - (1 - majority) * math.log(1 - majority)
    setting = replace(SETTING, baseline_loss=prior)
    run = list(watched_over(answering_the_shares(majority, rows, seed=0), setting, 1_500, Watch()))
    assert min(now.past.lowest for now in run) < prior / 1.2
    assert max(now.past.smoothed for now in run[50:]) > 1.1 * prior
    assert [now.step for now in run if loss_rises(now) or doubtful(now)] == []


def test_what_was_learnt_and_is_lost_is_told_though_batches_are_noisy() -> None:
    setting, watch = replace(SETTING, baseline_loss=0.69), Watch()
    learnt = list(watched_over(calibrated(0.34, 8, seed=0), setting, 1_500, watch))
    assert any(now.past.risen_at for now in learnt)
    assert [now.step for now in learnt if loss_rises(now) or doubtful(now)] == []
    lost = list(watched_over(calibrated(1.0, 8, seed=1), setting, 40, watch))
    assert [now.step for now in lost if loss_rises(now)]
    assert doubtful(next(now for now in lost if loss_rises(now)))


def test_an_evaluation_shows_what_was_learnt_where_the_training_loss_is_too_noisy_to() -> None:
    lost = at(90, loss=0.9, lowest=0.3, noise=0.05)
    good = evaluation(60, loss=0.5, one_answer=False, beats_majority=True)
    assert loss_rises(remembering(lost, lowest=0.38)) is None
    assert loss_rises(remembering(lost, lowest=0.38, evaluations=(good,)))
    assert loss_rises(remembering(lost, lowest=0.41, evaluations=(good,))) is None


def test_a_run_that_goes_on_knows_its_noise() -> None:
    losses, whole, half = list(zip(range(80), calibrated(0.34, 8, seed=0), strict=False)), Watch(), Watch()
    for step, loss in losses:
        whole.stepped(loss, 0.2)
        half.stepped(loss, 0.2)
        if step == 40:
            half = Watch(**json.loads(json.dumps(asdict(half))))
    assert half == whole
    differences = [(b - a) ** 2 / 2 for (_, a), (_, b) in pairwise(losses)]
    assert whole.variance == pytest.approx(sum(differences) / 79)
    assert whole.noise == pytest.approx(math.sqrt(whole.variance * 0.05 / 1.95))


def test_the_smoothed_loss_is_watched_for_a_rise_that_lasts() -> None:
    watch = Watch()
    assert not any(watch.stepped(0.5, spike=0.2) for _ in range(60))
    assert watch.smoothed == pytest.approx(0.5)
    assert not watch.stepped(1.5, spike=0.2)  # one spike is smoothed away
    assert watch.risen_at == 61
    assert not watch.stepped(0.5, spike=0.2)
    assert watch.risen_at is None
    assert any(watch.stepped(1.5, spike=0.2) for _ in range(10))
    assert watch.risen_at == 63
    assert not any(watch.stepped(9.0, spike=0.0) for _ in range(10))


def test_the_first_look_and_the_newest_few_are_remembered_with_the_peaks() -> None:
    watch = Watch()
    for step in range(1, 10):
        watch.looked(look(step, bottom=3.0 if step == 4 else 1 / step))
    assert [look.step for look in watch.looks] == [1, 6, 7, 8, 9]
    assert watch.peaks["layer 1"] == Peak(4, 3.0)
    assert watch.looks[0] == look(1, bottom=1.0)


@pytest.mark.parametrize(
    ("training", "longer"),
    [
        (TrainingRecipe(epochs=20), {"training.epochs": 40}),
        (TrainingRecipe(epochs=3, steps=260), {"training.epochs": 6, "training.steps": 520}),
    ],
)
def test_who_is_stuck_is_told_to_take_longer_than_it_was_to(
    training: TrainingRecipe, longer: dict[str, int]
) -> None:
    run = FAULTS["stuck_at_baseline_loss"]
    (finding,) = check_during(replace(run, setting=replace(SETTING, training=training)), [])
    assert {change.key: change.value for change in finding.changes if change.key} == longer


def test_who_began_with_trained_weights_is_not_told_to() -> None:
    trained = replace(SETTING, trained=True)
    (finding,) = check_during(replace(FAULTS["overfitting"], setting=trained), [])
    assert [str(change) for change in finding.changes] == ["more rows"]


def test_a_rate_that_is_far_too_high_is_not_just_divided() -> None:
    wild = replace(SETTING, optimiser=replace(ARTICLE, lr=1.0), model=replace(MODEL, norm="pre"))
    (finding,) = check_during(replace(FAULTS["not_a_number"], setting=wild), [])
    assert finding.changes[0].value == 5e-4


def test_a_run_of_few_updates_is_not_said_to_be_stuck() -> None:
    few = remembering(replace(STUCK, step=72), evaluations=(evaluation(60), evaluation(72)))
    assert check_during(few, []) == []


def test_the_loss_before_the_first_step_is_no_plateau() -> None:
    assert heard("plateau", PRETRAINING) is not None
    assert heard("plateau", remembering(PRETRAINING, evaluations=(evaluation(0, loss=9.0),))) is None


def test_a_record_has_what_was_measured_and_reads_back() -> None:
    seen = Health(step=7, epoch=0.5, smoothed_loss=0.0, gradient_norms={"layer 1": 0.25, "head": 1.5})
    record = seen.to_record()
    assert record == {
        "step": 7, "epoch": 0.5, "smoothed_loss": 0.0, "gradient_norms": {"layer 1": 0.25, "head": 1.5},
    }  # fmt: skip
    line = json.loads(json.dumps({"event": "health", **record, "added_later": 3}))
    assert Health.from_record(line) == seen


@pytest.mark.parametrize(("loss", "through_at"), [(math.nan, None), (1.7, None), (1.69, 3)])
def test_only_a_number_below_the_plateau_is_through_it(loss: float, through_at: int | None) -> None:
    watch = Watch()
    assert watch.passed(3, loss, 2.0) == (through_at is not None)
    assert watch.through_at == through_at
