"""What the head of a run sees: its rows' sequences, or, of a frozen encoder, features computed once."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from bertkit.config.head import HEAD_KINDS
from bertkit.data.packed import Features, Sequences
from bertkit.model.bulk import pooled
from bertkit.model.compute import Compute
from bertkit.model.heads import Classifier
from bertkit.recipe import ModelRecipe
from bertkit.train.listener import Listener
from bertkit.train.prepare import Prepared
from bertkit.train.processes import Processes

ROWS_TO_ESTIMATE = 32


def _pooled(classifier: Classifier) -> bool:
    return HEAD_KINDS[classifier.head.config.kind].pooled


@dataclass(frozen=True)
class Inputs:
    """The training rows and the dev rows, as one seed's classifier reads them."""

    train: Sequences | Features
    dev: Sequences | Features


class FeatureCache:
    """Gives each seed its rows, of a frozen encoder as features.

    Features of a frozen encoder are computed in evaluation mode, so without dropout. A head that stands on
    more than one vector a row has none: its encoder computes them anew in every step, which takes less memory
    than to keep them. Processes share the rows. All seeds of a run that starts from a trained model share the
    features, for their encoder is the same; fresh weights are others with each seed.

    Attributes:
        seconds: that computing features took so far.
        expected: seconds that it will take, about, as far as `estimate` has seen.
    """

    def __init__(
        self,
        prepared: Prepared,
        recipe: ModelRecipe,
        compute: Compute,
        processes: Processes,
        listener: Listener,
    ) -> None:
        self._prepared = prepared
        self._freeze = recipe.freeze
        self._compute = compute
        self._processes = processes
        self._listener = listener
        self._shared: Inputs | None = None
        self.seconds = 0.0
        self.expected = 0.0

    def of(self, classifier: Classifier) -> Inputs:
        """The rows for a seed that begins with `classifier`."""
        train, dev = self._prepared.train_sequences, self._prepared.dev_sequences
        if not self._freeze or not _pooled(classifier):
            return Inputs(train, dev)
        if self._shared is not None:
            return self._shared
        began = time.perf_counter()
        done, rows = 0, len(train.sizes) + len(dev.sizes)

        def after(more: npt.NDArray[np.int64]) -> None:
            nonlocal done
            done += len(more)
            self._listener.encoded(f"features of {rows:,} rows", done, rows)

        def features(sequences: Sequences) -> Features:
            vectors_NW = pooled(
                classifier, sequences, compute=self._compute, after=after, sharing=self._processes
            )
            return Features(vectors_NW, sequences.lengths)

        found = Inputs(features(train), features(dev))
        self.seconds += time.perf_counter() - began
        if self._prepared.start is not None:
            self._shared = found
        return found

    def estimate(self, classifier: Classifier) -> Inputs:
        """Stand-ins for the rows of `of` that cost as much in a step; and how long `of` will take.

        Features are zeros here: only a few rows go through the encoder, to see how long it takes.
        """
        train, dev = self._prepared.train_sequences, self._prepared.dev_sequences
        if not self._freeze or not _pooled(classifier):
            return Inputs(train, dev)
        batch = train.batch(np.random.default_rng(0).permutation(len(train))[:ROWS_TO_ESTIMATE])
        began = time.perf_counter()
        with torch.inference_mode(), self._compute.autocast():
            width = classifier.eval().pool(batch).shape[1]
        a_token = (time.perf_counter() - began) / sum(batch.lengths)
        tokens = int(train.lengths.sum() + dev.lengths.sum())
        self.expected = a_token * tokens / self._processes.count

        def zeros(rows: Sequences) -> Features:
            return Features(np.zeros((len(rows), width), dtype=np.float32), rows.lengths)

        return Inputs(zeros(train), zeros(dev))
