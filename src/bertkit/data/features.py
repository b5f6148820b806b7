"""Rows as vectors that were computed once: what a head sees of an encoder that does not change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FeatureBatch:
    """B rows of vectors.

    Attributes:
        vectors_BW: float32 [B, W].
        lengths: pieces of the text behind each, B integers.
    """

    vectors_BW: torch.Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Features:
    """The pooled vectors of N rows; in the place of `Sequences`, which they were computed from.

    Attributes:
        vectors_NW: float32 [N, W].
        lengths: pieces of each row, int64 [N].
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
