"""What the runs of a variant found, taken together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bertkit.errors import UserError
from bertkit.health.labelled import OFF_THE_PRIOR
from bertkit.recipe import PretrainRecipe
from bertkit.runs.history import last_train_loss
from bertkit.runs.log import read_track
from bertkit.runs.reader import read_result
from bertkit.runs.result import Answers, SeedResult
from bertkit.studies.neighbours import Offsets, look
from bertkit.studies.plan import Run
from bertkit.studies.runner import failure, state
from bertkit.studies.yardstick import Yardstick
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.metrics import mean_interval, seeds_interval


@dataclass(frozen=True)
class Runs:
    """How the runs of one variant in one stage went: seeds that are done, and why the others are not."""

    planned: int
    done: tuple[int, ...]
    failed: Mapping[int, str]

    @property
    def complete(self) -> bool:
        """Whether all that was planned is done."""
        return len(self.done) == self.planned


@dataclass(frozen=True)
class FinetuneOutcome:
    """Seeds of a fine-tuning together. Losses are in nats.

    Attributes:
        runs: which seeds these are.
        metric: the task's own, of `score`.
        score: mean of the seeds' best epochs; `interval` covers rows and seeds.
        scores: of each seed.
        accuracy: mean over the seeds.
        majority: score of always answering the majority.
        train_loss: of the last epoch, mean over the seeds.
        prior: entropy of the training labels' shares.
        off_prior: seeds whose training loss ended clearly below `prior`, or that learned: of a run of few
            epochs the mean over its last one hides where that ended.
        collapsed: seeds that gave every dev row the same answer.
        diverged: seeds whose loss was no number any more.
        steps: of each seed.
        seconds: of all seeds together.
        answers: of each seed for each dev row.
    """

    runs: Runs
    metric: str
    score: float
    interval: tuple[float, float]
    scores: tuple[float, ...]
    accuracy: float
    majority: float
    train_loss: float
    prior: float
    off_prior: int
    collapsed: int
    diverged: int
    steps: int
    seconds: float
    answers: Sequence[Answers] = field(repr=False)


@dataclass(frozen=True)
class PretrainOutcome:
    """Seeds of a pretraining together. Losses are in nats a masked piece, of held-out text.

    Attributes:
        runs: which seeds these are.
        loss: mean over the seeds; `losses` are the seeds'.
        losses: of each seed.
        interval: Student's of the mean over seeds; None of one seed.
        alike: losses of the seeds where all variants restore the same pieces; empty where their own compare,
            or a model is gone.
        heldout: False of a corpus without held-out text: the losses are those of training then.
        accuracy: share of held-out masked pieces that are restored.
        pairs: share of held-out pairs that are told right; None without a pair objective.
        unigram: the loss of one who knows the pieces' frequencies alone.
        through_at: for each seed the step by which it was off that plateau, None if never.
        steps: of each seed.
        pieces: that each seed read.
        seconds: of all seeds together.
        offsets: where the first seed's heads look; None where its text can't be read any more.
    """

    runs: Runs
    loss: float
    losses: tuple[float, ...]
    interval: tuple[float, float] | None
    alike: tuple[float, ...]
    heldout: bool
    accuracy: float | None
    pairs: float | None
    unigram: float
    through_at: tuple[int | None, ...]
    steps: int
    pieces: int
    seconds: float
    offsets: Offsets | None = field(repr=False)


Outcome = FinetuneOutcome | PretrainOutcome


@dataclass(frozen=True)
class _Finished:
    """A finished run: its result, and of a fine-tuning its seed's answers and last training loss."""

    run: Run
    result: Mapping[str, Any]
    seed: SeedResult | None = None
    answers: Answers | None = None
    train_loss: float = 0.0


def outcome(runs: Sequence[Run], yardstick: Yardstick | None = None) -> tuple[Runs, Outcome | None]:
    """What the runs of a variant in one stage found; None where none is done.

    `yardstick` is what pretrainings are measured with beside their own held-out losses. A finished run whose
    files are damaged counts as failed, with that for a reason.
    """
    failed = {seed: failure(run) for seed, run in enumerate(runs) if state(run) == "failed"}
    finished = {}
    for seed, run in enumerate(runs):
        if state(run) == "done":
            try:
                finished[seed] = _read(run)
            except (OSError, ValueError, KeyError, TypeError, IndexError, UserError) as error:
                failed[seed] = f"{run.folder} is damaged ({error}); remove it, and it is run again"
    how = Runs(len(runs), tuple(finished), failed)
    if not finished:
        return how, None
    done = list(finished.values())
    return how, _pretrain(how, done, yardstick) if runs[0].kind == "pretrain" else _finetune(how, done)


