"""What a kind of task is: a frozen value of functions, which one file makes for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.head import HeadKind
from bertkit.data.tables import Row
from bertkit.errors import UserError
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.metrics import Adds, FloatArray, Metric, get_metric, summary

MISTAKES = 30
"""Rows at most that a person should look at."""
Names = tuple[str, ...]
"""Of the classes in their order, or of the numbers."""
Outputs = npt.NDArray[Any]
"""What the head says of N rows, [N, C]: log-probabilities of classes, or numbers."""
Predictions = npt.NDArray[Any]
"""What is made of outputs, one for each of N rows."""
UNSURE = "unsure"
"""The label in a table of a row whose best label is not likely enough."""


@dataclass(frozen=True)
class Wanted:
    """What a table of answers says of each row; the probabilities are of kinds with labels.

    Attributes:
        every: the probability of every label.
        top: so many of the likeliest labels, each with its probability.
        least: a label that is less likely is given as `UNSURE`.
    """

    every: bool = False
    top: int = 1
    least: float = 0.0


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
        grows: whether labels beyond `known` are added to them.
    """

    cells: Sequence[str]
    lines: Sequence[int]
    path: Path
    task: str
    names: Mapping[str, str] = field(default_factory=dict)
    known: Names | None = None
    to_learn: bool = True
    grows: bool = False

    def of(self, rows: Sequence[Row]) -> LabelColumn:
        """That of some rows."""
        return replace(self, cells=[row.label or "" for row in rows], lines=[row.line for row in rows])


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


def no_positive(asked: str, targets: Targets, names: Names) -> str:
    """Only of two labels one is the positive one."""
    if asked:
        raise UserError(
            f"A positive label is one of two, and these rows have {len(names)} "
            f"({', '.join(names[:3])}{' ...' if len(names) > 3 else ''}); leave --positive out."
        )
    return ""


def no_weights(how: str, targets: Targets, names: Names) -> FloatArray:
    """Only classes have weights."""
    raise UserError(
        f"Class weights and balanced batches are of labels, and these rows have numbers; leave {how!r} out."
    )


