"""Rows of which only what they ask for matters."""

from pathlib import Path
from typing import Any

import numpy as np

from bertkit.data.packed import Sequences
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, Targets


def asking(targets: Targets | Any) -> Examples:
    """Rows with these targets, or with one each of such values; their texts are numbers."""
    found = targets if isinstance(targets, Targets) else Targets.single(np.asarray(targets))
    numbers = [*range(len(found))]
    return Examples(list(map(str, numbers)), None, found, numbers, Path("x"))


def unlabelled(*texts: str) -> Examples:
    """Rows of these texts, which ask for nothing."""
    return Examples(list(texts), None, None, [*range(len(texts))], Path("x"))


def encoded(targets: Targets | Any) -> Encoded:
    """The same as a model reads them, of one token each."""
    rows = asking(targets)
    ones = np.ones(len(rows), dtype=np.int32)
    return Encoded(Sequences(ones, np.arange(len(rows) + 1), ones), rows.targets)
