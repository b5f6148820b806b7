"""What a kind of task is: a frozen value of functions, which one file makes for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.head import HeadKind
from bertkit.config.reading import Reading
from bertkit.data.packing import encode_texts
from bertkit.data.tables import BadRow, Row, iterate_rows
from bertkit.errors import UserError
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.metrics import Adds, FloatArray, Metric, get_metric, summary
from bertkit.text.tokenizer import Tokenizer

MISTAKES = 30
"""Rows at most that a person should look at."""
Names = tuple[str, ...]
"""Of the classes in their order, or of the numbers."""
HeadOutputs = npt.NDArray[Any]
"""What `model.bulk.head_outputs` gives: of rows [N, C], of tokens or of the sequences of rows end to end."""
Outputs = npt.NDArray[Any]
"""What a kind keeps of them: of N rows [N, ...], or of as many values as `Targets` has of them."""
Predictions = npt.NDArray[Any]
"""What is made of outputs, as many; what they are is for the kind to say."""
Decision = Mapping[str, Any]
"""How predictions are made of outputs, in JSON's values, such as a threshold; fitted on dev, kept on the
model's card."""
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
        cells: N of them, none empty; of tables texts, else as the kind reads them.
        lines: where each stands, from 1.
        path: the file.
        task: what the task is called.
        names: what the task calls its labels, by cell; empty where it does not tell.
        known: the names of training; None where these are the first rows to be read.
        to_learn: whether they are to be learned from.
        grows: whether labels beyond `known` are added to them.
    """

    cells: Sequence[Any]
    lines: Sequence[int]
    path: Path
    task: str
    names: Mapping[str, str] = field(default_factory=dict)
    known: Names | None = None
    to_learn: bool = True
    grows: bool = False

    def of(self, rows: Sequence[Row]) -> LabelColumn:
        """That of some rows."""
        cells = ["" if row.label is None else row.label for row in rows]
        return replace(self, cells=cells, lines=[row.line for row in rows])


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


def _no_notes(rows: Examples, names: Names) -> Iterator[str]:
    yield from ()


def _the_same(rows: Examples) -> Examples:
    return rows


def _one_stratum(targets: Targets) -> npt.NDArray[Any]:
    return np.zeros(len(targets), dtype=np.int64)


def encode_rows(tokenizer: Tokenizer, rows: Examples, reading: Reading, names: Names) -> Encoded:
    """Rows of a text, or of a pair of texts, and one target: as `encode_texts` has them."""
    sequences = encode_texts(tokenizer, rows.texts, rows.pairs, **asdict(reading))
    return Encoded(sequences, rows.targets)


def _all_outputs(encoded: Encoded, outputs: HeadOutputs) -> Outputs:
    return outputs


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
        f"Class weights and balanced batches are of rows with one of several labels each; leave {how!r} out."
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

    def summary(self, rows: Examples, predictions: Predictions) -> dict[str, Any]:
        """What is said of predictions: see `metrics.summary`; with `positive` where there is one."""
        return self.of(self.kind.adds(rows, predictions, self.names))

    def of(self, adds: Adds) -> dict[str, Any]:
        """The same of what rows add, [N, S]."""
        found = summary(self.metrics, adds, self.metric.name)
        return {**found, "positive": self.positive} if self.positive else found

    def baselines(self, train: Examples, dev: Examples, *, blind: bool = False) -> dict[str, Any]:
        """What each baseline, or the blind one alone, reaches on dev: its `summary` by its name."""
        return {
            each.name: self.summary(dev, each.predict(train, dev, self.names))
            for each in self.kind.baselines[: 1 if blind else None]
        }

    def status(
        self, rows: Examples, predictions: Predictions, interval: Sequence[float], blind: float
    ) -> str:
        """See `runs.result.SeedResult`; `interval` is of the predictions, `blind` that baseline's score."""
        if self.kind.one_answer(rows, predictions):
            return "collapsed"
        return "learned" if self.metric.beats(interval, blind) else "not learned"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What labelled rows ask for, how it is scored, and how an answer is told.

    Attributes:
        name: a key of `HEAD_KINDS`.
        most: labels that a head has at most to be used so; 0: any number.
        usual: the name of the metric of rows whose task names none.
        usual_of: of names: the same, where it hangs on them.
        metrics: all of them, in the order in which they are shown.
        metrics_of: of names and the positive one of two, or "": those of `metrics` that such rows have.
        positive: of the label that is asked for ("": none is), targets and names: the positive label of two,
            else ""; it raises `UserError` where the one that is asked for cannot be.
        baselines: two; the first is blind: it reads no text.
        learned: what a model has learned that beats it: "the model has learned ...".
        classes: whether a row has one of several classes.
        usual_columns: those of the text, the second text and the label where nobody names them; ""
            is for `reads` to tell.
        shown: what the texts of a row are called beside the answer; one that has no name is not shown.
        reading: keys of a recipe's `batch` that say how texts are read where nobody says; a window is no
            longer than the model has positions, and the stride no more than its third.
        reads: of a file, its columns and how it is read (see `iterate_rows`): its rows.
        takes_context: whether it reads a row with its neighbours, too: the argument `context`.
        takes_words: whether a text may come as the list of its words, `more["words"]`.
        complete: of rows the same, with what can be told of them that a file does not say.
        notes: of rows with targets, and names: what is to be said of how they were read.
        label_problem: why a label of a file cannot be, as a sentence behind its place; None where it can.
        targets: what a file's labels ask for, and the names; it raises `UserError` where they cannot be
            learned from.
        told: the targets of rows as people know them, in JSON's values.
        strata: of N targets, what each row counts as where some are set aside, [N]: see `tasks.split`.
        encode: of a tokenizer, rows, how texts are read, and the names: the rows as a model reads them.
        collect: of rows so encoded and what the head says of them: the outputs that are kept.
        predict: of rows, outputs, names and a decision: the predictions.
        decodings: what `decode` may be in a decision, where somebody asks; the first is the usual one.
        decide: of rows with targets, outputs and how they are scored: the decision that is best there, and
            predictions that it could not see the targets of; None where there is nothing to decide.
        scale: of the targets of training; None where they are learned as they are.
        losses: of rows encoded with targets, what the head says of them, and the scale of training: the loss
            of each target that counts; of rows with one each, [N].
        one_answer: of rows and predictions: whether all rows have the same one.
        adds: of rows, predictions and names: what each row adds to the metrics, [N, S].
        prior: of the targets of training and names: the logits [C] of one who knows how often each label
            occurs, with which the bias of a new head begins; None: it begins with 0.
        weights: of how ("balanced" or "sqrt"), the targets of training and names: the weight of each class in
            the loss, [C], 1 on average over the rows; it raises `UserError` where rows have no classes.
        floor: the loss of one who knows how some targets are spread and nothing else: of rows encoded with
            them, the scale of training, the names, and the weights of the classes in the loss, or None.
        floor_title: what has that loss, as a subject: "predicting ...".
        floor_words: what it is, in a sentence: "... is 0.5".
        uniform: the loss of one who knows nothing; of rows encoded, and the names.
        words: what a person is told of the targets of training before a run: a heading and a text.
        spread: what a result says of the targets of training.
        scored: what it says of rows, predictions and names beside scores.
        examine: of rows, outputs and how they are scored: what more is to be said of one model's outputs.
        mistakes: of rows, outputs, predictions and names: the rows that a person should look at.
        answers: of the same: what `predict` says of each row, without its texts.
        columns: of the names and what is wanted: what the columns of answers are called in a table, and of
            what type they are.
        cells: of an answer and what is wanted: what stands in them, texts and numbers.
        overview: of what stands in the first of them, for some rows: what there is, in words by name.
        official: of answers: what JSON files hold that the official scripts of such tasks read, by name.
    """

    name: HeadKind
    most: int = 0
    usual: str
    usual_of: Callable[[Names], str] | None = None
    metrics: tuple[Metric, ...]
    metrics_of: Callable[[Names, str], tuple[Metric, ...]]
    positive: Callable[[str, Targets, Names], str] = no_positive
    baselines: tuple[Baseline, Baseline]
    learned: str
    classes: bool = False
    usual_columns: tuple[str, str | None, str] = ("text", None, "label")
    shown: tuple[str, ...] = ("text", "pair")
    reading: Mapping[str, int] = field(default_factory=dict)
    reads: Callable[..., Iterator[Row | BadRow]] = iterate_rows
    takes_context: bool = False
    takes_words: bool = False
    complete: Callable[[Examples], Examples] = _the_same
    notes: Callable[[Examples, Names], Iterator[str]] = _no_notes
    label_problem: Callable[[LabelColumn, int], str | None]
    targets: Callable[[LabelColumn], tuple[Targets, Names]]
    told: Callable[[Targets, Names], list[Any]]
    strata: Callable[[Targets], npt.NDArray[Any]] = _one_stratum
    encode: Callable[[Tokenizer, Examples, Reading, Names], Encoded] = encode_rows
    collect: Callable[[Encoded, HeadOutputs], Outputs] = _all_outputs
    predict: Callable[[Examples, Outputs, Names, Decision], Predictions]
    decodings: tuple[str, ...] = ()
    decide: Callable[[Examples, Outputs, Scoring], tuple[Decision, Predictions]] | None = None
    scale: Callable[[Targets], Scale] | None = None
    losses: Callable[[Encoded, HeadOutputs, Scale], npt.NDArray[Any]]
    one_answer: Callable[[Examples, Predictions], bool]
    adds: Callable[[Examples, Predictions, Names], Adds]
    prior: Callable[[Targets, Names], FloatArray] | None = None
    weights: Callable[[str, Targets, Names], FloatArray] = no_weights
    floor: Callable[[Encoded, Scale, Names, FloatArray | None], float]
    floor_title: str
    floor_words: str
    uniform: Callable[[Encoded, Names], float]
    words: Callable[[Targets, Names], tuple[str, str]]
    spread: Callable[[Targets, Names], dict[str, Any]]
    scored: Callable[[Examples, Predictions, Names], dict[str, Any]] = _nothing
    examine: Callable[[Examples, Outputs, Scoring], dict[str, Any]] = _nothing
    mistakes: Callable[[Examples, Outputs, Predictions, Names], list[dict[str, Any]]]
    answers: Callable[[Examples, Outputs, Predictions, Names], list[dict[str, Any]]]
    columns: Callable[[Names, Wanted], dict[str, type]]
    cells: Callable[[Mapping[str, Any], Wanted], list[Any]]
    overview: Callable[[Sequence[Any]], dict[str, str]]
    official: Callable[[Sequence[Mapping[str, Any]]], dict[str, Any]] | None = None

    def decided(self, rows: Examples, outputs: Outputs, scoring: Scoring) -> tuple[Decision, Predictions]:
        """How predictions are best made of outputs, and predictions as new rows would have them.

        Args:
            rows: with targets.
            outputs: of them.
            scoring: of them, by which is told what is best.
        """
        if self.decide is not None:
            return self.decide(rows, outputs, scoring)
        return {}, self.predict(rows, outputs, scoring.names, {})

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
        if not metric and self.usual_of is not None:
            metric = self.usual_of(names)
        known, asked = self.metrics_of(names, positive), self.metric(metric)
        found = next((each for each in known if each.name == asked.name), None)
        if found is None:
            two = f"of one of two labels, and these rows have {len(names)}"
            raise UserError(
                f"{asked.title} is {two if asked.of_positive else 'none of such rows'}; give another "
                f"--metric: {', '.join(each.name for each in known)}."
            )
        return Scoring(self, names, found, known, positive)
