"""What is in shards, counted from the shards themselves."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from bertkit.data.shards import Documents, ShardEntry, Split, map_documents
from bertkit.text.tokenizer import Tokenizer

PERCENTILES = (1, 10, 25, 50, 75, 90, 99, 100)
SAMPLES = 3
# A sample sentence is shown so far.
SAMPLE_PIECES = 64

Counts = npt.NDArray[np.int64]
_SPLITS: tuple[Split, ...] = get_args(Split)


class Statistics:
    """Counts shards, one after the other, in memory that their number does not set."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._continues_V = tokenizer.continues_V
        self._words = 0
        self._totals = {split: dict.fromkeys(("documents", "sentences", "pieces"), 0) for split in _SPLITS}
        self._counts = {split: np.zeros(tokenizer.size, np.int64) for split in _SPLITS}
        # How many sentences and documents have so many pieces.
        self._sentences = np.zeros(1, np.int64)
        self._documents = np.zeros(1, np.int64)

    def add(self, split: Split, documents: Documents) -> None:
        """Count one shard."""
        counts = np.bincount(documents.ids, minlength=self._tokenizer.size)
        self._counts[split] += counts
        begins = counts[~self._continues_V] if documents.words is None else documents.words
        self._words += int(begins.sum())
        lengths = np.diff(documents.sentences)
        sizes = {"documents": len(documents), "sentences": len(lengths), "pieces": len(documents.ids)}
        for name, size in sizes.items():
            self._totals[split][name] += size
        self._sentences = _sum(self._sentences, np.bincount(lengths))
        self._documents = _sum(self._documents, np.bincount(documents.lengths))

    @property
    def counts(self) -> Counts:
        """How often each piece stands in the training split, int64 [V]."""
        return self._counts["train"]

    def summary(self) -> dict[str, Any]:
        """Of all shards: totals, pieces a word, unknown share of the words, and lengths in pieces."""
        totals = {name: sum(self._totals[split][name] for split in _SPLITS) for name in self._totals["train"]}
        unknown = sum(int(counts[self._tokenizer.unk_id]) for counts in self._counts.values())
        return {
            **totals,
            "words": self._words,
            "pieces_per_word": round(totals["pieces"] / self._words, 4),
            "unknown": round(unknown / self._words, 6),
            "splits": self._totals,
            "sentence_lengths": _percentiles(self._sentences),
            "document_lengths": _percentiles(self._documents),
        }


def count_shards(folder: Path, entries: Iterable[ShardEntry], tokenizer: Tokenizer) -> Statistics:
    """The statistics of shards in a folder.

    Raises:
        UserError: one is missing or damaged.
    """
    statistics = Statistics(tokenizer)
    for entry in entries:
        statistics.add(entry.split, map_documents(folder / entry.file, entry))
    return statistics


def samples(documents: Documents, tokenizer: Tokenizer) -> list[str]:
    """Some sentences from all over the documents, as the model sees them: pieces with spaces between."""
    found = []
    count = len(documents.sentences) - 1
    for number in sorted({(2 * i + 1) * count // (2 * SAMPLES) for i in range(SAMPLES)}):
        begin, end = documents.sentences[number : number + 2]
        pieces = [tokenizer.vocabulary[i] for i in documents.ids[begin : min(end, begin + SAMPLE_PIECES)]]
        found.append(" ".join(pieces) + (" ..." if end - begin > SAMPLE_PIECES else ""))
    return found


def _sum(left: Counts, right: Counts) -> Counts:
    """Both histograms as one."""
    longer, shorter = (left, right) if len(left) >= len(right) else (right, left)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total


def _percentiles(histogram: Counts) -> dict[str, int]:
    """The length that so many percent do not exceed."""
    below = np.cumsum(histogram)
    ranks = [max(1, -(-int(below[-1]) * percent // 100)) for percent in PERCENTILES]
    return {
        str(percent): int(np.searchsorted(below, rank))
        for percent, rank in zip(PERCENTILES, ranks, strict=True)
    }
