"""What a kind of task is: a frozen value of functions, which one file makes for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.head import HeadKind
from bertkit.data.tables import place
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.metrics import Adds, Metric, get_metric, summary

MISTAKES = 30
"""Rows at most that a person should look at."""
Names = tuple[str, ...]
"""Of the classes in their order, or of the numbers."""
Outputs = npt.NDArray[Any]
"""What the head says of N rows, [N, C]: log-probabilities of classes, or numbers."""
Predictions = npt.NDArray[Any]
"""What is made of outputs, one for each of N rows."""


@dataclass(frozen=True)
class Scale:
    """How numbers stand to those that are learned, whose mean is 0 and whose deviation is 1 over train."""

    mean: float = 0.0
    deviation: float = 1.0

    def inside(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Numbers as they are learned."""
        return ((values - self.mean) / self.deviation).astype(np.float32)

    def outside(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """What is learned, as the numbers that it stands for."""
        return (values.astype(np.float64) * self.deviation + self.mean).astype(np.float32)


@dataclass(frozen=True)
class LabelColumn:
    """The labels of a file as they stand there.

    Attributes:
        cells: N of them, none empty.
        lines: where each stands, from 1.
        path: the file.
        task: what the task is called.
        names: what the task calls its labels, by cell; empty where it does not tell.
        known: the names of training; None where these are the first rows to be read.
        to_learn: whether they are to be learned from.
    """

    cells: Sequence[str]
    lines: Sequence[int]
    path: Path
    task: str
    names: Mapping[str, str] = field(default_factory=dict)
    known: Names | None = None
    to_learn: bool = True

    def place(self, row: int) -> str:
        """How a message names one of them."""
        return place(self.path, self.lines[row])


@dataclass(frozen=True)
class Baseline:
    """What a score is laid beside.

    Attributes:
        name: in results.
        short: for tables in a terminal.
        title: a few words, for pages: "the ...'s score".
        words: what it is, in a sentence: "... scores 0.5".
        predict: of rows to learn from, rows to answer and the names: a prediction for each of the latter.
    """

    name: str
    short: str
    title: str
    words: str
    predict: Callable[[Examples, Examples, Names], Predictions]


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What labelled rows ask for, how it is scored, and how an answer is told.

    Attributes:
        name: a key of `HEAD_KINDS`.
        most: labels that a head has at most to be used so; 0: any number.
        usual: the name of the metric of rows whose task names none.
        metrics: all of them, in the order in which they are shown.
        baselines: two; the first is blind: it reads no text.
        learned: what a model has learned that beats it: "the model has learned ...".
        knowing: what the floor knows, for pictures and in a sentence: "knowing only ...".
        targets: what a file's labels ask for, and the names; it raises `UserError` at a label that cannot be.
        told: the targets of rows as people know them, in JSON's values.
        predict: of outputs [N, C] the predictions [N].
        scale: of the targets of training; None where they are learned as they are.
        losses: of targets, outputs and the scale of training: the loss of each row, [N].
        one_answer: of targets and predictions: whether all rows have the same one.
        adds: of targets, predictions and names: what each row adds to the metrics, [N, S].
        floor: the loss of one who knows how some targets are spread and nothing else: of these, the scale of
            training and the names.
        floor_title: whose loss that is, in a few words, for charts.
        floor_words: what it is, in a sentence: "... is 0.5".
        uniform: the loss of one who knows nothing; of the names.
        words: what a person is told of the targets of training before a run: a heading and a text.
        spread: what a result says of the targets of training.
        scored: what it says of targets, predictions and names beside scores.
        examine: of outputs, targets, names and the metric: what more is to be said of one model's outputs.
        mistakes: of rows, outputs and names: the rows that a person should look at.
        answers: of outputs and names: what `predict` says of each row, without its texts.
        columns: what the lines of answers begin with, before the texts.
        cells: of an answer, as texts.
    """

    name: HeadKind
    most: int = 0
    usual: str
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, Baseline]
    learned: str
    knowing: tuple[str, str]
    targets: Callable[[LabelColumn], tuple[Targets, Names]]
    told: Callable[[Targets, Names], list[Any]]
    predict: Callable[[Outputs], Predictions]
    scale: Callable[[Targets], Scale] | None = None
    losses: Callable[[Targets, Outputs, Scale], npt.NDArray[Any]]
    one_answer: Callable[[Targets, Predictions], bool]
    adds: Callable[[Targets, Predictions, Names], Adds]
    floor: Callable[[Targets, Scale, Names], float]
    floor_title: str
    floor_words: str
    uniform: Callable[[Names], float]
    words: Callable[[Targets, Names], tuple[str, str]]
    spread: Callable[[Targets, Names], dict[str, Any]]
    scored: Callable[[Targets, Predictions, Names], dict[str, Any]] = _nothing
    examine: Callable[[Outputs, Targets, Names, Metric], dict[str, Any]] = _nothing
    mistakes: Callable[[Examples, Outputs, Names], list[dict[str, Any]]]
    answers: Callable[[Outputs, Names], list[dict[str, Any]]]
    columns: tuple[str, ...]
    cells: Callable[[Mapping[str, Any]], list[str]]

    @property
    def labels(self) -> bool:
        """Whether rows ask for labels, which stand in an order; else for numbers."""
        return self.scale is None

    def metric(self, name: str) -> Metric:
        """The metric of that name, the usual one of none.

        Raises:
            UserError: there is none; the nearest name is offered.
        """
        return get_metric(self.metrics, name or self.usual)

    def score_baselines(
        self, train: Examples, dev: Examples, names: Names, metric: str, *, blind: bool = False
    ) -> dict[str, Any]:
        """What each baseline, or the blind one alone, reaches on dev: its `metrics.summary` by its name."""
        return {
            each.name: self.summary(dev.known, each.predict(train, dev, names), names, metric)
            for each in self.baselines[: 1 if blind else None]
        }

    def summary(
        self, targets: Targets, predictions: Predictions, names: Names, metric: str
    ) -> dict[str, Any]:
        """What is said of predictions: see `metrics.summary`."""
        return summary(self.metrics, self.adds(targets, predictions, names), metric)

    def status(
        self,
        targets: Targets,
        predictions: Predictions,
        interval: Sequence[float],
        metric: str,
        blind: float,
    ) -> str:
        """See `runs.result.SeedResult`; `interval` is of the predictions, `blind` that baseline's score."""
        if self.one_answer(targets, predictions):
            return "collapsed"
        return "learned" if self.metric(metric).beats(interval, blind) else "not learned"