@dataclass(frozen=True)
class Scoring:
    """How answers to some rows are scored.

    Attributes:
        kind: of the rows.
        names: of the classes, or of the numbers.
        metric: the one that chooses.
        metrics: all that such rows have, in the order in which they are shown.
        positive: of two labels the one whose F1 is told; "" of other rows.
    """

    kind: Kind
    names: Names
    metric: Metric
    metrics: tuple[Metric, ...]
    positive: str = ""

    def summary(self, targets: Targets, predictions: Predictions) -> dict[str, Any]:
        """What is said of predictions: see `metrics.summary`; with `positive` where there is one."""
        return self.of(self.kind.adds(targets, predictions, self.names))

    def of(self, adds: Adds) -> dict[str, Any]:
        """The same of what rows add, [N, S]."""
        found = summary(self.metrics, adds, self.metric.name)
        return {**found, "positive": self.positive} if self.positive else found

    def baselines(self, train: Examples, dev: Examples, *, blind: bool = False) -> dict[str, Any]:
        """What each baseline, or the blind one alone, reaches on dev: its `summary` by its name."""
        return {
            each.name: self.summary(dev.known, each.predict(train, dev, self.names))
            for each in self.kind.baselines[: 1 if blind else None]
        }

    def status(
        self, targets: Targets, predictions: Predictions, interval: Sequence[float], blind: float
    ) -> str:
        """See `runs.result.SeedResult`; `interval` is of the predictions, `blind` that baseline's score."""
        if self.kind.one_answer(targets, predictions):
            return "collapsed"
        return "learned" if self.metric.beats(interval, blind) else "not learned"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What labelled rows ask for, how it is scored, and how an answer is told.

    Attributes:
        name: a key of `HEAD_KINDS`.
        most: labels that a head has at most to be used so; 0: any number.
        usual: the name of the metric of rows whose task names none.
        metrics: all of them, in the order in which they are shown.
        metrics_of: of names and the positive one of two, or "": those of `metrics` that such rows have.
        positive: of the label that is asked for ("": none is), targets and names: the positive label of two,
            else ""; it raises `UserError` where the one that is asked for cannot be.
        baselines: two; the first is blind: it reads no text.
        learned: what a model has learned that beats it: "the model has learned ...".
        label_problem: why a label of a file cannot be, as a sentence behind its place; None where it can.
        targets: what a file's labels ask for, and the names; it raises `UserError` where they cannot be
            learned from.
        told: the targets of rows as people know them, in JSON's values.
        predict: of outputs [N, C] the predictions [N].
        scale: of the targets of training; None where they are learned as they are.
        losses: of targets, outputs and the scale of training: the loss of each row, [N].
        one_answer: of targets and predictions: whether all rows have the same one.
        adds: of targets, predictions and names: what each row adds to the metrics, [N, S].
        weights: of how ("balanced" or "sqrt"), the targets of training and names: the weight of each class in
            the loss, [C], 1 on average over the rows; it raises `UserError` where rows have no classes.
        floor: the loss of one who knows how some targets are spread and nothing else: of these, the scale of
            training, the names, and the weights of the classes in the loss, or None.
        floor_title: what has that loss, as a subject: "predicting ...".
        floor_words: what it is, in a sentence: "... is 0.5".
        uniform: the loss of one who knows nothing; of the names.
        words: what a person is told of the targets of training before a run: a heading and a text.
        spread: what a result says of the targets of training.
        scored: what it says of targets, predictions and names beside scores.
        examine: of outputs, targets and how they are scored: what more is to be said of one model's outputs.
        mistakes: of rows, outputs and names: the rows that a person should look at.
        answers: of outputs and names: what `predict` says of each row, without its texts.
        columns: of the names and what is wanted: what the columns of answers are called in a table, and of
            what type they are.
        cells: of an answer and what is wanted: what stands in them, texts and numbers.
        overview: of what stands in the first of them, for some rows: what there is, in words by name.
    """

    name: HeadKind
    most: int = 0
    usual: str
    metrics: tuple[Metric, ...]
    metrics_of: Callable[[Names, str], tuple[Metric, ...]]
    positive: Callable[[str, Targets, Names], str] = no_positive
    baselines: tuple[Baseline, Baseline]
    learned: str
    label_problem: Callable[[LabelColumn, int], str | None]
    targets: Callable[[LabelColumn], tuple[Targets, Names]]
    told: Callable[[Targets, Names], list[Any]]
    predict: Callable[[Outputs], Predictions]
    scale: Callable[[Targets], Scale] | None = None
    losses: Callable[[Targets, Outputs, Scale], npt.NDArray[Any]]
    one_answer: Callable[[Targets, Predictions], bool]
    adds: Callable[[Targets, Predictions, Names], Adds]
    weights: Callable[[str, Targets, Names], FloatArray] = no_weights
    floor: Callable[[Targets, Scale, Names, FloatArray | None], float]
    floor_title: str
    floor_words: str
    uniform: Callable[[Names], float]
    words: Callable[[Targets, Names], tuple[str, str]]
    spread: Callable[[Targets, Names], dict[str, Any]]
    scored: Callable[[Targets, Predictions, Names], dict[str, Any]] = _nothing
    examine: Callable[[Outputs, Targets, Scoring], dict[str, Any]] = _nothing
    mistakes: Callable[[Examples, Outputs, Names], list[dict[str, Any]]]
    answers: Callable[[Outputs, Names], list[dict[str, Any]]]
    columns: Callable[[Names, Wanted], dict[str, type]]
    cells: Callable[[Mapping[str, Any], Wanted], list[Any]]
    overview: Callable[[Sequence[Any]], dict[str, str]]

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

    def scoring(self, names: Names, metric: str, positive: str = "") -> Scoring:
        """How rows with such names are scored.

        Args:
            names: of the classes, or of the numbers.
            metric: the one that chooses; the usual one of "".
            positive: see `Scoring`; of two labels the second of "".

        Raises:
            UserError: there is no such metric, or such rows do not have it.
        """
        known, asked = self.metrics_of(names, positive), self.metric(metric)
        found = next((each for each in known if each.name == asked.name), None)
        if found is None:
            raise UserError(
                f"{asked.title} is of one of two labels, and these rows have {len(names)}; give another "
                f"--metric: {', '.join(each.name for each in known)}."
            )
        return Scoring(self, names, found, known, positive)
