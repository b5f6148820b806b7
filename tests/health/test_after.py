"""The checks of runs: each finds the fault that is planted, and says nothing of a healthy run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from bertkit.config.model import PRESETS, changed_preset
from bertkit.health.checks import CHECKS, LABELLED, UNLABELLED, check_after
from bertkit.health.steps import loss_rose
from bertkit.health.unlabelled import trend
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import Finding
from bertkit.runs.history import (
    ClassFound,
    Evaluation,
    Health,
    History,
    Outcome,
    RunHistory,
    Scores,
    Step,
    Track,
    last_train_loss,
)
from bertkit.tasks.classify import CLASSIFY

PRIOR = 0.607
"""Entropy of 30 and 70 %."""
EPOCHS = 4
STEPS = 25
"""An epoch."""


def names(run: History) -> list[str]:
    return [finding.check for finding in check_after(run)]


def seed_of(
    losses: Sequence[float],
    *,
    dev: Sequence[float] = (0.59, 0.55, 0.54, 0.56),
    scores: Sequence[float] = (0.1, 0.28, 0.33, 0.32),
    norm: Callable[[int], float] = lambda _: 1.5,
    pace: Callable[[int], float] = lambda _: 2_000.0,
    rate: Callable[[int], float] = lambda step: 1e-4 * (101 - step) / 100,
    width: float = 0.09,
    health: Sequence[Health] = (),
    status: str | None = "learned",
    seed: int = 0,
    noise: float = 0.05,
) -> Track:
    """A seed whose training loss goes, an epoch each, in a straight line between `losses`."""
    chance = random.Random(seed)
    steps = []
    for step in range(1, STEPS * (len(losses) - 1) + 1):
        epoch, share = divmod(step - 1, STEPS)
        level = losses[epoch] + (losses[epoch + 1] - losses[epoch]) * share / STEPS
        loss = level + chance.gauss(0, noise)
        steps.append(Step(step, step / STEPS, loss, rate(step), norm(step), pace(step)))
    evaluations = [
        Evaluation(
            step=STEPS * (i + 1),
            place=i + 1.0,
            loss=loss,
            train_loss=(losses[i] + losses[i + 1]) / 2,
            score=s,
            low=s - width,
            high=s + width,
        )
        for i, (loss, s) in enumerate(zip(dev, scores, strict=True))
    ]
    best = max(evaluations, key=lambda each: each.score)
    outcome = Outcome(best.score, status, best.place, 600.0) if status else None
    broke = next((step for step in steps if math.isnan(step.loss)), None)
    return Track(seed, steps, evaluations, health, broke=broke, outcome=outcome)


def finetuning(*seeds: Track, recipe: dict[str, Any] | None = None, **scores: Any) -> RunHistory[Recipe]:
    """A run of CoLA's shares from trained weights; `scores` change what its result says."""
    changes = {"model": {"start": "some/folder"}, "training": {"epochs": EPOCHS}}
    changed = Recipe().with_changes(changes).with_changes(recipe or {})
    beside = {"majority": scores.pop("majority", 0.0), "ngram": scores.pop("ngram", 0.157)}
    known = {name: score for name, score in beside.items() if score is not None}
    found = Scores.of(CLASSIFY, "mcc", 0.33, (0.25, 0.41), 527, known)
    return RunHistory(changed, seeds, replace(found, **scores), PRIOR)


LEARNED = (0.64, 0.6, 0.48, 0.34, 0.26)
STUCK = (0.8, 0.61, 0.61, 0.61, 0.61)
ALIKE = {"dev": (0.61,) * 4, "scores": (0.0,) * 4, "status": "collapsed"}
NOTHING = {"score": 0.0, "low": 0.0, "high": 0.0}

HEALTHY_FINETUNING = {
    "one seed": finetuning(seed_of(LEARNED)),
    "several seeds": finetuning(*(seed_of(LEARNED, seed=i) for i in range(3))),
    "going on, early": replace(
        finetuning(seed_of(STUCK[:2], dev=(0.61,), scores=(0.0,), status=None)), scores=None
    ),
    "left the plateau late": finetuning(seed_of((0.69, 0.61, 0.61, 0.55, 0.45))),
    "not better than n-grams for sure": finetuning(seed_of(LEARNED), score=0.22, low=0.14, high=0.3),
    "no mistake, nor any of n-grams": finetuning(seed_of(LEARNED), score=1.0, low=1.0, high=1.0, ngram=1.0),
    "of another kind": replace(finetuning(seed_of(LEARNED), majority=None, ngram=None), floor=None),
    "without a log": finetuning(Track(outcome=Outcome(0.3, "learned", 2.0, 9.0))),
    "just begun": replace(finetuning(Track()), scores=None),
    "nothing begun": replace(finetuning(), scores=None),
}

