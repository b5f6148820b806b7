"""Sentences of words to sequences: each word keeps a token of its own, and none is lost to the length."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading
from bertkit.data.conll import TaggedSentence
from bertkit.data.packed import Sequences, WindowIndex, answerable
from bertkit.data.packing import windows, with_specials
from bertkit.text.tokenizer import Tokenizer

_SPECIALS = 2
NO_WORD = -1
"""In the place of a word's number, for a token that stands for none."""


@dataclass(frozen=True)
class Worded:
    """N sentences as sequences, and which token stands for which word.

    Attributes:
        sequences: with windows, of which a sentence has one or more.
        words_P: of each token in `sequences.ids` the word of its sentence that it stands for, counted from 0;
            `NO_WORD` for all others. Each word has exactly one: its first, in the window that answers for it.
        starts: where the words of each sentence begin among all, and how many there are, int64 [N + 1].
    """

    sequences: Sequences
    words_P: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]


def encode_words(tokenizer: Tokenizer, sentences: Sequence[TaggedSentence], reading: Reading) -> Worded:
    """Encode sentences that came as words; what of their neighbours they hold fills the room that is left.

    A word is cut into tokens for itself, as transformers does with `is_split_into_words`; one that becomes no
    token, as a sign that BERT drops, is read as `[UNK]`. A sentence that is longer than `reading.longest` is
    read in windows that overlap, so that none loses its end. Its neighbours' words are cut at their far ends.

    Args:
        tokenizer: cuts the words.
        sentences: N of them.
        reading: how long sequences may be, and how far windows stand from each other.
    """
    room = reading.longest - _SPECIALS
    cut = windows(room, reading.stride or max(1, room * 3 // 4))
    tokens_of = _Words(tokenizer, sentences)
    tokens, words = array("i"), array("q")
    spans, answered, offsets, firsts = array("q"), array("q"), array("q"), [0]
    for sentence in sentences:
        begin = len(tokens)
        tokens.extend(tokens_of.all(sentence.before))
        start = len(tokens)
        words.extend([NO_WORD] * (start - begin))
        for number, word in enumerate(sentence.words):
            found = tokens_of[word]
            tokens.extend(found)
            words.extend([number, *[NO_WORD] * (len(found) - 1)])
        end = len(tokens)
        tokens.extend(tokens_of.all(sentence.after))
        words.extend([NO_WORD] * (len(tokens) - end))
        parts = [part.first for part in cut(end - start, 0)]
        before, after = _beside(start - begin, len(tokens) - end, room - (end - start))
        sizes = np.array([stop - first for first, stop in parts], dtype=np.int64)
        begins = np.array([first for first, _ in parts], dtype=np.int64)
        for (first, stop), (low, high) in zip(parts, answerable(begins, sizes), strict=True):
            spans.extend([start + first - before, start + stop + after])
            answered.extend([start + low, start + high])
            offsets.append(first - before)
        firsts.append(len(offsets))
    spans_M2, answered_M2 = (np.array(part, dtype=np.int64).reshape(-1, 2) for part in (spans, answered))
    none_M2 = np.zeros_like(spans_M2)
    laid, to, source = with_specials(
        np.array(tokens, dtype=np.int32),
        spans_M2,
        none_M2,
        np.zeros(len(spans_M2), dtype=np.bool_),
        tokenizer,
    )
    window = np.repeat(np.arange(len(spans_M2)), laid.sizes - _SPECIALS)
    its = (answered_M2[window, 0] <= source) & (source < answered_M2[window, 1])
    words_P = np.full(len(laid.ids), NO_WORD, dtype=np.int64)
    words_P[to] = np.where(its, np.array(words, dtype=np.int64)[source], NO_WORD)
    index = WindowIndex(np.array(firsts, dtype=np.int64), np.array(offsets, dtype=np.int64))
    starts = np.cumsum([0, *(len(sentence.words) for sentence in sentences)])
    return Worded(replace(laid, windows=index), words_P, starts)


def _beside(before: int, after: int, room: int) -> tuple[int, int]:
    """How many tokens of either side there is room for: half of it, or what the other leaves."""
    room = max(0, room)
    left = min(before, max(room // 2, room - after))
    return left, min(after, room - left)


class _Words(dict[str, list[int]]):
    """The tokens of each word that some sentences have."""

    def __init__(self, tokenizer: Tokenizer, sentences: Sequence[TaggedSentence]) -> None:
        parts = (part for each in sentences for part in (each.before, each.words, each.after))
        words = list(dict.fromkeys(word for part in parts for word in part))
        unknown = [tokenizer.unk_id]
        found = zip(words, tokenizer.stream(words), strict=True)
        super().__init__((word, tokens or unknown) for word, tokens in found)

    def all(self, words: Sequence[str]) -> list[int]:
        return [token for word in words for token in self[word]]
