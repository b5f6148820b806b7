"""Texts to sequences: `[CLS] a [SEP]` and `[CLS] a [SEP] b [SEP]`, cut to length or into windows."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import repeat

import numpy as np

from bertkit.config.reading import Reading
from bertkit.data.long import Cut, Cutter, WindowIndex, window_cutter
from bertkit.data.packed import Sequences
from bertkit.errors import UserError
from bertkit.text.tokenizer import Tokenizer


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
    ids, ends, boundaries, firsts, offsets, truncated = array("i"), [0], array("i"), [0], array("q"), 0
    others = repeat(None) if second is None else tokenizer.stream(second)
    for a, b in zip(tokenizer.stream(first), others, strict=second is not None):
        lengths = len(a), len(b or ())
        cuts = cut(*lengths)
        truncated += cuts[-1].ends != lengths
        for part in cuts:
            ids.append(tokenizer.cls_id)
            ids.extend(a[slice(*part.first)])
            ids.append(tokenizer.sep_id)
            boundary = len(ids)
            if b is not None:
                ids.extend(b[slice(*part.second)])
                ids.append(tokenizer.sep_id)
            ids.extend(repeat(tokenizer.pad_id, max(0, ends[-1] + pad_to - len(ids))))
            boundaries.append((len(ids) if b is None else boundary) - ends[-1])
            offsets.append(part.offset)
            ends.append(len(ids))
        firsts.append(len(boundaries))
    index = WindowIndex(np.array(firsts, dtype=np.int64), np.array(offsets, dtype=np.int64))
    return Sequences(
        ids=np.array(ids, dtype=np.int32),
        starts=np.array(ends, dtype=np.int64),
        second=np.array(boundaries, dtype=np.int32),
        truncated=truncated,
        windows=index if in_windows else None,
    )


def _truncation(room: int) -> Cutter:
    """One sequence a text, of at most `room` pieces: see `longest_first`."""

    def cut(first: int, second: int) -> list[Cut]:
        kept = longest_first(first, second, room)
        return [Cut((0, kept[0]), (0, kept[1]))]

    return cut
