"""Groups of trained models that answer one question together: what each came to, and how two of them differ.

The seeds of a run are a group, and so are the runs of a variant of a study.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import NamedTuple, cast

import numpy as np

from bertkit.config.head import HeadKind
from bertkit.config.terms import MASKED, PAIRS
from bertkit.health.labelled import OFF_THE_PRIOR
from bertkit.runs.history import History, is_finetuning, last_train_loss
from bertkit.runs.reader import read_answers, read_result
from bertkit.runs.records import Record
from bertkit.runs.result import Answers
from bertkit.tasks.kind import Kind, Wanted
from bertkit.tasks.kinds import get_kind
from bertkit.tasks.metrics import (
    Metric,
    mean_interval,
    middle,
    paired_samples,
    seeds_interval,
    welch_interval,
)

Interval = tuple[float, float]


class FinishedRun(NamedTuple):
    """A run that has come to its end; its seeds' answers row by row, empty where one's are not there."""

    history: History
    result: Record
    answers: Sequence[Answers]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Trained models that answer one question together.

    Attributes:
        scores: of each model, by the metric of its task; of pretraining its loss in nats a masked token.
        score: mean over the models.
        interval: of the mean; None of the loss of one model.
        train_loss: mean over the models, of the last epoch where there are epochs; NaN where a log does not
            tell it.
        steps: of the first model.
        seconds: of all models together.
        parameters: of each model.
    """

    scores: tuple[float, ...]
    score: float
    interval: Interval | None
    train_loss: float
    steps: int
    seconds: float
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Finetuned(Group):
    """Models that learned from labelled rows.

    Attributes:
        task: its name.
        kind: of the task; losses are in the unit of its.
        metric: of the scores.
        rows: how many were scored.
        metrics: scores by all metrics of the kind, mean over the runs.
        baselines: their scores, by name.
        floor: loss of one who knows how the targets are spread and nothing else; None where it is not told.
        off_floor: models whose training loss ended clearly below it, or that learned: of a run of few epochs
            the mean over its last one hides where that ended.
        statuses: of each model, see `runs.result.SeedResult`.
        dev_fingerprint: of the rows that were scored; "" where that is not told.
        answers: of each model, row by row; empty where one's are not there.
    """

    interval: Interval
    task: str
    kind: Kind
    metric: Metric
    rows: int
    metrics: Mapping[str, float]
    baselines: Mapping[str, float]
    floor: float | None
    off_floor: int
    statuses: tuple[str, ...]
    dev_fingerprint: str
    answers: Sequence[Answers] = field(repr=False)

    @property
    def usual(self) -> str:
        """The usual metric of the kind, or of such rows where they do not have it."""
        return self.kind.usual if self.kind.usual in self.metrics else self.metric.name


@dataclass(frozen=True, kw_only=True)
class Pretrained(Group):
    """Models that learned from text alone.

    Attributes:
        heldout: whether the losses are of held-out text; of training where none was held out.
        accuracy: share of held-out masked tokens that are restored, mean over the models that tell it.
        pairs: share of held-out pairs that are told right, mean over the models that learned from pairs.
        floors: losses of predicting token frequencies ("unigram") and of uniform guessing ("uniform").
        through_at: the step by which each model was off the unigram plateau; None if never.
        tokens: that the first model read.
        corpus: fingerprint of the text.
    """

    heldout: bool
    accuracy: float | None
    pairs: float | None
    floors: Mapping[str, float]
    through_at: tuple[int | None, ...]
    tokens: int
    corpus: str


def read_finished(run: Path, history: History) -> FinishedRun | None:
    """The run in a folder whose history is known; None where it is not finished.

    Raises:
        UserError: a damaged file.
    """
    result = read_result(run)
    if result is None:
        return None
    return FinishedRun(history, result, read_answers(run) if is_finetuning(history) else [])


def group_of(runs: Sequence[FinishedRun], *, drawn: bool = False) -> Group:
    """What the models of some runs of one recipe, but for the seed, came to together.

    Args:
        runs: of one phase, at least one.
        drawn: the interval of a score is over rows and models that are drawn anew, be it one model; else it
            is what the only run tells.

    Raises:
        UserError: a result is damaged.
    """
    return _finetuned(runs, drawn) if is_finetuning(runs[0].history) else _pretrained(runs)


def _finetuned(runs: Sequence[FinishedRun], drawn: bool) -> Finetuned:
    results, answers = [run.result for run in runs], [each for run in runs for each in run.answers]
    first, floor = results[0], runs[0].history.floor
    kind = get_kind(cast(HeadKind, first.text("kind")))
    names, baselines = (
        tuple(first.values.get("labels") or kind.columns((), Wanted())),
        first.part("baselines"),
    )
    metric = kind.scoring(names, first.text("metric"), first.text("positive", "")).metric
    seeds = [seed for result in results for seed in result.parts("seeds")]
    statuses = tuple(seed.text("status") for seed in seeds)
    losses = [last_train_loss(track.evaluations) for run in runs for track in run.history.tracks]
    return Finetuned(
        scores=tuple(seed.number("score") for seed in seeds),
        score=mean(result.number("score") for result in results),
        interval=seeds_interval(metric, [each.adds for each in answers])
        if drawn
        else first.interval("interval"),
        train_loss=mean(run.history.train_loss for run in runs),
        steps=seeds[0].whole("steps"),
        seconds=sum(result.number("seconds") for result in results),
        parameters=first.whole("parameters"),
        task=first.text("task"),
        kind=kind,
        metric=metric,
        rows=first.whole("rows"),
        metrics={
            name: mean(result.part("metrics").number(name, math.nan) for result in results)
            for name in first.figures("metrics")
        },
        baselines={name: baselines.part(name).number("score") for name in baselines.values},
        floor=floor,
        off_floor=sum(
            (floor is not None and loss < OFF_THE_PRIOR * floor) or status == "learned"
            for loss, status in zip(losses, statuses, strict=False)
        ),
        statuses=statuses,
        dev_fingerprint=first.text("dev_fingerprint") if first.has("dev_fingerprint") else "",
        answers=answers,
    )


