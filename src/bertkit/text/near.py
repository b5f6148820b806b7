"""Texts that are nearly the same: MinHash finds the candidates, and the shingles themselves decide.

Broder 1997, "On the resemblance and containment of documents". A text is the set of its runs of `SHINGLE`
bytes, after case, spaces and punctuation are made alike; two texts resemble each other by the share of all
runs of either that both have (Jaccard). In bytes the same rule holds for scripts with and without spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from datasketch import MinHash

SHINGLE = 5
"""Bytes."""
NEAR = 0.8
"""Resemblance from which two texts are nearly the same: a judgement, and the usual one of deduplication."""
LONGEST = 10_000
"""Characters of a text that are compared; two that differ only behind them count as the same."""
BANDS, ROWS = 20, 6
"""Of a signature: of two texts with a resemblance of 0.8 one band is the same with a probability of 0.998, of
two with 0.1 in 2 of 100,000 cases (Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", 3.4)."""
LEAST_ESTIMATED = 0.65
"""Of a candidate's resemblance as signatures tell it, with a standard deviation of 0.04: below, the shingles
are not compared."""

Codes = npt.NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)
_APART = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Near:
    """Two of some rows, by their numbers, the earlier first, and their resemblance."""

    first: int
    second: int
    resemblance: float


def near_pairs(
    rows: Sequence[tuple[str, ...]], *, learned: int | None = None, least: float = NEAR
) -> list[Near]:
    """Pairs of rows whose texts are nearly the same, in order of their second and first rows.

    Of many rows that are all alike not every pair is told, but each row with one that comes before it; and
    each row from `learned` on with one before it, where there is one. The time grows with the rows, not with
    the pairs.

    Args:
        rows: N different rows; of two that are told all texts are alike, one by one.
        learned: rows before this one are learned from, the others are scored; None: all are of one kind.
        least: resemblance, in (0, 1].
    """
    shingled = [_Shingles(row) for row in rows]
    if len(shingled) < 2:
        return []
    found = []
    for first, second in _candidates(shingled, len(rows) if learned is None else learned):
        alike = _resemblance(shingled[first], shingled[second])
        if alike >= least:
            found.append(Near(first, second, alike))
    return found


def plain(text: str) -> str:
    """A text without what makes no difference: case, spaces and punctuation; without these it would be empty,
    as it is but for case and spaces.
    """
    folded = text[:LONGEST].casefold()
    return _APART.sub(" ", folded).strip() or " ".join(folded.split())


def shingles(text: str) -> Codes:
    """The different runs of `SHINGLE` bytes of a text, as ascending numbers; a shorter text is one run."""
    raw = np.frombuffer(plain(text).encode("utf-8", "replace").ljust(SHINGLE, b"\0"), dtype=np.uint8)
    count = len(raw) - SHINGLE + 1
    codes = np.zeros(count, dtype=np.uint64)
    for place in range(SHINGLE):
        codes = (codes << np.uint64(8)) | raw[place : place + count]
    return np.unique(codes)


class _Shingles:
    """The texts of a row, each as its shingles."""

    def __init__(self, row: tuple[str, ...]) -> None:
        self.parts = [shingles(text) for text in row]

    def hashes(self) -> list[int]:
        """32 bits for each; the same run in another text of the row is another."""
        salted = [(codes + np.uint64(part << 40)) * _MIX for part, codes in enumerate(self.parts)]
        hashed: list[int] = (np.concatenate(salted) >> np.uint64(32)).tolist()
        return hashed


def _resemblance(one: _Shingles, other: _Shingles) -> float:
    """That of the texts that are least alike; rows with other numbers of texts are not."""
    if len(one.parts) != len(other.parts):
        return 0.0
    alike = []
    for left, right in zip(one.parts, other.parts, strict=True):
        both = len(np.intersect1d(left, right, assume_unique=True))
        alike.append(both / (len(left) + len(right) - both))
    return min(alike)


def _candidates(rows: Iterable[_Shingles], learned: int) -> Iterator[tuple[int, int]]:
    """Pairs of rows that share a band of their signatures, and seem alike by all of them."""
    hashes = (row.hashes() for row in rows)
    # The numbers are hashes already.
    made = MinHash.generator(hashes, num_perm=BANDS * ROWS, seed=1, scheme="affine32", hashfunc=int)
    signatures_NP = np.stack([each.hashvalues for each in made])
    count, found = len(signatures_NP), [np.empty(0, dtype=np.int64)]
    for band in range(BANDS):
        part = np.ascontiguousarray(signatures_NP[:, band * ROWS : (band + 1) * ROWS])
        keys = part.view(np.dtype((np.void, part.dtype.itemsize * ROWS))).ravel()
        _, bucket = np.unique(keys, return_inverse=True)
        found.append(_in_buckets(bucket, learned))
    pairs = np.unique(np.concatenate(found))
    for block in np.array_split(pairs, len(pairs) // 65_536 + 1):
        first, second = block // count, block % count
        alike = (signatures_NP[first] == signatures_NP[second]).mean(axis=1) >= LEAST_ESTIMATED
        yield from zip(first[alike].tolist(), second[alike].tolist(), strict=True)


def _in_buckets(bucket_N: npt.NDArray[np.int64], learned: int) -> npt.NDArray[np.int64]:
    """Pairs of rows of one bucket, as first * N + second: each row with the one before it and the first one,
    and each that is scored with the last that is learned from.
    """
    count = len(bucket_N)
    order = np.argsort(bucket_N, kind="stable")
    sorted_N = bucket_N[order]
    begins = np.searchsorted(sorted_N, sorted_N, side="left")
    # How many of each bucket are learned from: they stand at its beginning.
    taught = np.concatenate([[0], np.cumsum(order < learned)])
    places = np.arange(count)
    ends = np.searchsorted(sorted_N, sorted_N, side="right")
    last_taught = begins + taught[ends] - taught[begins] - 1
    pairs = []
    for earlier, holds in (
        (places - 1, places > begins),
        (begins, places > begins),
        (last_taught, (order >= learned) & (last_taught >= begins)),
    ):
        pairs.append(order[earlier[holds]] * count + order[places[holds]])
    return np.unique(np.concatenate(pairs))