BLOG = {
    "model": {"start": "blog", "options": {"hidden_dropout": 0.0}},
    "optimiser": {"name": "adam", "weight_decay": 0.0, "lr": 1e-3, "warmup": 0.0, "clip": 0.0},
    "batch": {"pad_to": 128, "shuffle": False, "by_length": False},
}

OVERFIT_BY: dict[str, Any] = {"dev": (0.59, 0.65, 0.8, 1.0), "scores": (0.3, 0.28, 0.2, 0.15)}
CONSTANT = {"optimiser": {"schedule": "constant"}}


def looks(norms: Sequence[float]) -> list[Health]:
    return [
        Health(step=20 * i + 1, gradient_norms={"embeddings": n, "head": 1.0}) for i, n in enumerate(norms)
    ]


def jumping(seed: Track, at: int, until: int) -> Track:
    """The seed with a loss that stands 2 nats higher for some steps."""
    return replace(
        seed, steps=[replace(s, loss=s.loss + 2) if at <= s.step <= until else s for s in seed.steps]
    )


LONG = tuple(0.6 - 0.05 * i for i in range(7))
"""Losses of 6 epochs: 150 steps, whose quarters are long enough to tell a pace from."""
SIX: dict[str, Any] = {
    "dev": (0.6, 0.58, 0.56, 0.55, 0.56, 0.57),
    "scores": (0.1, 0.2, 0.3, 0.31, 0.33, 0.32),
}

FAULTS_OF_FINETUNING = {
    "diverged": finetuning(seed_of((0.6, math.nan), dev=(0.6,), scores=(0.1,), status="diverged")),
    "stuck": finetuning(seed_of(STUCK, **ALIKE), **NOTHING, recipe=BLOG),
    "collapsed": finetuning(seed_of(LEARNED, **ALIKE), **NOTHING),
    "gradient_vanished": finetuning(
        seed_of(STUCK, **ALIKE, norm=lambda step: 3.3 if step < 9 else 4e-5), **NOTHING
    ),
    "gradient_exploded": finetuning(seed_of(LEARNED, norm=lambda step: 1.5 if step < 70 else 900.0)),
    "loss_rose": finetuning(jumping(seed_of(LEARNED), 40, 60)),
    "no_better_than_majority": finetuning(
        seed_of(LEARNED, status="not learned"), score=0.05, low=-0.04, high=0.13
    ),
    "class_not_found": replace(
        finetuning(seed_of(LEARNED)),
        by_class=[
            ClassFound("General enquiry", 300, 280),
            ClassFound("Complaint", 40, 2, "General enquiry", 27),
        ],
    ),
    "no_better_than_ngram": finetuning(seed_of(LEARNED), score=0.12, low=0.05, high=0.2),
    "overfitting": finetuning(seed_of(LEARNED, **OVERFIT_BY)),
    "too_short": finetuning(
        seed_of((0.64, 0.6, 0.56, 0.5, 0.44), dev=(0.6, 0.56, 0.51, 0.46), scores=(0.1, 0.2, 0.3, 0.4))
    ),
    "learning_rate_not_decayed": finetuning(seed_of(LEARNED, rate=lambda _: 1e-4), recipe=CONSTANT),
    "seeds_disagree": finetuning(
        *(seed_of(LEARNED, scores=(0.1, 0.2, 0.3, top), seed=i) for i, top in enumerate((0.3, 0.6, 0.9)))
    ),
    "dev_too_small": finetuning(seed_of(LEARNED, width=0.3), score=0.3, low=0.0, high=0.6, rows=40),
    "slowed_down": finetuning(seed_of(LONG, **SIX, pace=lambda step: 2_000.0 if step < 70 else 700.0)),
}


