"""Many sentences to tokens, in bulk: what preparing a corpus spends its time on."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError
from bertkit.text.parts import MARKS
from bertkit.text.tokenizer import Tokenizer

# Of the chunks seen so far; beyond it all are forgotten. Some tens of megabytes.
MOST_CHUNKS_KNOWN = 2**18
MOST_TOKENS = 2**21
CHUNKS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Tokens:
    """Sentences as tokens.

    Attributes:
        ids: the tokens of all sentences end to end, int64 [P].
        lengths: tokens of each sentence, int64 [sentences]; 0 where it has none.
        words: True where a token begins a word, bool [P], where a segmenter said so; else None.
    """

    ids: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    words: npt.NDArray[np.bool_] | None = None


Cutter = Callable[[Sequence[str]], Tokens]
"""Sentences to tokens, in order; no sentence holds a line's end."""


def cutter_of(tokenizer: Tokenizer, words: str | None = None) -> Cutter:
    """The quickest cutter for a tokenizer, or that of a segmenter of words, a key of `CUTTERS`.

    Raises:
        UserError: the segmenter is not installed.
    """
    if words:
        return CUTTERS[words](tokenizer)
    # An added token may look across spaces and marks, which no rule of BERT's does.
    return ChunkCutter(tokenizer) if tokenizer.parting.at_marks else PlainCutter(tokenizer)


class PlainCutter:
    """The tokens of `Tokenizer`, text by text."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        """Cut them, in order."""
        texts = self._tokenizer.encode_batch(sentences)
        lengths = np.array([len(ids) for ids in texts], np.int64)
        return Tokens(np.array([token for ids in texts for token in ids], np.int64), lengths)


class ChunkCutter:
    """The tokens of `Tokenizer`, several times as fast.

    No rule of BERT's looks across a space, so what stands between two spaces is cut once and remembered. Nor
    does one look across a punctuation mark; the frequent ones get spaces around them, which leaves fewer
    different chunks to cut.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._forget()

    def _forget(self) -> None:
        self._numbers = _Numbers({_END: 0})
        # The tokens of the chunk with number n stand in `_ids` from `_begins[n]` to `_begins[n + 1]`. What
        # stands before the first of them is no token: numpy sees no buffer where there are no bytes.
        self._ids = array("q", [0])
        self._begins = array("q", [1, 1])

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        """Cut them, in order."""
        # One split of everything is quicker than many, and a chunk that no sentence has tells them apart.
        text = _BETWEEN.join([*sentences, ""])
        for mark in MARKS:
            text = text.replace(mark, f" {mark} ")
        chunks = text.replace("  ", " ").split(" ")
        numbers = np.fromiter(map(self._numbers.__getitem__, chunks), np.int64, len(chunks))
        self._learn(self._numbers.new)
        ids, begins = (np.frombuffer(table, np.int64) for table in (self._ids, self._begins))
        first = begins[numbers]
        counts = begins[numbers + 1] - first
        ends = np.cumsum(counts)
        places = np.arange(ends[-1]) + np.repeat(first - (ends - counts), counts)
        tokens = Tokens(ids[places], np.diff(ends[numbers == 0], prepend=0))
        # An array that numpy looks at cannot grow.
        del ids, begins
        if len(self._numbers) > MOST_CHUNKS_KNOWN or len(self._ids) > MOST_TOKENS:
            self._forget()
        return tokens

    def _learn(self, new: list[str]) -> None:
        """Add the tokens of chunks to the tables, and empty the list."""
        for begin in range(0, len(new), CHUNKS_AT_ONCE):
            chunks = new[begin : begin + CHUNKS_AT_ONCE]
            # One text of many chunks is quicker than many texts; the offsets say whose a token is.
            encoding = self._tokenizer.encode(" ".join(chunks))
            places = np.array([place for place, _ in encoding.offsets], np.int64)
            ends = np.cumsum([len(chunk) + 1 for chunk in chunks])
            self._begins.extend((len(self._ids) + np.searchsorted(places, ends)).tolist())
            self._ids.extend(encoding.ids)
        new.clear()


_END = "\n"
_BETWEEN = f" {_END} "


class _Numbers(dict[str, int]):
    """Chunk to number, counted on; `new` are those that were asked for the first time."""

    def __init__(self, known: Mapping[str, int]) -> None:
        super().__init__(known)
        self.new: list[str] = []

    def __missing__(self, chunk: str) -> int:
        number = self[chunk] = len(self)
        self.new.append(chunk)
        return number


class ChineseCutter:
    """The tokens of `Tokenizer`, with the words that jieba finds in Chinese.

    A Chinese character begins a word where a word of jieba's begins; any other token begins one by BERT's
    own rules. (Cui et al., "Pre-Training with Whole Word Masking for Chinese BERT", section 2.3.)
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        try:
            import jieba
        except ImportError:
            raise UserError(
                "Chinese words need jieba; install it with `pip install 'bertkit[chinese]'`."
            ) from None
        import logging

        jieba.setLogLevel(logging.WARNING)
        self._jieba: Any = jieba.Tokenizer()
        self._tokenizer = tokenizer

    def __call__(self, sentences: Sequence[str]) -> Tokens:
        """Cut them, in order."""
        ids: list[int] = []
        words: list[bool] = []
        lengths: list[int] = []
        for sentence in sentences:
            encoding = self._tokenizer.encode(sentence)
            begins = {begin for _, begin, _ in self._jieba.tokenize(sentence)}
            for (begin, _), start in zip(encoding.offsets, encoding.word_starts, strict=True):
                words.append(start and (begin in begins or not is_chinese(sentence[begin])))
            ids += encoding.ids
            lengths.append(len(encoding.ids))
        return Tokens(np.array(ids, np.int64), np.array(lengths, np.int64), np.array(words, np.bool_))


CUTTERS = {"jieba": ChineseCutter}
"""Segmenters of words by name."""


def is_chinese(character: str) -> bool:
    """Whether it is an ideograph: what `_is_chinese_char` of google-research/bert (tokenization.py) says."""
    point = ord(character)
    return any(low <= point <= high for low, high in _IDEOGRAPHS)


_IDEOGRAPHS = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)
