"""Labelled rows before a run: their labels and order, and what may be wrong with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.health.advice import PRETRAINED, grave, notable
from bertkit.health.audited import LINES_SHOWN, SURELY
from bertkit.health.preflight import ClassMeasures, NumberMeasures, Preflight, RowMeasures
from bertkit.runs.findings import Change, Finding
from bertkit.tasks.classify import majority_of
from bertkit.tasks.examples import Examples
from bertkit.tasks.kinds import title

Ints = npt.NDArray[np.int64]

PAIRS_COMPARED = 1_000
IMBALANCED = 0.8
"""Share of the majority, and its score, from which a metric says little: reached without any text."""
ONE_LABEL = 0.25
"""Share of batches of one label beyond chance: each moves the output's bias to and fro and teaches little."""
SORTED = 0.3
"""Of the way from labels in random order (a dispersion of 1) to batches of one label each (their size). Of
CoLA as it stands, sorted by source, it is 0.06."""
SORTED_BY_SOURCE = 1.5
"""How much more neighbours of a file have in common than strangers, to be called sorted by source."""
FAR_ROWS, FAR_SHARE = 0.01, 0.5
"""Of normal numbers the furthest hundredth makes a twelfth of the variance: half of it is a judgement."""
MEANS_DIFFER = 0.3
"""Standard deviations between the means of train and dev: a judgement."""
ENOUGH_ROWS = 20_000
"""From which fresh weights may be worth it: a judgement."""
FEW_UPDATES, ENOUGH_UPDATES = 100, 150
"""Of a fine-tuning: see `train.settle.UPDATES`."""


def measure_rows(
    train: Examples,
    dev: Examples,
    labels: Sequence[str],
    sequences: Sequences,
    batches: Sequence[Ints],
    *,
    at_once: int,
    baseline_loss: float,
    blind: dict[str, Any],
    classes: bool,
    numbers: bool,
) -> RowMeasures:
    """What `RowMeasures` says, and what there is to say of classes or numbers, where rows have one each.

    Args:
        train: read with labels.
        dev: read with labels.
        labels: names of the classes.
        sequences: train, encoded.
        batches: rows of each batch of the first epoch, as the recipe makes them.
        at_once: rows of a batch, to cut the file as it stands.
        baseline_loss: see `RowMeasures`.
        blind: `metrics.summary` of the baseline that reads no text.
        classes: whether a row has one of several classes.
        numbers: whether a row has a number.
    """
    known, single = train.known.values, classes or numbers
    count = len(labels) if classes else 0
    in_order = np.split(np.arange(len(train)), range(at_once, len(train), at_once))
    neighbours, strangers = _alike(sequences)
    measured: dict[str, Any] = {
        "train_rows": len(train),
        "dev_rows": len(dev),
        "baseline_loss": baseline_loss,
        "lines": {},
        "batch_dispersion": dispersion(known, batches, count) if single else 1.0,
        "file_dispersion": dispersion(known, in_order, count) if single else 1.0,
        "neighbours_alike": neighbours,
        "strangers_alike": strangers,
    }
    if classes:
        return _of_classes(known, dev.known.values, labels, batches, blind, measured)
    return _of_numbers(train, dev, blind, measured) if numbers else RowMeasures(**measured)


def _of_classes(
    train: Ints,
    dev: Ints,
    labels: Sequence[str],
    batches: Sequence[Ints],
    blind: dict[str, Any],
    measured: dict[str, Any],
) -> ClassMeasures:
    counts, dev_counts = (np.bincount(known, minlength=len(labels)) for known in (train, dev))
    # Of balanced batches, not those of the file.
    shares = np.bincount(train[np.concatenate(batches)], minlength=len(labels)) / sum(map(len, batches))
    return ClassMeasures(
        **measured,
        counts=dict(zip(labels, counts.tolist(), strict=True)),
        dev_counts=dict(zip(labels, dev_counts.tolist(), strict=True)),
        majority_label=labels[majority_of(counts, dev_counts)],
        majority_score=blind["score"],
        majority_accuracy=blind["metrics"]["accuracy"],
        positive=blind.get("positive", ""),
        one_label=float(np.mean([len(np.unique(train[rows])) == 1 for rows in batches])),
        one_label_by_chance=float(np.mean([(shares ** len(rows)).sum() for rows in batches])),
    )