def test_a_class_that_is_not_found_is_told_with_what_it_is_taken_for() -> None:
    run = FAULTS_OF_FINETUNING["class_not_found"]
    (finding,) = check_after(run)
    assert finding.seen == "Complaint: 2 of 40 found; 27 taken for General enquiry."
    assert [str(change.key) for change in finding.changes] == ["training.class_weights", "batch.sampling", ""]
    weighed = run.recipe.with_changes({"training": {"class_weights": "balanced"}})
    (finding,) = check_after(replace(run, recipe=weighed))
    assert [change.key for change in finding.changes] == [""]
    # Words with tags have no class weights.
    tags = run.recipe.with_changes({"task": {"name": "", "kind": "tag"}})
    (finding,) = check_after(replace(run, recipe=tags))
    assert [change.key for change in finding.changes] == [""]
    assert "Class weights" not in finding.means
    # Where all classes are hard, or too few rows tell, none is named.
    for classes in (
        [ClassFound("a", 300, 60), ClassFound("b", 40, 6)],
        [ClassFound("a", 90, 90), ClassFound("b", 9, 0)],
    ):
        assert check_after(replace(run, by_class=classes)) == []


@pytest.mark.parametrize("name", HEALTHY_FINETUNING)
def test_nothing_is_said_of_a_healthy_fine_tuning(name: str) -> None:
    assert names(HEALTHY_FINETUNING[name]) == []


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.after and check.of != UNLABELLED])
def test_each_fault_of_a_fine_tuning_is_found(name: str) -> None:
    assert name in names(FAULTS_OF_FINETUNING[name])


def by_error(run: RunHistory[Recipe]) -> RunHistory[Recipe]:
    """The run with errors, of which the lowest is best, in place of scores."""
    tracks = [
        replace(
            seed, evaluations=[replace(each, score=1 - each.score, higher=False) for each in seed.evaluations]
        )
        for seed in run.tracks
    ]
    assert run.scores is not None
    return replace(run, tracks=tracks, scores=replace(run.scores, metric="mse", blind=None, rival=None))


@pytest.mark.parametrize("name", ["overfitting", "too_short", "learning_rate_not_decayed"])
def test_of_errors_the_lowest_is_best(name: str) -> None:
    assert names(by_error(FAULTS_OF_FINETUNING[name])) == [name]
    assert names(by_error(HEALTHY_FINETUNING["one seed"])) == []


def test_how_far_errors_are_apart_depends_on_their_unit() -> None:
    assert names(by_error(FAULTS_OF_FINETUNING["seeds_disagree"])) == []
    small = FAULTS_OF_FINETUNING["dev_too_small"]
    assert small.scores is not None
    assert "dev_too_small" not in names(replace(small, scores=replace(small.scores, metric="mse")))


@pytest.mark.parametrize("name", ["overfitting", "too_short", "learning_rate_not_decayed", "seeds_disagree"])
def test_where_there_is_a_budget_no_number_of_epochs_is_proposed(name: str) -> None:
    run = FAULTS_OF_FINETUNING[name]
    timed = replace(run, recipe=run.recipe.with_changes({"training": {"budget": 30.0}}))
    (finding,) = check_after(timed)
    assert finding.check == name
    assert "training.epochs" not in [change.key for change in finding.changes]


def test_a_fault_has_one_name() -> None:
    found = {name: names(run) for name, run in FAULTS_OF_FINETUNING.items()}
    assert found.pop("gradient_vanished") == ["stuck", "gradient_vanished"]
    assert found.pop("dev_too_small") == ["no_better_than_majority", "dev_too_small"]
    assert found == {name: [name] for name in found}


def test_being_stuck_is_told_with_its_loss_its_causes_and_the_seeds() -> None:
    seeds = [seed_of(STUCK, **ALIKE, seed=0), seed_of(LEARNED, seed=1)]
    (finding,) = [f for f in check_after(finetuning(*seeds, recipe=BLOG)) if f.check == "stuck"]
    assert finding.weight == "grave"
    assert finding.seen.endswith(
        "at the end of 1 of 2 seeds (0); predicting the class frequencies gives 0.607."
    )
    for words in (
        "attention sees the padding",
        "in the order of their file",
        "0.001 without warm-up",
        "post-norm layers",
    ):
        assert words in finding.means