def _read(run: Run) -> _Finished:
    found = read_result(run.folder)
    if found is None:
        raise ValueError("it has lost its result")
    result = found.values
    if run.kind == "pretrain":
        float(_loss(result) + result["floors"]["unigram"] + result["pieces"] + result["seconds"])
        return _Finished(run, result)
    seed, answers = SeedResult.read(run.folder), Answers.read(run.folder)
    if seed is None or answers is None:
        raise ValueError("its seed's answers are not there")
    float(result["score"] + result["metrics"]["accuracy"] + result["baselines"]["majority"]["score"])
    train_loss = last_train_loss(read_track(run.folder, "finetune").evaluations)
    if math.isnan(train_loss):
        raise ValueError("its log does not tell a training loss")
    return _Finished(run, result, seed, answers, train_loss)


def _pretrain(runs: Runs, finished: Sequence[_Finished], yardstick: Yardstick | None) -> PretrainOutcome:
    results = [one.result for one in finished]
    losses = [_loss(result) for result in results]
    scored = [result["heldout"]["mlm_accuracy"] for result in results if result["heldout"]]
    paired = [
        result["heldout"]["pair_accuracy"] for result in results if "pair_accuracy" in result["heldout"]
    ]
    return PretrainOutcome(
        runs=runs,
        loss=statistics.mean(losses),
        losses=tuple(losses),
        interval=mean_interval(losses),
        alike=_alike(finished, yardstick),
        heldout=len(scored) == len(results),
        accuracy=statistics.mean(scored) if scored else None,
        pairs=statistics.mean(paired) if paired else None,
        unigram=results[0]["floors"]["unigram"],
        through_at=tuple(result["through_at"] for result in results),
        steps=results[0]["steps"],
        pieces=results[0]["pieces"],
        seconds=sum(result["seconds"] for result in results),
        offsets=_offsets(finished[0].run),
    )


def _alike(finished: Sequence[_Finished], yardstick: Yardstick | None) -> tuple[float, ...]:
    """By the yardstick; empty without one, and where a model is gone."""
    if yardstick is None:
        return ()
    try:
        return tuple(yardstick.loss_of(one.run.folder) for one in finished)
    except UserError:
        return ()


def _offsets(run: Run) -> Offsets | None:
    assert isinstance(run.recipe, PretrainRecipe), "a pretraining has a recipe of its kind"
    try:
        return look(run.folder, run.recipe)
    except UserError:
        return None


def _loss(result: Mapping[str, Any]) -> float:
    """The held-out loss, or, of a corpus without held-out text, the training loss."""
    return float(result["heldout"]["mlm_loss"] if result["heldout"] else result["train_mlm_loss"])


def _finetune(runs: Runs, finished: Sequence[_Finished]) -> FinetuneOutcome:
    results = [one.result for one in finished]
    seeds = [one.seed for one in finished if one.seed is not None]
    answers = [one.answers for one in finished if one.answers is not None]
    kind, prior = KINDS[results[0]["kind"]], results[0]["floor"]
    metric = kind.metric(results[0]["metric"])
    losses = [one.train_loss for one in finished]
    return FinetuneOutcome(
        runs=runs,
        metric=metric.name,
        score=statistics.mean(result["score"] for result in results),
        interval=seeds_interval(metric, [each.adds for each in answers]),
        scores=tuple(result["score"] for result in results),
        accuracy=statistics.mean(result["metrics"]["accuracy"] for result in results),
        majority=results[0]["baselines"]["majority"]["score"],
        train_loss=statistics.mean(losses),
        prior=prior,
        off_prior=sum(
            loss < OFF_THE_PRIOR * prior or seed.status == "learned"
            for loss, seed in zip(losses, seeds, strict=True)
        ),
        collapsed=sum(seed.status == "collapsed" for seed in seeds),
        diverged=sum(seed.status == "diverged" for seed in seeds),
        steps=seeds[0].steps,
        seconds=sum(result["seconds"] for result in results),
        answers=answers,
    )
