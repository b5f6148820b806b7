"""The kind of task whose rows have several texts, of which one is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading
from bertkit.data.packed import WindowIndex
from bertkit.data.packing import encode_texts
from bertkit.errors import UserError
from bertkit.tasks.choices import list_of_choices, read_choices
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import (
    MISTAKES,
    UNSURE,
    Baseline,
    Decision,
    HeadOutputs,
    Kind,
    LabelColumn,
    Names,
    Outputs,
    Predictions,
    Scale,
    Wanted,
)
from bertkit.tasks.metrics import Adds, FloatArray, IntArray, Metric, entropy, ratio
from bertkit.tasks.ngrams import vectorizer
from bertkit.text.tokenizer import Tokenizer

CHOICES = "choices"
"""In `Examples.more`: the texts that one is to be chosen from, of each row."""


def share_right(sums: FloatArray) -> FloatArray:
    """Share of rows whose right choice is chosen, of sums [..., 2]: of such rows, and of all."""
    return ratio(sums[..., 0], sums[..., 1])


def _flawless(adds: Adds, level: float) -> FloatArray | None:
    """The rule of three (Hanley and Lippman-Hand 1983): see `Metric.flawless`."""
    right, rows = adds.sum(0, dtype=np.float64).tolist()
    return None if right < rows else np.array([rows * (1 - level) ** (1 / rows), rows])


def adds_of_choices(right_N: IntArray, chosen_N: IntArray) -> Adds:
    """What each of N rows adds: whether the right one was chosen, and itself, uint8 [N, 2]."""
    return np.column_stack([right_N == chosen_N, np.ones(len(right_N))]).astype(np.uint8)


CHOICE_METRICS = (Metric("accuracy", "accuracy", share_right, flawless=_flawless),)


def commonest_place(right_N: IntArray, counts_M: Sequence[int]) -> IntArray:
    """The baseline that reads no text: the place that is right most often among those that a row has.

    Args:
        right_N: which choice is right of each row of training.
        counts_M: how many choices each row to answer has.

    Returns:
        int64 [M]; of places that are right as often the first.
    """
    shares = np.bincount(right_N, minlength=max(counts_M))
    best = [int(shares[:count].argmax()) for count in range(1, max(counts_M) + 1)]
    return np.array([best[count - 1] for count in counts_M], dtype=np.int64)


def most_alike(
    learned: Sequence[str], prompts: Sequence[str], choices: Sequence[Sequence[str]], usual_M: IntArray
) -> IntArray:
    """The choice whose TF-IDF weights of words and pairs of words are most like those of the prompt.

    Args:
        learned: texts that tell how frequent words are.
        prompts: of M rows.
        choices: of each.
        usual_M: what to choose where no choice has a word of the prompt.

    Returns:
        int64 [M]; of choices that are as like the first.
    """
    weights = vectorizer().fit(learned)
    counts = [len(each) for each in choices]
    texts_TW = weights.transform([choice for each in choices for choice in each])
    prompts_MW = weights.transform(prompts)
    cosines_T = np.asarray(texts_TW.multiply(prompts_MW[np.repeat(np.arange(len(counts)), counts)]).sum(1))
    found = side_by_side(cosines_T.ravel(), counts)
    return np.where(found.max(1) > 0, found.argmax(1), usual_M)


def side_by_side(values_T: npt.NDArray[np.floating], counts: Sequence[int]) -> npt.NDArray[np.floating]:
    """Values of N rows that stand end to end, so many of each, as [N, K]; -inf behind shorter ones."""
    inside_NK = np.arange(max(counts)) < np.asarray(counts)[:, None]
    found_NK = np.full(inside_NK.shape, -np.inf, dtype=values_T.dtype)
    found_NK[inside_NK] = values_T
    return found_NK


def _complete(rows: Examples) -> Examples:
    """Choices are texts too."""
    if CHOICES not in rows.more and len(rows):
        raise UserError("One of several texts is chosen: give the choices of each text, two or more.")
    for line, choices in zip(rows.lines, rows.more.get(CHOICES, ()), strict=False):
        found = list_of_choices([CHOICES], [choices])
        if isinstance(found, str):
            raise UserError(f"The choices of row {line}: {found}")
    return replace(rows, read=(CHOICES,))


def _targets(column: LabelColumn) -> tuple[Targets, Names]:
    return Targets.single(np.array(column.cells, dtype=np.int64)), ()


def _told(targets: Targets, names: Names) -> list[Any]:
    found: list[Any] = targets.values.tolist()
    return found


def _questions(rows: Examples) -> list[str]:
    """The prompt of each row, with the question about it."""
    if rows.pairs is None:
        return rows.texts
    return [f"{text} {pair}" for text, pair in zip(rows.texts, rows.pairs, strict=True)]


def _encode(tokenizer: Tokenizer, rows: Examples, reading: Reading, names: Names) -> Encoded:
    """For each choice `[CLS] prompt [SEP] question choice [SEP]`, as SWAG's authors and BERT's have it."""
    if reading.window:
        raise UserError(
            "A choice is read with its prompt, whole or cut, and not in windows; leave --window out."
        )
    choices: list[list[str]] = rows.more.get(CHOICES, [])
    counts = np.array([len(each) for each in choices], dtype=np.int64)
    pairs = [""] * len(rows) if rows.pairs is None else rows.pairs
    prompts = [text for text, each in zip(rows.texts, choices, strict=True) for _ in each]
    endings = [
        f"{pair} {choice}".strip() for pair, each in zip(pairs, choices, strict=True) for choice in each
    ]
    sequences = encode_texts(tokenizer, prompts, endings, **asdict(reading))
    index = WindowIndex(np.concatenate([[0], np.cumsum(counts)]), np.zeros(len(prompts), dtype=np.int64))
    return Encoded(replace(sequences, windows=index), rows.targets)


def _counts(encoded: Encoded) -> IntArray:
    """How many choices each row has, [N]."""
    assert encoded.sequences.windows is not None
    return encoded.sequences.windows.counts


def _collect(encoded: Encoded, outputs: HeadOutputs) -> Outputs:
    """Log-probabilities of the choices, [N, K]; -inf where a row has no more."""
    return side_by_side(outputs[:, 0], _counts(encoded).tolist())


def _predict(rows: Examples, outputs: Outputs, names: Names, decision: Decision) -> IntArray:
    found: IntArray = outputs.argmax(axis=1)
    return found


def _losses(encoded: Encoded, outputs: HeadOutputs, scale: Scale) -> npt.NDArray[Any]:
    """Cross-entropy, in nats."""
    found: npt.NDArray[Any] = -_collect(encoded, outputs)[
        np.arange(len(encoded.learned)), encoded.learned.values
    ]
    return found


def _one_answer(rows: Examples, predictions: Predictions) -> bool:
    """Whether the same place is chosen of all rows: the first, where all choices are equal to the model."""
    return len(np.unique(predictions)) == 1


def _adds(rows: Examples, predictions: Predictions, names: Names) -> Adds:
    return adds_of_choices(rows.known.values, predictions)


def _floor(encoded: Encoded, scale: Scale, names: Names, weights: FloatArray | None) -> float:
    """The entropy of the right places of rows with as many choices, in nats."""
    counts, places = _counts(encoded), encoded.learned.values
    by_count = [places[counts == count] for count in np.unique(counts)]
    return sum(len(some) * entropy(np.bincount(some)) for some in by_count) / len(places)


def _shares(targets: Targets) -> list[float]:
    counts = np.bincount(targets.values)
    found: list[float] = (counts / counts.sum()).tolist()
    return found


def _words(targets: Targets, names: Names) -> tuple[str, str]:
    shares = (f"choice {place} {share:.1%}" for place, share in enumerate(_shares(targets), 1))
    return "right", ", ".join(shares)


def _spread(targets: Targets, names: Names) -> dict[str, Any]:
    return {"place_shares": _shares(targets)}


def _scored(rows: Examples, predictions: Predictions, names: Names) -> dict[str, Any]:
    """`by_place`: of each place how many rows are right there, how many it was chosen of, and both."""
    right, most = rows.known.values, max(len(each) for each in rows.more[CHOICES])
    counts = [
        np.bincount(places, minlength=most) for places in (right, predictions, right[right == predictions])
    ]
    lines = zip(*(each.tolist() for each in counts), strict=True)
    return {
        "by_place": [
            {"choice": place, "rows": rows, "predicted": predicted, "found": found}
            for place, (rows, predicted, found) in enumerate(lines)
        ]
    }


def _blind(train: Examples, dev: Examples, names: Names) -> Predictions:
    return commonest_place(train.known.values, [len(each) for each in dev.more[CHOICES]])


def _alike(train: Examples, dev: Examples, names: Names) -> Predictions:
    learned = [*train.texts, *(train.pairs or ()), *(text for each in train.more[CHOICES] for text in each)]
    return most_alike(learned, _questions(dev), dev.more[CHOICES], _blind(train, dev, names))


def _mistakes(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    """The wrongly answered rows of which the model was surest, surest first; none of a model that broke."""
    right, probabilities = rows.known.values, np.exp(outputs)
    told = np.isfinite(probabilities).all(axis=1)
    wrong = np.flatnonzero(told & (predictions != right))
    wrong = wrong[np.argsort(-probabilities[wrong, predictions[wrong]], kind="stable")][:MISTAKES]
    choices = rows.more[CHOICES]
    return [
        {
            "line": rows.lines[row],
            "text": rows.texts[row],
            "pair": rows.pairs[row] if rows.pairs else None,
            "choices": choices[row],
            "label": choices[row][right[row]],
            "predicted": choices[row][predictions[row]],
            "probability": float(probabilities[row, predictions[row]]),
        }
        for row in wrong
    ]


def _answers(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    return [
        {CHOICES: choices, "choice": int(chosen), "probabilities": probabilities[: len(choices)]}
        for choices, chosen, probabilities in zip(
            rows.more.get(CHOICES, ()), predictions, np.exp(outputs).tolist(), strict=True
        )
    ]


def _columns(names: Names, wanted: Wanted) -> dict[str, type]:
    if wanted.every or wanted.top > 1:
        raise UserError(
            "--all and --top are about labels that all rows have, and here each row has choices of its own; "
            "--json tells the probabilities of all of them."
        )
    return {"choice": int, "answer": str, "probability": float}


def _cells(answer: Mapping[str, Any], wanted: Wanted) -> list[Any]:
    chosen = answer["choice"]
    probability = answer["probabilities"][chosen]
    return [chosen, UNSURE if probability < wanted.least else answer[CHOICES][chosen], probability]


def _overview(chosen: Sequence[Any]) -> dict[str, str]:
    """How often each place is chosen."""
    counts = sorted(Counter(chosen).items())
    return {f"choice {place}": f"{count:,} ({count / len(chosen):.1%})" for place, count in counts}


CHOOSE = Kind(
    name="choose",
    usual="accuracy",
    metrics=CHOICE_METRICS,
    metrics_of=lambda names, positive: CHOICE_METRICS,
    baselines=(
        Baseline("place", "one place", "commonest place", "always choosing the commonest place", _blind),
        Baseline("alike", "TF-IDF", "TF-IDF cosine", "choosing what is most like the prompt", _alike),
    ),
    learned="to tell right choices from wrong ones",
    reads=read_choices,
    complete=_complete,
    label_problem=lambda column, row: None,
    targets=_targets,
    told=_told,
    strata=lambda targets: targets.values,
    encode=_encode,
    collect=_collect,
    predict=_predict,
    losses=_losses,
    one_answer=_one_answer,
    adds=_adds,
    floor=_floor,
    floor_title="predicting the frequencies of the places",
    floor_words="the entropy of the places of the right choices",
    uniform=lambda encoded, names: float(np.log(_counts(encoded)).mean()),
    words=_words,
    spread=_spread,
    scored=_scored,
    mistakes=_mistakes,
    answers=_answers,
    columns=_columns,
    cells=_cells,
    overview=_overview,
)
