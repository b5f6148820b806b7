"""What a score must beat: the majority class, and an n-gram model trained on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.examples import Examples
from bertkit.tasks.metrics import IntArray, confusion_matrix, summary

# Words and single signs; ideographs stand for themselves, as they have no spaces between words.
# Rows of TF-IDF have length 1, for which scikit-learn's default of 1 holds the weights down too much.
_C = 10.0
_TOKEN = r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s]"


def majority(train_labels: npt.ArrayLike, dev_labels: npt.ArrayLike, classes: int) -> IntArray:
    """Confusion [C, C] on dev of always answering the class that train has most of (the lower on a tie)."""
    counts = np.bincount(np.asarray(train_labels, dtype=np.int64), minlength=classes)
    dev = np.asarray(dev_labels, dtype=np.int64)
    return confusion_matrix(dev, np.full_like(dev, counts.argmax()), classes)


def ngram(train: Examples, dev: Examples, classes: int) -> IntArray:
    """Confusion [C, C] on dev of a logistic regression on TF-IDF weights of words and pairs of words.

    Both texts of a pair have features of their own. Wang and Manning 2012 show how hard this family is to
    beat on short texts.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    vectorisers = [
        (name, TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_TOKEN), column)
        for column, name in enumerate(["text"] if train.pairs is None else ["text", "pair"])
    ]
    # liblinear is several times as fast as the default solver on sparse text, and takes two classes only.
    classifier = OneVsRestClassifier(LogisticRegression(C=_C, solver="liblinear"))
    model = make_pipeline(ColumnTransformer(vectorisers), classifier)
    model.fit(_columns(train), train.known_labels)
    return confusion_matrix(dev.known_labels, model.predict(_columns(dev)), classes)


def score_baselines(train: Examples, dev: Examples, classes: int, metric: str) -> dict[str, Any]:
    """What always answering the majority, and an n-gram model, reach on dev: each a `metrics.summary`."""
    return {
        "majority": summary(majority(train.known_labels, dev.known_labels, classes), metric),
        "ngram": summary(ngram(train, dev, classes), metric),
    }


def _columns(examples: Examples) -> npt.NDArray[np.object_]:
    """The texts as scikit-learn takes them: [N, 1], or [N, 2] of pairs."""
    columns = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    return np.array(columns, dtype=np.object_).T
