"""The words that tell a label: which go with it more often than by chance, and how far one alone goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.ngrams import TOKEN

WORD_ROWS = 5
"""Rows that a word stands in at least; of fewer, chance is the better explanation."""
WORDS = 5
"""Of each label."""


@dataclass(frozen=True)
class Telling:
    """A word, and what rows that have it tell of a label.

    Attributes:
        label: its name.
        word: in small letters.
        text: 0, or 1 where it stands in the second texts.
        rows: that have the word.
        precision: the share of them that have the label.
        recall: the share of the label's rows that have the word.
        score: the log odds ratio over its standard error (z): how sure it is that they go together.
    """

    label: str
    word: str
    text: int
    rows: int
    precision: float
    recall: float
    score: float


def telling_words(
    texts: Sequence[Sequence[str]], labels: Sequence[Sequence[str]], *, most: int = WORDS
) -> list[Telling]:
    """The words that go with each label most surely, those of the surest label first.

    Words are counted once a row. The score is the log odds ratio of a 2 x 2 table, with a half added to each
    cell (Haldane 1956; Anscombe 1956), over its standard error; Monroe, Colaresi and Quinn 2008 ("Fightin'
    Words") rank words by it. Positive ones alone are told.

    Args:
        texts: first texts of N rows, and second texts, if there are any.
        labels: those of each row: one, several or none.
        most: of each label.
    """
    names = sorted({name for row in labels for name in row})
    if len(names) < 2:
        return []
    has_CN = _indicator(labels, names)
    found: list[Telling] = []
    for number, column in enumerate(texts):
        found += _of_column(column, has_CN, names, number, most)
    by_label: dict[str, list[Telling]] = {}
    for each in sorted(found, key=_by_score):
        by_label.setdefault(each.label, []).append(each)
    # A dict has its keys in the order in which they came: that of the surest word of each.
    return [each for words in by_label.values() for each in words[:most]]


def _by_score(each: Telling) -> tuple[float, str]:
    return -each.score, each.word


def _indicator(labels: Sequence[Sequence[str]], names: Sequence[str]) -> Any:
    """Which rows have which label, sparse [C, N]."""
    from scipy.sparse import csr_array

    number = {name: index for index, name in enumerate(names)}
    places = [(number[name], row) for row, found in enumerate(labels) for name in {*found}]
    rows, columns = np.array(places, dtype=np.int64).T
    return csr_array((np.ones(len(places)), (rows, columns)), shape=(len(names), len(labels)))


def _of_column(
    texts: Sequence[str], has_CN: Any, names: Sequence[str], number: int, most: int
) -> list[Telling]:
    from sklearn.feature_extraction.text import CountVectorizer

    least = min(WORD_ROWS, len(texts))
    vectoriser = CountVectorizer(binary=True, token_pattern=TOKEN, min_df=least, dtype=np.float64)
    try:
        words_NW = vectoriser.fit_transform(texts)
    except ValueError:  # No word stands in so many rows.
        return []
    words = vectoriser.get_feature_names_out()
    with_word_W = np.asarray(words_NW.sum(axis=0)).ravel()
    both_CW = (has_CN @ words_NW).tocsr()
    found = []
    for index, name in enumerate(names):
        begin, end = both_CW.indptr[index], both_CW.indptr[index + 1]
        here, both = both_CW.indices[begin:end], both_CW.data[begin:end]
        of_label = float(has_CN[[index]].sum())
        score = _log_odds(both, with_word_W[here], of_label, len(texts))
        for place in np.argsort(-score, kind="stable")[:most]:
            if score[place] <= 0:
                break
            rows = with_word_W[here[place]]
            found.append(
                Telling(
                    label=name,
                    word=str(words[here[place]]),
                    text=number,
                    rows=int(rows),
                    precision=float(both[place] / rows),
                    recall=float(both[place] / of_label),
                    score=float(score[place]),
                )
            )
    return found


def _log_odds(
    both: npt.NDArray[np.float64], rows: npt.NDArray[np.float64], of_label: float, whole: int
) -> npt.NDArray[np.float64]:
    """The log odds ratio of word and label over its standard error."""
    table = np.array([both, rows - both, of_label - both, whole - rows - of_label + both]) + 0.5
    ratio = np.log(table[0]) - np.log(table[1]) - np.log(table[2]) + np.log(table[3])
    return np.asarray(ratio / np.sqrt((1 / table).sum(axis=0)))
