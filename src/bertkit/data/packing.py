"""Texts to sequences: `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, cut to length or in windows that overlap.

A window is a sequence of its own, with its own `[CLS]` and `[SEP]`. Windows of a text are spread evenly, so
that all are full and each begins at most `stride` pieces behind the one before: no short last window that
weighs as much as the others. (`doc_stride` of google-research/bert's run_squad.py is such a distance too, and
not, as `stride` of transformers' tokenizers, an overlap.)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from bertkit.config.reading import Reading
from bertkit.data.packed import Sequences, WindowIndex
from bertkit.errors import UserError
from bertkit.text.tokenizer import Tokenizer


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


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many pieces of two texts stay when pieces fall, one by one, off the end of the longer text.

    Of two texts of equal length the second one gives. This is the result of `truncate_seq_pair` of
    google-research/bert's run_classifier.py, without its loop.

    Args:
        first: pieces of the first text.
        second: pieces of the second text, 0 if there is none.
        room: pieces that may stay in all.
    """
    kept = min(second, max(room - first, room // 2))
    return min(first, room - kept), kept


def encode_texts(
    tokenizer: Tokenizer,
    first: Sequence[str],
    second: Sequence[str] | None = None,
    *,
    max_length: int,
    pad_to: int = 0,
    window: int = 0,
    stride: int = 0,
) -> Sequences:
    """Encode N texts, or N pairs of texts, as sequences of at most `max_length` pieces, or in windows.

    Args:
        tokenizer: cuts the texts.
        first: the first, or only, text of each sequence.
        second: the other text of each, as many. An empty one still brings its `[SEP]`.
        max_length: pieces of a sequence at most, `[CLS]` and `[SEP]` counted.
        pad_to: lengthen every shorter sequence to this with `[PAD]`, which the model sees as a piece like any
            other: the fault of a program that pads and forgets the mask. The pads belong to the last segment.
            0 for none.
        window: pieces of a window: instead of being cut to `max_length`, a longer text becomes several
            sequences of this length. 0 for none.
        stride: of windows, see `config.reading.Reading`.

    Raises:
        UserError: no piece of text fits into `max_length`, `pad_to` is longer than it, or windows cannot be
            so.
    """
    specials = 2 if second is None else 3
    if max_length < 2 * specials - 1 and not window:
        raise UserError(
            f"max_length {max_length} leaves no room for text beside {specials} special pieces; "
            f"it must be at least {2 * specials - 1}."
        )
    reading = Reading(max_length=max_length, pad_to=pad_to, window=window, stride=stride)
    if second is not None and len(second) != len(first):
        raise ValueError(f"{len(first)} first texts, but {len(second)} second texts")
    in_windows = window_cutter(reading, specials)
    cut = in_windows or _truncation(max_length - specials)
    laid, firsts, offsets, truncated = _Laid(tokenizer, pad_to), [0], array("q"), 0
    others = repeat(None) if second is None else tokenizer.stream(second)
    for a, b in zip(tokenizer.stream(first), others, strict=second is not None):
        lengths = len(a), len(b or ())
        cuts = cut(*lengths)
        truncated += cuts[-1].ends != lengths
        for part in cuts:
            laid.add(a[slice(*part.first)], None if b is None else b[slice(*part.second)])
            offsets.append(part.offset)
        firsts.append(len(offsets))
    index = WindowIndex(np.array(firsts, dtype=np.int64), np.array(offsets, dtype=np.int64))
    return laid.sequences(truncated, index if in_windows else None)


class _Laid:
    """Sequences laid end to end, as they come."""

    def __init__(self, tokenizer: Tokenizer, pad_to: int) -> None:
        self._cls, self._sep, self._pad = tokenizer.cls_id, tokenizer.sep_id, tokenizer.pad_id
        self._pad_to = pad_to
        self._ids, self._ends, self._boundaries = array("i"), [0], array("i")

    def add(self, first: list[int], second: list[int] | None) -> None:
        """Lay down `[CLS] first [SEP]`, with a second text `second [SEP]`, and visible pads if so asked."""
        ids, begin = self._ids, self._ends[-1]
        ids.append(self._cls)
        ids.extend(first)
        ids.append(self._sep)
        boundary = len(ids)
        if second is not None:
            ids.extend(second)
            ids.append(self._sep)
        ids.extend(repeat(self._pad, max(0, begin + self._pad_to - len(ids))))
        self._boundaries.append((len(ids) if second is None else boundary) - begin)
        self._ends.append(len(ids))

    def sequences(self, truncated: int, windows: WindowIndex | None) -> Sequences:
        """All that were laid down."""
        return Sequences(
            ids=np.array(self._ids, dtype=np.int32),
            starts=np.array(self._ends, dtype=np.int64),
            second=np.array(self._boundaries, dtype=np.int32),
            truncated=truncated,
            windows=windows,
        )


def _truncation(room: int) -> Cutter:
    """One sequence a text, of at most `room` pieces: see `longest_first`."""

    def cut(first: int, second: int) -> list[Cut]:
        kept = longest_first(first, second, room)
        return [Cut((0, kept[0]), (0, kept[1]))]

    return cut
