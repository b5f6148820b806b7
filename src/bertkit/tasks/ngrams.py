"""TF-IDF weights of words and pairs of words, for the baselines that know which words occur."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.examples import Examples

WORD = r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+"
"""A pattern; ideographs stand for themselves, as they have no spaces between words."""
TOKEN = rf"{WORD}|[^\w\s]"
"""Words and single signs."""


def vectorizer() -> Any:
    """What scikit-learn makes of texts; rows have length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=TOKEN)


def features(train: Examples) -> Any:
    """What scikit-learn makes of `columns`; both texts of a pair have features of their own."""
    from sklearn.compose import ColumnTransformer

    return ColumnTransformer(
        [
            (name, vectorizer(), column)
            for column, name in enumerate(["text"] if train.pairs is None else ["text", "pair"])
        ]
    )


def columns(examples: Examples) -> npt.NDArray[np.object_]:
    """The texts as scikit-learn takes them: [N, 1], or [N, 2] of pairs."""
    texts = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    return np.array(texts, dtype=np.object_).T
