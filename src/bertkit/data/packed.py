"""The packed batch: sequences laid end to end without padding, or the vectors that stand in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

IntArray = npt.NDArray[np.int32]


Index = npt.NDArray[np.int64]


def ranges(begins: Index, sizes: Index) -> Index:
    """The numbers begin, begin + 1, ... of each range, end to end."""
    ends = np.cumsum(sizes)
    shifts: Index = np.repeat(begins - (ends - sizes), sizes)
    return np.arange(len(shifts)) + shifts


def answerable(offsets: Index, sizes: Index) -> list[tuple[int, int]]:
    """From where to where each window of a text answers for its tokens: to the middle of what two share.

    So each token of the text is answered for once, where it stands farthest from a cut.

    Args:
        offsets: where each window begins, [K].
        sizes: tokens of the text in each, [K].
    """
    ends = offsets + sizes
    middles = ((offsets[1:] + ends[:-1]) // 2).tolist()
    return list(zip([0, *middles], [*middles, int(ends[-1])], strict=True))


@dataclass(frozen=True)
class WindowIndex:
    """Which of M sequences are windows of which of N texts.

    Attributes:
        firsts: the first window of each text, and M: int64 [N + 1]. The others follow it.
        offsets: how many tokens of its text lie before each window, int64 [M]; of two texts, tokens of the
            one that is in windows, which is the longer or, where that is asked for, the second.
    """

    firsts: Index
    offsets: Index

    @property
    def counts(self) -> Index:
        """Windows of each text, [N]."""
        return np.diff(self.firsts)

    def windows_of(self, rows: Index) -> Index:
        """The windows of some texts, text by text."""
        return ranges(self.firsts[rows], self.counts[rows])


@dataclass(frozen=True)
class Sequences:
    """Many encoded sequences in flat arrays: what a data set is after tokenising.

    Attributes:
        ids: tokens of all sequences end to end, int32 [sum of lengths].
        starts: where each sequence begins in `ids`, and the end of the last, int64 [N + 1].
        second: how many tokens of each sequence belong to segment 0, int32 [N]; the rest is segment 1.
        truncated: how many rows lost tokens to the length limit.
        windows: which sequences are windows of one long text; None: each is a row of its own. With it, rows
            are the N texts, and the arrays above are of the M sequences.
    """

    ids: IntArray
    starts: npt.NDArray[np.int64]
    second: IntArray
    truncated: int = 0
    windows: WindowIndex | None = None

    def __len__(self) -> int:
        return len(self.second if self.windows is None else self.windows.counts)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Tokens of each sequence, [M]."""
        return np.diff(self.starts)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each row, in all its windows, [N]."""
        return self.sizes if self.windows is None else np.diff(self.starts[self.windows.firsts])

    def places(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where in `ids` the tokens of the sequences `rows` lie, in that order, int64 [T]."""
        return ranges(self.starts[rows], self.sizes[rows])

    def only(self, rows: npt.NDArray[np.int64]) -> Sequences:
        """Those of some rows, in that order."""
        if self.windows is None:
            return self._of(rows)
        places = self.windows.windows_of(rows)
        firsts = np.concatenate([[0], np.cumsum(self.windows.counts[rows])]).astype(np.int64)
        return replace(self._of(places), windows=WindowIndex(firsts, self.windows.offsets[places]))

    def beginnings(self) -> Sequences:
        """Each row as the one sequence that it begins with: itself, or the first of its windows."""
        return self if self.windows is None else self._of(self.windows.firsts[:-1])

    def apart(self) -> Sequences:
        """Each window as a row of its own."""
        return self if self.windows is None else replace(self, windows=None)

    def _of(self, places: npt.NDArray[np.int64]) -> Sequences:
        """Some of the sequences, each a row of its own."""
        starts = np.concatenate([[0], np.cumsum(self.sizes[places])]).astype(np.int64)
        return Sequences(self.ids[self.places(places)], starts, self.second[places], self.truncated)

    def batch(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> PackedBatch:
        """The sequences of `rows` end to end, in that order."""
        return pack(self, rows)


@dataclass(frozen=True)
class PackedBatch:
    """B sequences, T tokens in all. `lengths` is the one statement of where sequences end.

    Attributes:
        ids_T: token ids, int64 [T].
        segments_T: 0 for the first text, 1 for the second, int64 [T].
        positions_T: place of each token in its own sequence, int64 [T].
        lengths: tokens of each sequence, B integers.
        windows: how many sequences, one after the other, are windows of each row; None: one a row.
    """

    ids_T: torch.Tensor
    segments_T: torch.Tensor
    positions_T: torch.Tensor
    lengths: tuple[int, ...]
    windows: tuple[int, ...] | None = None

    @cached_property
    def starts_B(self) -> torch.Tensor:
        """Index of each sequence's first token (its `[CLS]`), int64 [B]."""
        return self.cu_seqlens[:-1]

    @cached_property
    def cu_seqlens(self) -> torch.Tensor:
        """Boundaries of the sequences: 0, then the running sum of lengths, int64 [B + 1]."""
        import torch

        return torch.from_numpy(np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64))


def pack(sequences: Sequences, rows: Sequence[int] | npt.NDArray[np.int64]) -> PackedBatch:
    """Lay the sequences of `rows` end to end, in that order."""
    import torch

    rows = np.asarray(rows, dtype=np.int64)
    counts = None
    if sequences.windows is not None:
        counts = tuple(sequences.windows.counts[rows].tolist())
        rows = sequences.windows.windows_of(rows)
    lengths = sequences.sizes[rows]
    places = sequences.places(rows)
    positions = places - np.repeat(sequences.starts[rows], lengths)
    ids = sequences.ids[places]
    segments = positions >= np.repeat(sequences.second[rows], lengths)
    return PackedBatch(
        ids_T=torch.from_numpy(ids.astype(np.int64)),
        segments_T=torch.from_numpy(segments.astype(np.int64)),
        positions_T=torch.from_numpy(positions),
        lengths=tuple(lengths.tolist()),
        windows=counts,
    )


@dataclass(frozen=True)
class FeatureBatch:
    """B rows of vectors.

    Attributes:
        vectors_BW: float32 [B, W].
        lengths: tokens of the text behind each, B integers.
    """

    vectors_BW: torch.Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Features:
    """The pooled vectors of N rows; in the place of `Sequences`, which they were computed from.

    Attributes:
        vectors_NW: float32 [N, W].
        lengths: tokens of each row, int64 [N].
    """

    vectors_NW: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> FeatureBatch:
        """The vectors of `rows`, in that order."""
        import torch

        rows = np.asarray(rows, dtype=np.int64)
        return FeatureBatch(torch.from_numpy(self.vectors_NW[rows]), tuple(self.lengths[rows].tolist()))
