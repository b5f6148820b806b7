"""No false alarm: of real runs of the healthy recipes the checks say nothing, neither during nor after them.

`healthy/` has the logs of runs of recipes/ and of the studies, thinned by `thin_runs.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bertkit.config.model import changed_preset
from bertkit.diagnose.doctor import examine
from bertkit.health.checks import check_after, check_during
from bertkit.health.watch import Evaluation, Setting, Watch
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.history import RunHistory, Track, is_finetuning
from bertkit.runs.reader import read_history

RUNS = sorted(path for path in (Path(__file__).parent / "healthy").iterdir() if path.is_dir())
EXPECTED = {"cola-scratch": ["no_better_than_ngram", "learned_by_heart"]}
"""True of it, and said so in its first lines and in docs/doctor.md: fresh weights and so few rows."""

runs = pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)


@runs
def test_after_a_healthy_run_nothing_is_found(run: Path) -> None:
    assert [finding.check for finding in check_after(read_history(run))] == EXPECTED.get(run.name, [])
    assert not [finding for finding in examine(run).findings if finding.weight == "grave"]


@runs
def test_while_a_healthy_run_trains_nothing_is_found(run: Path) -> None:
    history = read_history(run)
    if is_finetuning(history):
        assert [watched_seed(history, seed) for seed in history.tracks] == [{}] * 3
        return
    assert watched_pretraining(history) == {}


def watched_seed(run: RunHistory[Recipe], seed: Track) -> dict[str, int]:
    """The checks that spoke while a seed trained, each with its step, as far as its log tells."""
    assert run.floor is not None
    assert run.scores is not None
    setting = Setting(
        phase="finetune",
        optimiser=run.recipe.optimiser,
        # Of trained weights the options are those of their folder; the checks propose changes of fresh ones.
        model=changed_preset(run.recipe.model.start, run.recipe.model.options)
        if run.fresh
        else changed_preset("mini", {}),
        trained=not run.fresh,
        prior_entropy=run.floor,
        training=run.recipe.training,
    )
    watch, spoke = Watch(), {}
    evaluations = {each.step: each for each in seed.evaluations}
    looks = {each.step: each for each in seed.health}
    losses = {each.step: each.loss for each in seed.steps}
    for step in sorted({*evaluations, *looks, *losses}):
        if step in losses:
            watch.stepped(losses[step], spike=setting.rise)
        if step in looks:
            watch.looked(looks[step])
        if step in evaluations:
            scored = evaluations[step]
            watch.evaluated(
                Evaluation(
                    step=step,
                    train_loss=scored.train_loss,
                    loss=scored.loss,
                    # Nothing else leaves an MCC without an interval.
                    one_answer=scored.low == scored.high,
                    beats_majority=scored.low > (run.scores.majority or 0.0),
                )
            )
        found = check_during(watch.at(setting, step, step / seed.last_step), watch.told)
        spoke |= {finding.check: step for finding in found}
    return spoke


def watched_pretraining(run: RunHistory[PretrainRecipe]) -> dict[str, int]:
    """See `watched_seed`."""
    unigram, track = run.floor, run.track
    assert unigram is not None
    assert run.uniform is not None
    setting = Setting(
        phase="pretrain",
        optimiser=run.recipe.optimiser,
        model=changed_preset(run.recipe.model.start, run.recipe.model.options),
        prior_entropy=unigram,
        uniform=run.uniform,
        spike=run.recipe.training.spike,
    )
    watch, spoke = Watch(), {}
    heldout = {each.step: each for each in track.evaluations}
    losses = {each.step: each.loss for each in track.steps}
    for step in sorted({*heldout, *losses}):
        if step in losses:
            watch.stepped(losses[step], spike=setting.rise)
        if step in heldout:
            watch.passed(step, heldout[step].loss, unigram)
            watch.evaluated(Evaluation(step=step, train_loss=watch.smoothed, loss=heldout[step].loss))
        found = check_during(watch.at(setting, step, step / track.last_step), watch.told)
        spoke |= {finding.check: step for finding in found}
    return spoke


def test_the_logs_name_no_place_of_a_machine() -> None:
    for run in RUNS:
        for path in run.rglob("*.*"):
            assert '"/' not in path.read_text(encoding="utf-8"), path


def test_the_replay_hears_a_run_that_is_spoilt() -> None:
    """What is silent above could speak: the same logs with one thing wrong in them."""
    micro = read_history(next(run for run in RUNS if run.name == "micro"))
    assert not is_finetuning(micro)
    flat = [replace(each, loss=max(each.loss, 6.9)) for each in micro.track.evaluations]
    high = replace(micro, tracks=[replace(micro.track, evaluations=flat)])
    assert list(watched_pretraining(high)) == ["plateau"]
    scratch = read_history(next(run for run in RUNS if run.name == "cola-scratch"))
    assert is_finetuning(scratch)
    seed = scratch.tracks[1]
    stuck = replace(seed, steps=[replace(each, loss=0.61) for each in seed.steps])
    same = [replace(each, train_loss=0.61, low=0.0, high=0.0) for each in seed.evaluations]
    assert "stuck_on_the_prior" in watched_seed(scratch, replace(stuck, evaluations=same))
