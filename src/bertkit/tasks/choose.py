"""The kind of task whose rows have several texts, of which one is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bertkit.tasks.metrics import Adds, FloatArray, IntArray, Metric, ratio
from bertkit.tasks.ngrams import vectorizer


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
