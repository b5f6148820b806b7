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

Names = tuple[str, ...]
"""Of the classes in their order, or of the numbers."""
Outputs = npt.NDArray[Any]
"""What the head says of N rows, [N, C]: log-probabilities of classes, or numbers."""
Predictions = npt.NDArray[Any]
"""What is made of outputs, one for each of N rows."""


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
        title: a few words, for tables and charts.
        words: what it is, in a sentence: "... scores 0.5".
        predict: of rows to learn from, rows to answer and the names: a prediction for each of the latter.
    """

    name: str
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
        usual: the name of the metric of rows whose task names none.
        metrics: all of them, in the order in which they are shown.
        baselines: the first is blind: it reads no text.
        targets: what a file's labels ask for, and the names; it raises `UserError` at a label that cannot be.
        told: the targets of rows as people know them, in JSON's values.
        predict: of outputs [N, C] the predictions [N].
        losses: of targets, outputs and how far the targets of training are spread: the loss of each row, [N].
        adds: of targets, predictions and names: what each row adds to the metrics, [N, S].
        floor: the loss of one who knows how targets are spread, and nothing else; of targets and names.
        floor_title: whose loss that is, in a few words, for charts.
        floor_words: what it is, in a sentence: "... is 0.5".
        spread: what a result says of the targets of training.
        scored: what it says of targets, predictions and names beside scores.
        examine: of outputs, targets, names and the metric: what more is to be said of one model's outputs.
        mistakes: of rows, outputs and names: the rows that a person should look at.
        answers: of outputs and names: what `predict` says of each row, without its texts.
        cells: what a row of an answer's file begins with, by column; the texts follow.
    """

    name: HeadKind
    usual: str
    metrics: tuple[Metric, ...]
    baselines: tuple[Baseline, ...]
    targets: Callable[[LabelColumn], tuple[Targets, Names]]
    told: Callable[[Targets, Names], list[Any]]
    predict: Callable[[Outputs], Predictions]
    losses: Callable[[Targets, Outputs, float], npt.NDArray[Any]]
    adds: Callable[[Targets, Predictions, Names], Adds]
    floor: Callable[[Targets, Names], float]
    floor_title: str
    floor_words: str
    spread: Callable[[Targets, Names], dict[str, Any]]
    scored: Callable[[Targets, Predictions, Names], dict[str, Any]] = _nothing
    examine: Callable[[Outputs, Targets, Names, Metric], dict[str, Any]] = _nothing
    mistakes: Callable[[Examples, Outputs, Names], list[dict[str, Any]]]
    answers: Callable[[Outputs, Names], list[dict[str, Any]]]
    cells: Callable[[Mapping[str, Any]], dict[str, str]]

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

    def status(self, predictions: Predictions, interval: Sequence[float], metric: str, blind: float) -> str:
        """See `runs.result.SeedResult`; `interval` is of the predictions, `blind` that baseline's score."""
        if one_answer(predictions):
            return "collapsed"
        return "learned" if self.metric(metric).beats(interval, blind) else "not learned"


def one_answer(predictions: Predictions) -> bool:
    """Whether all rows have the same prediction."""
    return len(np.unique(predictions)) == 1