def stuck(recipe: dict[str, Any], losses: Sequence[float] = STUCK, **scores: Any) -> Finding:
    run = finetuning(seed_of(losses, **ALIKE), **{**NOTHING, **scores}, recipe=recipe)
    return next(finding for finding in check_after(run) if finding.check == "stuck")


def test_a_run_that_goes_on_stands_there_so_far() -> None:
    seed = seed_of(STUCK[:4], dev=(0.61,) * 3, scores=(0.0,) * 3, status=None)
    (finding,) = check_after(replace(finetuning(seed), scores=None))
    assert finding.seen.startswith("The training loss still stands at 0.596 so far; predicting the")


def test_a_training_loss_that_did_not_fall_is_not_said_to_have_fallen() -> None:
    few = seed_of((0.7, 0.7), dev=(0.69,), scores=(0.0,), status="not learned")
    (finding,) = check_after(replace(finetuning(few, **NOTHING | {"low": -0.1, "high": 0.1}), floor=0.69))
    assert finding.check == "no_better_than_majority"
    assert (
        finding.seen == "It scores 0.000, and the interval, -0.100 to 0.100, includes the majority's 0.000."
    )
    assert finding.means == "Nothing shows that the model learned anything from the texts."
    assert "training.epochs" in {change.key for change in finding.changes}
    fell = FAULTS_OF_FINETUNING["no_better_than_majority"]
    assert ", though the training loss fell to 0.300." in check_after(fell)[0].seen
    assert names(replace(FAULTS_OF_FINETUNING["diverged"], scores=replace(fell.scores, low=-0.1))) == [
        "diverged"
    ]


def test_the_best_epoch_of_many_is_told_in_full() -> None:
    seed = seed_of(LEARNED, **OVERFIT_BY)
    far = [replace(each, place=30.0 * each.place) for each in seed.evaluations]
    (finding,) = check_after(
        finetuning(replace(seed, evaluations=far, steps=[replace(s, place=30 * s.place) for s in seed.steps]))
    )
    assert finding.seen.startswith("The best epoch is 30 of 120;")


def test_a_head_on_fresh_weights_that_stay_is_the_cause_itself() -> None:
    found = stuck({"model": {"start": "tiny", "freeze": True}, "optimiser": {"lr": 1e-2}})
    assert "features of random weights" in found.means
    changes = {change.key: change.value for change in found.changes}
    # What is trained as a whole wants the rate of that, together.
    assert (changes["model.freeze"], changes["optimiser.lr"]) == (False, 5e-4)
    assert not {key for key in changes if key.startswith("model.options")}


def test_a_head_on_trained_weights_is_not_told_to_learn_as_slowly_as_they_do() -> None:
    changes = stuck({"model": {"freeze": True}, "optimiser": {"lr": 1e-2}}).changes
    assert {change.key for change in changes if change.key} == {"training.epochs"}
    assert changes[-1].words == "training all weights (--no-freeze), at a learning rate of 5e-05"


@pytest.mark.parametrize(("training", "changes"), [
    ({"epochs": 4}, {"training.epochs": 20}),
    ({"epochs": 9, "steps": 100}, {"training.epochs": 45, "training.steps": 500}),
])  # fmt: skip
def test_what_is_too_short_to_learn_is_told_how_long_to_be(
    training: dict[str, int], changes: dict[str, int]
) -> None:
    found = stuck({"training": training})
    assert "no more than 100 updates" in found.means
    longer = [change for change in found.changes if change.key.startswith("training.")]
    assert {change.key: change.value for change in longer} == changes
    assert all(change.together for change in longer)


def test_a_rate_that_is_far_too_high_is_named_and_not_just_divided() -> None:
    found = stuck({"optimiser": {"lr": 1.0}}, losses=(9.0, 3.0, 3.0, 3.0, 3.0))
    assert "confident in wrong answers" in found.means
    assert "a learning rate of 1, where 5e-05 is usual" in found.means
    run = FAULTS_OF_FINETUNING["loss_rose"]
    proposed = {}
    for lr in (1.0, 1e-4):
        recipe = run.recipe.with_changes({"optimiser": {"lr": lr}})
        (finding,) = check_after(replace(run, recipe=recipe))
        proposed[lr] = next(change.value for change in finding.changes if change.key == "optimiser.lr")
    assert proposed == {1.0: 5e-5, 1e-4: 3e-5}