def _of_numbers(
    train: Examples, dev: Examples, blind: dict[str, Any], measured: dict[str, Any]
) -> NumberMeasures:
    values = train.known.values
    squares = (values - values.mean()) ** 2
    far = np.argsort(-squares, kind="stable")[: max(1, round(FAR_ROWS * len(values)))]
    measured["lines"]["outliers"] = [train.lines[row] for row in far[:LINES_SHOWN]]
    return NumberMeasures(
        **measured,
        mean=float(values.mean()),
        deviation=float(values.std()),
        least=float(values.min()),
        greatest=float(values.max()),
        dev_mean=float(dev.known.values.mean()),
        mean_score=blind["score"],
        far_share=float(squares[far].sum() / squares.sum()),
    )


def dispersion(labels: npt.NDArray[Any], batches: Sequence[Ints], classes: int) -> float:
    """How much labels vary from batch to batch: about 1 in random order, and the mean number of a batch's
    rows where every batch has one label.

    It is Pearson's chi-squared of labels against batches, for each degree of freedom; of numbers the variance
    between batches over that of all rows.

    Args:
        labels: of N rows, [N].
        batches: rows of each.
        classes: C, where labels are 0 to C - 1; 0 where they are numbers.
    """
    if len(batches) < 2:
        return 1.0
    if not classes:
        apart = sum(len(rows) * (labels[rows].mean() - labels.mean()) ** 2 for rows in batches)
        return float(apart / (len(batches) - 1) / labels.var())
    every = labels[np.concatenate(batches)]  # Of balanced batches the shares are not those of the file.
    shares = np.bincount(every, minlength=classes) / len(every)
    here = shares > 0
    if here.sum() < 2:
        return 1.0
    found = np.array([np.bincount(labels[rows], minlength=classes)[here] for rows in batches])
    expected = found.sum(1, keepdims=True) * shares[here]
    freedom = (len(batches) - 1) * (int(here.sum()) - 1)
    return float(((found - expected) ** 2 / expected).sum() / freedom)


def _alike(sequences: Sequences) -> tuple[float, float]:
    """Mean overlap of the tokens of neighbouring rows, and of rows at random."""
    count = len(sequences)
    if count < 3:
        return 0.0, 0.0
    random = np.random.default_rng(0)
    first = random.integers(0, count - 1, PAIRS_COMPARED)
    others = random.integers(0, count, PAIRS_COMPARED)

    def mean(left: Ints, right: Ints) -> float:
        pairs = [(_tokens(sequences, i), _tokens(sequences, j)) for i, j in zip(left, right, strict=True)]
        return float(np.mean([len(a & b) / len(a | b) for a, b in pairs]))

    return mean(first, first + 1), mean(first, np.where(others == first, count - 1 - others, others))


def _tokens(sequences: Sequences, row: int) -> set[int]:
    # Without the first and the last, which are [CLS] and [SEP] in every row.
    return set(sequences.ids[sequences.starts[row] + 1 : sequences.starts[row + 1] - 1].tolist()) or {-1}


def imbalance(record: Preflight) -> Finding | None:
    """Always giving the same answer reaches much of the metric that chooses."""
    rows, metric = record.classes, record.asked.metric
    share = max(rows.shares.values())
    if share < IMBALANCED or rows.majority_score < IMBALANCED:
        return None
    rarer = next((label for label in rows.counts if label != rows.majority_label), "")
    other = Change("task.positive", rarer) if rows.positive == rows.majority_label else None
    return notable(
        "certain",
        f"{share:.0%} of train are {rows.majority_label!r}; always answering that has "
        f"{title(metric, rows.positive)} {rows.majority_score:.3f} on dev.",
        "The best checkpoint is chosen by that number, which a model that has collapsed nearly reaches.",
        *([other] if other and metric == "f1" else []),
        Change("task.metric", "macro_f1"),
        Change("task.metric", "mcc"),
    )


