"""Long texts: how one is cut to fit, or read in windows that overlap. One place for every task.

A window is a sequence of its own, with its own `[CLS]` and `[SEP]`. Windows of a text are spread evenly, so
that all are full and each begins at most `stride` pieces behind the one before: no short last window that
weighs as much as the others. (`doc_stride` of google-research/bert's run_squad.py is such a distance too, and
not, as `stride` of transformers' tokenizers, an overlap.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cut:
    """Which pieces of two texts one sequence holds, of each from where to where; the second may have none."""

    first: tuple[int, int]
    second: tuple[int, int]

    @property
    def offset(self) -> int:
        """Pieces before it in the text that is read in windows; of the other nothing is left out before."""
        return self.first[0] + self.second[0]

    @property
    def ends(self) -> tuple[int, int]:
        """Where it ends in each text."""
        return self.first[1], self.second[1]


Cutter = Callable[[int, int], list[Cut]]
"""From the numbers of pieces of two texts to the sequences that they are read as, at least one."""


def answerable(offsets: Index, sizes: Index) -> list[tuple[int, int]]:
    """From where to where each window of a text answers for its pieces: to the middle of what two share.

    So each piece of the text is answered for once, where it stands farthest from a cut.

    Args:
        offsets: where each window begins, [K].
        sizes: pieces of the text in each, [K].
    """
    ends = offsets + sizes
    middles = ((offsets[1:] + ends[:-1]) // 2).tolist()
    return list(zip([0, *middles], [*middles, int(ends[-1])], strict=True))


@dataclass(frozen=True)
class WindowIndex:
    """Which of M sequences are windows of which of N texts.

    Attributes:
        firsts: the first window of each text, and M: int64 [N + 1]. The others follow it.
        offsets: how many pieces of its text lie before each window, int64 [M]; of two texts, pieces of the
            longer, which is the one in windows.
    """

    firsts: Index
    offsets: Index

    @property
    def counts(self) -> Index:
        """Windows of each text, [N]."""
        return np.diff(self.firsts)

    def windows_of(self, rows: Index) -> Index:
        """The windows of some texts, text by text."""
        counts = self.counts[rows]
        before = np.cumsum(counts) - counts
        return np.repeat(self.firsts[rows] - before, counts) + np.arange(counts.sum())


def window_cutter(reading: Reading, specials: int) -> Cutter | None:
    """What cuts texts into the windows of `reading`, each with so many special pieces; None: it has none."""
    if not reading.window:
        return None
    room = reading.window - specials
    return windows(room, reading.stride or max(1, room * 3 // 4))


def windows(room: int, stride: int) -> Cutter:
    """As many sequences of at most `room` pieces as it takes to read all.

    Of two texts the longer one is read in windows, each beside the whole shorter one, or beside as much of
    its beginning as fills half the room.

    Args:
        room: pieces of a window, without `[CLS]` and `[SEP]`.
        stride: pieces from the beginning of a window to that of the next, at most; not more than `room`.
    """

    def cut(first: int, second: int) -> list[Cut]:
        beside = min(first, second, room // 2)
        width = room - beside
        # The share of a window that overlaps is the same whatever stands beside it.
        starts = window_starts(max(first, second), width, max(1, stride * width // room))
        if first > second:
            return [Cut((start, min(start + width, first)), (0, beside)) for start in starts]
        return [Cut((0, beside), (start, min(start + width, second))) for start in starts]

    return cut


def window_starts(pieces: int, width: int, stride: int) -> list[int]:
    """Where windows of `width` begin that read all of so many pieces: see this file's head."""
    beyond = max(0, pieces - width)
    steps = -(-beyond // stride)
    return [beyond * step // max(steps, 1) for step in range(steps + 1)]