@pytest.mark.parametrize(("recipe", "rate"), [
    ({"optimiser": {"lr": 1e-8}}, 5e-5),
    ({"optimiser": {"lr": 1e-8}, "model": {"start": "tiny"}}, 5e-4),
    ({"optimiser": {"lr": 1e-8}, "model": {"freeze": True}}, 5e-4),
    ({"optimiser": {"lr": 2e-5}}, None),
])  # fmt: skip
def test_a_rate_that_is_far_too_low_is_named_and_raised(recipe: dict[str, Any], rate: float | None) -> None:
    found = stuck(recipe)
    proposed = [change for change in found.changes if change.key == "optimiser.lr"]
    assert [change.value for change in proposed] == ([] if rate is None else [rate])
    assert all(change.together for change in proposed), "so that the command has it"
    assert ("a learning rate of 1e-08, where" in found.means) == (rate is not None)


def stationary(rows: int, steps: int, seed: int) -> list[Step]:
    """Steps of a calibrated classifier of 28 labels that goes nowhere: rows' losses have mean 1.77 and
    deviation 1.9.
    """
    chance, mean, deviation = random.Random(seed), 1.77, 1.9
    shape, scale = (mean / deviation) ** 2, deviation**2 / mean
    losses = [sum(chance.gammavariate(shape, scale) for _ in range(rows)) / rows for _ in range(steps)]
    return [Step(step, step / steps, loss) for step, loss in enumerate(losses, start=1)]


def rose(steps: Sequence[Step]) -> Finding | None:
    return loss_rose(finetuning(Track(steps=steps)))


@pytest.mark.parametrize(("rows", "steps"), [(8, 3_000), (1, 3_000), (4, 100), (8, 40)])
def test_noise_of_many_steps_is_no_rise(rows: int, steps: int) -> None:
    runs = [stationary(rows, steps, seed) for seed in range(3)]
    # What a fixed half a nat between the lowest window and a later one would call a rise.
    means = [[sum(s.loss for s in run[i : i + 15]) / 15 for i in range(0, steps - 14, 15)] for run in runs]
    assert steps < 100 or any(max(found) - min(found) > 0.5 for found in means)
    assert [rose(run) for run in runs] == [None] * 3


@pytest.mark.parametrize(("until", "weight"), [(2_000, "notable"), (3_000, "grave")])
def test_a_rise_over_the_noise_is_told_and_judged_by_the_level_before(until: int, weight: str) -> None:
    raised = [
        replace(s, loss=s.loss + 4) if 1_500 < s.step <= until else s for s in stationary(8, 3_000, seed=0)
    ]
    found = rose(raised)
    assert found is not None
    assert found.weight == weight
    assert "about step 1,501" in found.seen
    assert ("from 1.7" in found.seen) == (weight == "grave")


def test_where_counting_words_finds_nothing_either_the_labels_are_doubted() -> None:
    assert "perhaps the texts" in stuck({}, ngram=0.05).means
    assert "perhaps the texts" not in stuck({}, ngram=0.157).means
    assert "perhaps the texts" not in stuck({}, ngram=None).means


def test_in_the_order_of_a_file_only_whole_epochs_are_judged() -> None:
    seed = seed_of(STUCK, **ALIKE)
    steps = [replace(step, loss=0.5) if step.step > 70 else step for step in seed.steps]
    run = finetuning(replace(seed, steps=steps), **NOTHING, recipe=BLOG)
    assert "stuck" in names(run)


def test_the_training_loss_of_a_run_is_the_mean_over_the_last_epochs_of_its_seeds() -> None:
    def scored(*losses: float) -> Track:
        made = [Evaluation(step=5 * n, loss=0.7, train_loss=loss) for n, loss in enumerate(losses, start=1)]
        return Track(evaluations=made)

    assert last_train_loss(scored(0.6, 0.3).evaluations) == 0.3
    assert RunHistory(Recipe(), [scored(0.6, 0.25), scored(0.75), scored()]).train_loss == 0.5
    assert math.isnan(RunHistory(Recipe(), [scored()]).train_loss)


def test_without_a_prior_a_loss_that_does_not_fall_is_stuck() -> None:
    flat = seed_of((0.61,) * 5, **ALIKE)
    assert "stuck" in names(replace(finetuning(flat, **NOTHING), floor=None))
    assert "stuck" not in names(replace(finetuning(seed_of(LEARNED)), floor=None))


