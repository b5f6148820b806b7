"""Texts to sequences: `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, cut to length or in windows that overlap.

A window is a sequence of its own, with its own `[CLS]` and `[SEP]`. Windows of a text are spread evenly, so
that all are full and each begins at most `stride` tokens behind the one before: no short last window that
weighs as much as the others. (`doc_stride` of google-research/bert's run_squad.py is such a distance too, and
not, as `stride` of transformers' tokenizers, an overlap.)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading
from bertkit.data.packed import Sequences, WindowIndex, ranges
from bertkit.errors import UserError
from bertkit.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Cut:
    """Which tokens of two texts one sequence holds, of each from where to where; the second may have none."""

    first: tuple[int, int]
    second: tuple[int, int]

    @property
    def offset(self) -> int:
        """Tokens before it in the text that is read in windows; of the other nothing is left out before."""
        return self.first[0] + self.second[0]

    @property
    def ends(self) -> tuple[int, int]:
        """Where it ends in each text."""
        return self.first[1], self.second[1]


Places = npt.NDArray[np.int64]

Cutter = Callable[[int, int], list[Cut]]
"""From the numbers of tokens of two texts to the sequences that they are read as, at least one."""


def windows(room: int, stride: int, *, of_second: bool = False) -> Cutter:
    """As many sequences of at most `room` tokens as it takes to read all.

    Of two texts the longer one is read in windows, each beside the whole shorter one, or beside as much of
    its beginning as fills half the room.

    Args:
        room: tokens of a window, without `[CLS]` and `[SEP]`.
        stride: tokens from the beginning of a window to that of the next, at most; not more than `room`.
        of_second: the second text is read in windows, also where it is the shorter one: then the first may
            have all that it leaves.
    """

    def cut(first: int, second: int) -> list[Cut]:
        other = first if of_second else min(first, second)
        read = first + second - other
        beside = min(other, max(room // 2, room - read))
        width = room - beside
        # The share of a window that overlaps is the same whatever stands beside it.
        starts = window_starts(read, width, max(1, stride * width // room))
        if first > second and not of_second:
            return [Cut((start, min(start + width, first)), (0, beside)) for start in starts]
        return [Cut((0, beside), (start, min(start + width, second))) for start in starts]

    return cut


def window_starts(tokens: int, width: int, stride: int) -> list[int]:
    """Where windows of `width` begin that read all of so many tokens: see this file's head."""
    beyond = max(0, tokens - width)
    steps = -(-beyond // stride)
    return [beyond * step // max(steps, 1) for step in range(steps + 1)]


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts stay when tokens fall, one by one, off the end of the longer text.

    Of two texts of equal length the second one gives. This is the result of `truncate_seq_pair` of
    google-research/bert's run_classifier.py, without its loop.

    Args:
        first: tokens of the first text.
        second: tokens of the second text, 0 if there is none.
        room: tokens that may stay in all.
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
    windows_of_second: bool = False,
) -> Sequences:
    """Encode N texts, or N pairs of texts, as sequences of at most `max_length` tokens, or in windows.

    Args:
        tokenizer: cuts the texts.
        first: the first, or only, text of each sequence.
        second: the other text of each, as many. An empty one still brings its `[SEP]`.
        max_length: tokens of a sequence at most, `[CLS]` and `[SEP]` counted.
        pad_to: lengthen every shorter sequence to this with `[PAD]`, which the model sees as a token like any
            other: the fault of a program that pads and forgets the mask. The pads belong to the last segment.
            0 for none.
        window: tokens of a window: instead of being cut to `max_length`, a longer text becomes several
            sequences of this length. 0 for none.
        stride: of windows, see `config.reading.Reading`.
        windows_of_second: see `windows`.

    Raises:
        UserError: no token of text fits into `max_length`, `pad_to` is longer than it, or windows cannot be
            so.
    """
    specials = 2 if second is None else 3
    if max_length < 2 * specials - 1 and not window:
        raise UserError(
            f"max_length {max_length} leaves no room for text beside {specials} special tokens; "
            f"it must be at least {2 * specials - 1}."
        )
    reading = Reading(max_length=max_length, pad_to=pad_to, window=window, stride=stride)
    if second is not None and len(second) != len(first):
        raise ValueError(f"{len(first)} first texts, but {len(second)} second texts")
    room = reading.longest - specials
    cut = _truncation(room)
    if window:
        cut = windows(room, stride or max(1, room * 3 // 4), of_second=windows_of_second)
    # Of a text that is cut, one token more than fits tells all about what is cut off.
    read = None if window else room
    tokens, spans_M22, index, truncated = _cut_texts(tokenizer, first, second, cut, read)
    paired_M = np.full(len(spans_M22), second is not None)
    first_M2, second_M2 = spans_M22[:, 0], spans_M22[:, 1]
    laid, _, _ = with_specials(tokens, first_M2, second_M2, paired_M, tokenizer, pad_to=pad_to)
    return replace(laid, truncated=truncated, windows=index if window else None)


def _cut_texts(
    tokenizer: Tokenizer, first: Sequence[str], second: Sequence[str] | None, cut: Cutter, most: int | None
) -> tuple[npt.NDArray[np.int32], Places, WindowIndex, int]:
    """All tokens; from where to where the first and the second text of each sequence stand in them,
    [M, 2, 2]; which sequences are of which texts; and how many texts lost tokens. `most` is of a text that is
    not read in windows, see `Tokenizer.stream`.
    """
    tokens, spans, offsets, firsts, truncated = array("i"), array("q"), array("q"), [0], 0
    others = repeat(None) if second is None else tokenizer.stream(second, most)
    for a, b in zip(tokenizer.stream(first, most), others, strict=second is not None):
        begin = len(tokens)
        tokens.extend(a)
        middle = len(tokens)
        tokens.extend(b or ())
        lengths = len(a), len(b or ())
        cuts = cut(*lengths)
        truncated += cuts[-1].ends != lengths
        for part in cuts:
            spans.extend(begin + place for place in part.first)
            spans.extend(middle + place for place in part.second)
            offsets.append(part.offset)
        firsts.append(len(offsets))
    index = WindowIndex(np.array(firsts, dtype=np.int64), np.array(offsets, dtype=np.int64))
    spans_M22 = np.array(spans, dtype=np.int64).reshape(-1, 2, 2)
    return np.array(tokens, dtype=np.int32), spans_M22, index, truncated


def with_specials(
    tokens: npt.NDArray[Any],
    first_N2: Places,
    second_N2: Places,
    paired_N: npt.NDArray[np.bool_],
    tokenizer: Tokenizer,
    *,
    pad_to: int = 0,
) -> tuple[Sequences, Places, Places]:
    """N sequences `[CLS] a [SEP]`, or `[CLS] a [SEP] b [SEP]`: the one place that lays the special tokens.

    Args:
        tokens: of all texts.
        first_N2: from where to where in `tokens` the first text of each sequence stands.
        second_N2: likewise the second.
        paired_N: which sequences have a second text; an empty one still brings its `[SEP]`.
        tokenizer: knows the special tokens.
        pad_to: see `encode_texts`.

    Returns:
        The sequences; and of each token of a text its place in them, and that in `tokens`.
    """
    sizes_a, sizes_b = first_N2[:, 1] - first_N2[:, 0], second_N2[:, 1] - second_N2[:, 0]
    lengths = np.maximum(2 + sizes_a + paired_N * (1 + sizes_b), pad_to)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    begins = starts[:-1]
    ids = np.full(starts[-1], tokenizer.pad_id, dtype=np.int32)
    ids[begins] = tokenizer.cls_id
    ids[begins + 1 + sizes_a] = tokenizer.sep_id
    ids[(begins + 2 + sizes_a + sizes_b)[paired_N]] = tokenizer.sep_id
    to = np.concatenate([ranges(begins + 1, sizes_a), ranges(begins + 2 + sizes_a, sizes_b)])
    source = np.concatenate([ranges(first_N2[:, 0], sizes_a), ranges(second_N2[:, 0], sizes_b)])
    ids[to] = tokens[source]
    boundaries = np.where(paired_N, 2 + sizes_a, lengths).astype(np.int32)
    return Sequences(ids=ids, starts=starts, second=boundaries), to, source


def _truncation(room: int) -> Cutter:
    """One sequence a text, of at most `room` tokens: see `longest_first`."""

    def cut(first: int, second: int) -> list[Cut]:
        kept = longest_first(first, second, room)
        return [Cut((0, kept[0]), (0, kept[1]))]

    return cut
