"""No false alarm: of real runs of the healthy recipes the checks say nothing, neither during nor after them.

`healthy/` has the logs of runs of recipes/ and of the studies, thinned by `thin_runs.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bertkit.diagnose.doctor import examine
from bertkit.health.checks import check_after, replayed
from bertkit.runs.history import History, Track, is_finetuning
from bertkit.runs.reader import read_history

RUNS = sorted(path for path in (Path(__file__).parent / "healthy").iterdir() if path.is_dir())
EXPECTED = {"cola-scratch": ["no_better_than_ngram", "overfitting"]}
"""True of it, and said so in its first lines and in docs/doctor.md: fresh weights and so few rows."""

runs = pytest.mark.parametrize("run", RUNS, ids=lambda path: path.name)


@runs
def test_after_a_healthy_run_nothing_is_found(run: Path) -> None:
    assert [finding.check for finding in check_after(read_history(run))] == EXPECTED.get(run.name, [])
    assert not [finding for finding in examine(run).findings if finding.weight == "grave"]


@runs
def test_while_a_healthy_run_trains_nothing_is_found(run: Path) -> None:
    history = read_history(run)
    assert len(history.tracks) == (3 if history.phase == "finetune" else 1)
    assert [spoke(history, track) for track in history.tracks] == [[]] * len(history.tracks)


def spoke(history: History, track: Track) -> list[str]:
    """The checks that would have spoken while a model trained, as far as its log tells."""
    return [finding.check for _, finding in replayed(history, track)]


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
    assert spoke(high, high.track) == ["plateau"]
    scratch = read_history(next(run for run in RUNS if run.name == "cola-scratch"))
    assert is_finetuning(scratch)
    seed = scratch.tracks[1]
    stuck = replace(seed, steps=[replace(each, loss=0.61) for each in seed.steps])
    same = [replace(each, train_loss=0.61, score=0.0, low=0.0, high=0.0) for each in seed.evaluations]
    assert "stuck_at_baseline_loss" in spoke(scratch, replace(stuck, evaluations=same))