@pytest.mark.parametrize(
    ("score", "weight", "sureness"), [(0.05, "notable", "possible"), (0.0, "grave", "likely")]
)
def test_what_the_rows_cannot_show_is_not_called_certain(score: float, weight: str, sureness: str) -> None:
    run = finetuning(seed_of(LEARNED, status="not learned"), score=score, low=-0.04, high=0.13)
    (finding,) = check_after(run)
    assert (finding.check, finding.weight, finding.sureness) == ("no_better_than_majority", weight, sureness)
    assert ("these dev rows cannot show" in finding.means) == (score > 0)


def test_rows_are_foretold_for_four_times_in_five_and_one_seed() -> None:
    scores: dict[str, Any] = {"score": 0.3, "low": -0.1, "high": 0.7, "ngram": None, "rows": 40}
    one, two = (
        next(f for f in check_after(finetuning(*seeds, **scores)) if f.check == "dev_too_small")
        for seeds in ([seed_of(LEARNED)], [seed_of(LEARNED, seed=i) for i in range(2)])
    )
    # Half the interval is 0.4, the difference 0.3: 40 * (4/3)**2 * 2.04.
    assert "about 146 would tell a difference of this size four times in five" in one.means
    assert "four times in five" not in two.means


# ---- pretraining


def pretraining(
    losses: Sequence[float],
    *,
    recipe: dict[str, Any] | None = None,
    through: int | None = 200,
    **more: Any,
) -> RunHistory[PretrainRecipe]:
    """A run of 1,000 steps; held-out text scored evenly over them."""
    changed = PretrainRecipe().with_changes({"training": {"steps": 1_000}}).with_changes(recipe or {})
    every = 1_000 // (len(losses) - 1)
    heldout = [Evaluation(step=i * every, loss=loss) for i, loss in enumerate(losses)]
    chance = random.Random(7)
    steps = []
    for step in range(1, 1_001):
        low, high = losses[(step - 1) // every], losses[min((step - 1) // every + 1, len(losses) - 1)]
        level = low + (high - low) * ((step - 1) % every) / every
        steps.append(Step(step, step / 1_000, level + chance.gauss(0, 0.1), 1e-3, 1.5, 2_000.0))
    made = RunHistory(
        changed,
        [Track(steps=steps, evaluations=heldout)],
        floor=6.9,
        uniform=9.0,
        through_at=through,
        finished=True,
        epochs=0.4,
        seconds=3_600.0,
    )
    return replace(made, **more)


def with_track(run: RunHistory[PretrainRecipe], **changes: Any) -> RunHistory[PretrainRecipe]:
    """The run with something else in what its log tells."""
    return replace(run, tracks=[replace(run.track, **changes)])


HOUR = (
    *(9.42, 6.19, 5.5, 5.19, 4.98, 4.83, 4.68, 4.62, 4.5, 4.4, 4.34, 4.24),
    *(4.19, 4.14, 4.08, 4.03, 3.97, 3.91, 3.87, 3.86, 3.85),
)
"""Held-out losses of recipes/cram-1h.toml, as its log has them."""
FLAT = (9.4, 7.1, *(6.95 - 0.01 * (i % 2) for i in range(19)))
RISING = (9.4, 6.2, 5.0, 4.5, 4.2, *(4.0 + 0.02 * i for i in range(16)))
DRAWING_AWAY = (9.4, 6.2, 5.0, 4.5, 4.2, *(4.0 - 0.001 * i for i in range(16)))
STEEP = (9.4, *(7.0 - 0.01 * i for i in range(14)), 6.6, 6.2, 5.8, 5.4, 5.0, 4.6)


def drawing_away(run: RunHistory[PretrainRecipe]) -> RunHistory[PretrainRecipe]:
    """The run with a training loss that falls on where the held-out loss stays."""
    lower = [replace(s, loss=s.loss - max(0, s.step - 300) / 700) for s in run.track.steps]
    return replace(with_track(run, steps=lower), epochs=11.0)


def with_pairs(run: RunHistory[PretrainRecipe], right: float, pairs: float) -> RunHistory[PretrainRecipe]:
    scored = [replace(each, pair_accuracy=right, pairs=pairs) for each in run.track.evaluations]
    return with_track(run, evaluations=scored)


def changed_from(first: int, run: RunHistory[PretrainRecipe], **changes: float) -> RunHistory[PretrainRecipe]:
    """The run with something else in the steps from the `first` one on."""
    steps = [replace(s, **changes) if s.step >= first else s for s in run.track.steps]
    return with_track(run, steps=steps)


HEALTHY_PRETRAINING = {
    "an hour": pretraining(HOUR),
    "early on the plateau": with_track(
        pretraining(FLAT, through=None, finished=False), steps=pretraining(FLAT).track.steps[:150]
    ),
    "nothing logged": pretraining(HOUR, tracks=(), through=None, finished=False),
    "nothing held out": with_track(pretraining(HOUR), evaluations=()),
    "pairs are told": with_pairs(pretraining(HOUR), 0.56, 1_000),
    "pairs are told, of few": with_pairs(pretraining(HOUR), 0.6, 64),
    "pairs may be told": with_pairs(pretraining(HOUR), 0.52, 500),
    "text read often, without overfitting": pretraining(HOUR, epochs=11.0),
    "longer sequences at the end are slower": changed_from(
        901, pretraining(HOUR, long_from=900), tokens_per_second=400.0
    ),
    "one layer's gradient is small in a model that learned": with_track(
        pretraining(HOUR), health=looks([1.0, 1.2, 0.9, 1e-4, 1e-5])
    ),
    "a trained model goes on": pretraining((4.0, 3.9, 3.8, 3.75, 3.74), through=0),
}

FAULTS_OF_PRETRAINING = {
    "diverged": pretraining(HOUR, finished=False, stopped="The loss rose suddenly from step 99 on."),
    "plateau": pretraining(FLAT, through=None),
    "gradient_vanished": with_track(pretraining(FLAT), health=looks([1.0, 1.2, 0.9, 1e-4, 1e-5])),
    "gradient_exploded": changed_from(501, pretraining(HOUR), gradient_norm=1e3),
    "loss_rose": with_track(
        pretraining(HOUR),
        steps=[replace(s, loss=s.loss + 3) if s.step > 950 else s for s in pretraining(HOUR).track.steps],
    ),
    "heldout_rises": pretraining(RISING, epochs=9.0),
    "starved_of_data": drawing_away(pretraining(DRAWING_AWAY)),
    "starved_of_steps": pretraining(STEEP, through=850),
    "nothing_won": pretraining((4.0, 4.3, 4.2, 4.1, 4.05), through=0),
    "pairs_at_chance": with_pairs(pretraining(HOUR), 0.51, 1_000),
    "learning_rate_not_decayed": pretraining(HOUR, recipe=CONSTANT),
    "slowed_down": changed_from(601, pretraining(HOUR), tokens_per_second=400.0),
}


@pytest.mark.parametrize(("steps", "proposed"), [(60, 1_000), (1_000, 4_000)])
def test_a_run_on_the_plateau_is_told_enough_steps(steps: int, proposed: int) -> None:
    run = pretraining(FLAT, through=None, recipe={"training": {"steps": steps}})
    (finding,) = check_after(run)
    assert [change.value for change in finding.changes if change.key == "training.steps"] == [proposed]


@pytest.mark.parametrize("heldout", [(), (Evaluation(step=0, loss=9.0),)])
def test_a_run_whose_training_loss_has_left_the_plateau_is_not_told_to_be_on_it(
    heldout: tuple[Evaluation, ...],
) -> None:
    cut = pretraining(HOUR).track.steps[:500]
    run = with_track(pretraining(HOUR, through=None, finished=False), steps=cut, evaluations=heldout)
    assert names(run) == []
    flat = with_track(run, steps=pretraining(FLAT).track.steps[:500])
    (finding,) = check_after(flat)
    assert finding.check == "plateau"
    assert "the loss is 6.9" in finding.seen or "the loss is 7.0" in finding.seen


@pytest.mark.parametrize("finished", [True, False])
def test_a_held_out_loss_that_is_no_number_at_the_end_is_a_run_that_broke(finished: bool) -> None:
    run = pretraining((9.4, 6.2, 5.0, 4.5, math.nan), finished=finished)
    (finding,) = [each for each in check_after(run) if each.weight == "grave"]
    assert (finding.check, finding.sureness) == ("diverged", "certain")
    assert finding.seen == "The loss was no number any more in the last evaluation."


def test_a_run_a_hair_above_the_line_is_not_called_lost_and_one_on_its_way_through_not_at_all() -> None:
    """The line is at 0.85 of 6.9: 5.865. Losses fall by 0.01 an evaluation, or not at all."""

    def found(*losses: float) -> list[tuple[str, str]]:
        run = pretraining((9.4, *losses), through=None)
        return [(each.weight, each.sureness) for each in check_after(run) if each.check == "plateau"]

    falling = [0.01 * i for i in range(20, 0, -1)]
    assert found(*(5.87 + more for more in falling)) == []
    assert found(*(6.2 + more for more in falling)) == [("grave", "certain")]
    assert found(*[5.9] * 20) == [("notable", "likely")]
    assert found(*[6.0] * 20) == [("grave", "certain")]


def test_without_held_out_text_the_last_training_losses_are_judged_together() -> None:
    run = with_track(pretraining(FLAT, through=None), evaluations=())
    odd = [*run.track.steps[:-1], replace(run.track.steps[-1], loss=0.5)]
    (finding,) = check_after(with_track(run, steps=odd))
    assert "the loss is 6.6" in finding.seen


def test_noise_whose_neighbours_are_alike_is_seldom_a_trend() -> None:
    chance = random.Random(1)
    seen = naive = 0
    for _ in range(300):
        values, value = [], 0.0
        for _ in range(100):
            value = 0.6 * value + chance.gauss(0, 1)
            values.append(value)
        found = trend([float(step) for step in range(1, 101)], values)
        assert found is not None
        seen += found.falls or found.rises
        last = [(step, value) for step, value in enumerate(values, start=1) if step >= 70]
        naive += stats.linregress(*zip(*last, strict=True)).pvalue < 0.05
    # The points count as independent in the naive fit; the honest rate would be 5 %.
    assert seen < 0.5 * naive
    assert seen < 0.12 * 300


def test_a_line_has_its_interval() -> None:
    found = trend([1.0, 8.0, 9.0, 10.0, 7.0 + 4.0, 12.0], [9.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    assert found is not None
    assert found.change == pytest.approx(-3.0)
    assert found.falls
    # Residuals -0.2, 0.6, -0.6, 0.2 do not go together: n - 2 = 2 degrees of freedom, t = 4.303.
    found = trend([1.0, 8.0, 9.0, 10.0, 11.0], [9.0, -0.2, 0.6, -0.6, 0.2])
    assert found is not None
    assert found.margin == pytest.approx(3 * 4.303 * (0.8 / 2 / 5) ** 0.5, rel=1e-3)


@pytest.mark.parametrize("name", HEALTHY_PRETRAINING)
def test_nothing_is_said_of_a_healthy_pretraining(name: str) -> None:
    assert names(HEALTHY_PRETRAINING[name]) == []


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.after and check.of != LABELLED])
def test_each_fault_of_a_pretraining_is_found(name: str) -> None:
    assert names(FAULTS_OF_PRETRAINING[name]) == [name]


# ---- both

PLANTED = {
    **{f"fine-tuning, {name}": run for name, run in FAULTS_OF_FINETUNING.items()},
    **{f"pretraining, {name}": run for name, run in FAULTS_OF_PRETRAINING.items()},
}


@pytest.mark.parametrize("start", ["tiny", "blog", "some/folder"])
@pytest.mark.parametrize("name", PLANTED)
def test_what_is_proposed_is_a_recipe_that_can_be_run(name: str, start: str) -> None:
    run = PLANTED[name]
    options = {"layers": 1} if start in PRESETS else {}
    run = replace(run, recipe=run.recipe.with_changes({"model": {"start": start, "options": options}}))
    found = check_after(run)
    assert found
    for finding in found:
        assert finding.changes
        for change in finding.changes:
            section, _, key = change.key.partition(".")
            if key.startswith("options."):
                assert start in PRESETS, "trained weights have no options but dropouts"
                value = {key.removeprefix("options."): change.value}
                changed_preset(start, value)
                assert getattr(PRESETS[start], key.removeprefix("options.")) != change.value
            elif change.key:
                changed = run.recipe.with_changes({section: {key: change.value}})
                assert changed != run.recipe, f"{change} changes nothing"
