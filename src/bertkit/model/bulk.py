"""A trained classifier over many sequences at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from bertkit.data.packed import Sequences, pack
from bertkit.model.heads import Classifier
from bertkit.model.precision import Computing, autocast


def log_probabilities(
    classifier: Classifier, sequences: Sequences, *, precision: Computing = "fp32", pieces: int = 4096
) -> npt.NDArray[np.float32]:
    """Log-probability of each class for each sequence, [N, C], in the order given.

    Sequences are computed sorted by length, so that those of one batch are alike, in batches of up to
    `pieces` pieces (or of one longer sequence). The classifier's training mode is as before afterwards.
    """
    classes = len(classifier.head.config.labels)
    found = np.empty((len(sequences), classes), dtype=np.float32)
    training = classifier.training
    classifier.eval()
    # One context for all batches: it casts each weight once.
    try:
        with torch.inference_mode(), autocast(precision):
            for rows in batches_by_length(sequences.lengths, pieces):
                logits = classifier(pack(sequences, rows))
                found[rows] = classifier.log_probabilities(logits).numpy()
    finally:
        classifier.train(training)
    return found


def batches_by_length(lengths: npt.NDArray[np.int64], pieces: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows by falling length, cut so that each batch holds at most `pieces`, but at least one row.

    The longest come first: what does not fit into memory fails at once.
    """
    order = np.argsort(-lengths, kind="stable")
    start, total = 0, 0
    for i, length in enumerate(lengths[order].tolist()):
        if i > start and total + length > pieces:
            yield order[start:i]
            start, total = i, 0
        total += length
    if start < len(order):
        yield order[start:]