def _pretrained(runs: Sequence[FinishedRun]) -> Pretrained:
    results = [run.result for run in runs]
    first, floors = results[0], results[0].part("floors")
    seeds = [seed for each in results for seed in (each.parts("seeds") if each.has("seeds") else [each])]
    scored = [seed.part("heldout") for seed in seeds if seed.values.get("heldout")]
    trained = [seed.number("train_mlm_loss") for seed in seeds]
    heldout = len(scored) == len(seeds)
    losses = [each.number(MASKED.loss) for each in scored] if heldout else trained
    shares = {
        name: [each.number(name) for each in scored if each.has(name)]
        for name in (MASKED.accuracy, PAIRS.accuracy)
    }
    return Pretrained(
        scores=tuple(losses),
        score=mean(losses),
        interval=mean_interval(losses),
        train_loss=mean(trained),
        steps=first.whole("steps"),
        seconds=sum(result.number("seconds") for result in results),
        parameters=first.whole("parameters"),
        heldout=heldout,
        accuracy=mean(shares[MASKED.accuracy]) if shares[MASKED.accuracy] else None,
        pairs=mean(shares[PAIRS.accuracy]) if shares[PAIRS.accuracy] else None,
        floors={name: floors.number(name) for name in ("unigram", "uniform")},
        through_at=tuple(seed.whole("through_at") if seed.has("through_at") else None for seed in seeds),
        tokens=first.whole("tokens"),
        corpus=first.part("corpus").text("fingerprint"),
    )


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a group's score, or its loss, lies above another's.

    Attributes:
        value: None where the two are not of the same thing.
        interval: of 95 %; None where there is none.
        ahead: the share of the resampled sets of rows and models in which it is better; None without them.
        samples: how many those sets are.
        seeds_drawn: whether the interval says what other seeds would change: both have several.
        why: there is no value, or no interval.
    """

    value: float | None
    interval: Interval | None = None
    ahead: float | None = None
    samples: int = 0
    seeds_drawn: bool = False
    why: str | None = None

    @property
    def clear(self) -> bool:
        """Whether its interval leaves out 0."""
        return self.interval is not None and (self.interval[0] > 0 or self.interval[1] < 0)


def score_difference(one: Finetuned, other: Finetuned, *, known_rows: bool = False) -> Difference:
    """How far `one` scores above `other`, paired row by row.

    Args:
        one: scored by the metric of `other`.
        other: what it is compared with.
        known_rows: both answer the same rows of one file, be it of other columns: to have the same targets
            is enough.
    """
    value = one.score - other.score
    why = _not_paired(one, other, known_rows)
    if why:
        return Difference(value=value, why=why)
    samples = paired_samples(one.metric, *([each.adds for each in group.answers] for group in (one, other)))
    better = samples if one.metric.higher else -samples
    return Difference(
        value=value,
        interval=middle(samples),
        ahead=float((better > 0).mean() + (better == 0).mean() / 2),
        samples=len(samples),
        # One seed is drawn again and again: the samples say nothing of what another one would change.
        seeds_drawn=min(len(one.answers), len(other.answers)) > 1,
    )


def _not_paired(one: Finetuned, other: Finetuned, known_rows: bool) -> str | None:
    """Why rows of two groups are not known to be the same ones; None where they are."""
    if not known_rows:
        if not (one.dev_fingerprint and other.dev_fingerprint):
            return "one of the runs is of a bertkit that did not yet note which dev rows it scored"
        if one.dev_fingerprint != other.dev_fingerprint:
            return "their dev rows are not the same"
    if not (one.answers and other.answers):
        return "a seed's answers row by row are not in its folder"
    if one.metric != other.metric:
        return "they are not scored alike"
    if not np.array_equal(one.answers[0].targets.values, other.answers[0].targets.values):
        return "their dev rows are not the same" if known_rows else "their labels stand in another order"
    return None


def loss_difference(one: Pretrained, other: Pretrained, *, same_tokens: bool) -> Difference:
    """How far the loss of `one` lies above that of `other`.

    Args:
        one: of the same text as `other`, or the two are not compared.
        other: what it is compared with.
        same_tokens: the same held-out tokens are masked for both: only then there is an interval, of the
            means over several seeds each (Welch 1947).
    """
    if not (one.heldout and other.heldout):
        return Difference(value=None, why="no text was held out")
    if one.corpus != other.corpus:
        return Difference(value=None, why="their texts are not the same, nor are the tokens that are scored")
    value = one.score - other.score
    if min(len(one.scores), len(other.scores)) < 2:
        return Difference(value=value, why="a run keeps one mean")
    if not same_tokens:
        return Difference(value=value, why="they are not of the same masked tokens")
    return Difference(value=value, interval=welch_interval(one.scores, other.scores), seeds_drawn=True)