def numbers_differ(record: Preflight) -> Finding | None:
    """Train and dev have other means, by more than chance."""
    rows = record.numbers
    apart = abs(rows.mean - rows.dev_mean) / rows.deviation
    if apart < MEANS_DIFFER or apart**2 < SURELY * (1 / rows.train_rows + 1 / rows.dev_rows):
        return None
    return notable(
        "certain",
        f"Scores of train have a mean of {rows.mean:.3g}, those of dev of {rows.dev_mean:.3g}: {apart:.2f} "
        "standard deviations apart.",
        "The two were not drawn alike, so the model learns other scores than it is measured by.",
        Change(words="draw dev at random from the same rows as train"),
    )


def outliers(record: Preflight) -> Finding | None:
    """A few numbers are so far from all others that the loss is about them."""
    rows = record.numbers
    if rows.far_share < FAR_SHARE:
        return None
    return notable(
        "likely",
        f"A hundredth of the rows of train makes {rows.far_share:.0%} of the variance of their scores, which "
        f"go from {rows.least:.3g} to {rows.greatest:.3g}{_shown_lines(rows, 'outliers')}.",
        "Errors are squared: those of these rows outweigh all others, and the rest is hardly learnt.",
        Change(words="see whether they are mistakes, or learn the logarithm or the rank of the scores"),
    )


def batches_of_one_label(record: Preflight) -> Finding | None:
    """Many batches of the first epoch hold one label alone."""
    rows = record.classes
    if rows.one_label - rows.one_label_by_chance < ONE_LABEL:
        return None
    return grave(
        "certain",
        f"In {rows.one_label:.0%} of the first epoch's batches all rows have the same label; in random "
        f"order it would be {rows.one_label_by_chance:.1%}.",
        "Each batch teaches to answer its own label always, and the next one the opposite.",
        *_shuffled(record),
    )


def file_order(record: Preflight) -> Finding | None:
    """The rows come in the order of their file, every epoch."""
    rows = record.labelled
    if record.asked.shuffle:
        return None
    seen = [
        f"Batches are cut from the file as it stands, in every epoch the same ones: the labels vary "
        f"{rows.file_dispersion:.1f} times as much between them as in random order"
    ]
    if rows.neighbours_alike > SORTED_BY_SOURCE * rows.strangers_alike:
        seen.append(
            f"and neighbours share {rows.neighbours_alike:.0%} of their tokens where strangers share "
            f"{rows.strangers_alike:.0%}, so the file is sorted by source"
        )
    # Of one row a batch the labels vary as they do in any order.
    at_once = record.asked.at_once
    by_label = at_once > 1 and rows.file_dispersion - 1 > SORTED * (at_once - 1)
    return (grave if by_label else notable)(
        "certain" if by_label else "likely",
        ", ".join(seen) + ".",
        "What the file's last batches have in common is what the model believes at an epoch's end.",
        *_shuffled(record),
    )


def _shuffled(record: Preflight) -> tuple[Change, ...]:
    if record.asked.shuffle:
        return (Change("batch.by_length", False), Change(words="larger batches (--batch)"))
    return (Change("batch.shuffle", True),)


def few_rows(record: Preflight) -> Finding | None:
    """Fresh weights begin on own rows that are too few for them."""
    asked, rows = record.asked, record.labelled
    if not (asked.own_rows and asked.fresh) or asked.frozen or rows.train_rows >= ENOUGH_ROWS:
        return None
    return notable(
        "likely",
        f"The run has {rows.train_rows:,} training rows for the fresh weights of {asked.model!r}.",
        "Fresh weights learn the language from these rows alone: with fewer than about "
        f"{ENOUGH_ROWS:,} expect no more than n-grams give.",
        PRETRAINED,
    )


def ends_early(record: Preflight) -> Finding | None:
    """Fine-tuning ends before it can have learned."""
    asked, rows = record.asked, record.labelled
    if not asked.own_rows or asked.budget_minutes or not 0 < asked.steps < FEW_UPDATES:
        return None
    epochs = math.ceil(ENOUGH_UPDATES * asked.at_once / rows.train_rows)
    return notable(
        "likely",
        f"The run has {asked.steps:,} updates, of {asked.at_once} rows each.",
        f"Few rows want many epochs: a model begins to learn within about {ENOUGH_UPDATES} updates.",
        Change("training.epochs", epochs),
        Change("training.steps", 0, together=True),
    )


def _shown_lines(rows: RowMeasures, what: str) -> str:
    shown = rows.lines.get(what, [])
    return f" (lines {', '.join(map(str, shown))} ...)" if shown else ""
