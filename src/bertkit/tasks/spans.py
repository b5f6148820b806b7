"""From how likely an answer starts and ends at each token to the likeliest spans of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.tasks.metrics import IntArray

BEST = 20
"""Spans of a text that its probabilities are shared out among."""


@dataclass(frozen=True)
class Span:
    """A stretch of a text: its first character, the one behind its last, and the sum of its two logits."""

    start: int
    end: int
    score: float


@dataclass(frozen=True)
class Places:
    """Where the second texts of N pairs are in the windows that they are read in, M in all.

    Attributes:
        characters: from where to where each token of some texts stands in its own, [T, 2].
        texts: from where to where in `characters` the tokens of each pair's second text are, [N, 2].
        rows: which pair each window is of, [M].
        offsets: tokens of the text before the window, [M].
        begins: where in the window its first token of the text stands, [M].
        sizes: tokens of the text in the window, [M].
    """

    characters: IntArray
    texts: IntArray
    rows: IntArray
    offsets: IntArray
    begins: IntArray
    sizes: IntArray

    @classmethod
    def of(cls, sequences: Sequences, characters: IntArray, texts: IntArray) -> Places:
        """Those of pairs that are encoded, the second texts in windows where any are."""
        index, begins = sequences.windows, sequences.second.astype(np.int64)
        counts = np.ones(len(begins), dtype=np.int64) if index is None else index.counts
        offsets = np.zeros(len(begins), dtype=np.int64) if index is None else index.offsets
        rows = np.repeat(np.arange(len(counts)), counts)
        return cls(characters, texts, rows, offsets, begins, sequences.sizes - begins - 1)

    def of_window(self, window: int) -> IntArray:
        """From where to where each token of the text in a window stands in the text, [S, 2]."""
        begin = int(self.texts[self.rows[window], 0] + self.offsets[window])
        return self.characters[begin : begin + int(self.sizes[window])]

    def targets(self, spans_N2: IntArray) -> IntArray:
        """The first and last token of a span of each text in each window, [M, 2].

        In a window that has not all of the span, and in all of a text that has none, it is `[CLS]` twice, as
        in google-research/bert's run_squad.py.

        Args:
            spans_N2: from where to where the characters are in each text; those of none are below 0.
        """
        tokens_N2 = np.full(spans_N2.shape, -1, dtype=np.int64)
        for row in np.flatnonzero(spans_N2[:, 0] >= 0).tolist():
            begin, end = self.texts[row].tolist()
            start, stop = spans_N2[row].tolist()
            tokens_N2[row] = tokens_of(self.characters[begin:end], start, stop) or -1
        places_M2 = tokens_N2[self.rows] - self.offsets[:, None]
        inside_M = (places_M2[:, 0] >= 0) & (places_M2[:, 1] < self.sizes) & (tokens_N2[self.rows, 0] >= 0)
        return np.where(inside_M[:, None], places_M2 + self.begins[:, None], 0)


def best_spans(logits_S2: npt.NDArray[Any], longest: int, most: int) -> list[tuple[int, int, float]]:
    """The best spans of one window: first token, last token and score, the best first.

    All spans of at most `longest` tokens are looked at, and not, as in google-research/bert's run_squad.py,
    those between the likeliest starts and ends, among which the best one may not be.

    Args:
        logits_S2: of the tokens of the text in the window: starts in column 0, ends in column 1; -inf where
            none can be.
        longest: tokens of a span at most, at least 1.
        most: spans at most.
    """
    size = len(logits_S2)
    width = min(longest, size)
    if not width:
        return []
    starts, ends = _within(size, width)
    scores = logits_S2[starts, 0].astype(np.float64) + logits_S2[ends, 1]
    kept = np.arange(len(scores))
    if len(scores) > most:
        kept = np.argpartition(-scores, most - 1)[:most]
    order = kept[np.lexsort((kept, -scores[kept]))]
    order = order[np.isfinite(scores[order])]
    return list(zip(starts[order].tolist(), ends[order].tolist(), scores[order].tolist(), strict=True))


@lru_cache(maxsize=64)
def _within(size: int, width: int) -> tuple[IntArray, IntArray]:
    """First and last place of all spans of at most `width` among so many places, by their first."""
    starts = np.repeat(np.arange(size), width)
    ends = starts + np.tile(np.arange(width), size)
    inside = ends < size
    return starts[inside], ends[inside]


def merged(windows: Sequence[Sequence[Span]], most: int = BEST) -> list[Span]:
    """The best spans of a text in windows, the best first; of one that several see the best score counts."""
    found: dict[tuple[int, int], Span] = {}
    for span in (span for window in windows for span in window):
        known = found.get((span.start, span.end))
        if known is None or span.score > known.score:
            found[span.start, span.end] = span
    return sorted(found.values(), key=lambda span: (-span.score, span.start, span.end))[:most]


def tokens_of(offsets_S2: IntArray, start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token that have some of the characters from `start` to `end`.

    Args:
        offsets_S2: from where to where each token of a text reaches in it, in their order.
        start: a character of it.
        end: the one behind the last.

    Returns:
        None where no token has any, as where the characters are spaces.
    """
    first = int(np.searchsorted(offsets_S2[:, 1], start, side="right"))
    last = int(np.searchsorted(offsets_S2[:, 0], end, side="left")) - 1
    return (first, last) if first <= last else None
