"""Long texts in parts whose tokens, one behind the other, are those of the whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import tokenizers

from bertkit.text.vocabulary_files import MAX_WORD_CHARACTERS, Added

TEXTS_AT_ONCE, CHARACTERS_AT_ONCE = 4_096, 2**22
"""Texts, or their characters, given to the Rust threads in one call: bounds the memory of their answers, some
hundred bytes a character."""
LONGEST_PART = 2**16
"""Characters of one text, about, that are encoded together."""
SHORTEST_PART, CHARACTERS_A_TOKEN = 512, 8
"""Where few tokens are wanted: so many characters are encoded at first, or so many for each token, more than
there usually are."""
MARKS = ".,\"'-;:!?()’“”"
"""Frequent punctuation marks: no rule of BERT's looks across one, nor across a space."""
_PARTING = f" \t\r\n{re.escape(MARKS)}"
_IDEOGRAPHS = "\u4e00-\u9fff"
# Letters and digits that can be nothing but [UNK] together; none is taken away by any cleaning.
_LONG_WORD = re.compile(f"([0-9A-Za-z]{{{MAX_WORD_CHARACTERS + 1}}})[0-9A-Za-z]+")

_SURROGATES = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    """`text` with each lone surrogate, which UTF-8 cannot say, as U+FFFD, which BERT drops; same length."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


class Parting:
    """Where the texts of a tokenizer may be cut.

    Args:
        added: its added tokens, which may look across spaces and marks.
        split_cjk: whether each ideograph is a word.

    Attributes:
        at_marks: whether at spaces and at `MARKS`; else nowhere.
    """

    def __init__(self, added: Sequence[Added], *, split_cjk: bool) -> None:
        self.at_marks = not any(
            token.lstrip or token.rstrip or any(sign in MARKS or sign.isspace() for sign in token.content)
            for token in added
        )
        self._added = bool(added)
        alone = _IDEOGRAPHS if split_cjk and not added else ""
        self._behind = re.compile(f"[{_PARTING}{alone}]" if self.at_marks else "(?!)")

    def stream(
        self, rust: tokenizers.Tokenizer, texts: Sequence[str], most: int | None
    ) -> Iterator[list[int]]:
        """The ids of texts, in order.

        Args:
            rust: encodes the parts, on all processors.
            texts: to encode.
            most: tokens of each that are wanted: once there are more, the rest of its text is not read.
        """
        size = LONGEST_PART
        if most is not None:
            size = min(size, max(SHORTEST_PART, CHARACTERS_A_TOKEN * (most + 1)))
        waiting: list[tuple[str, str]] = []
        characters = 0
        for text in texts:
            part = self._part(text, 0, size)
            waiting.append((text, part))
            characters += len(part)
            if len(waiting) == TEXTS_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
                yield from self._ids(rust, waiting, size, most)
                waiting, characters = [], 0
        yield from self._ids(rust, waiting, size, most)

    def _ids(
        self, rust: tokenizers.Tokenizer, texts: Sequence[tuple[str, str]], size: int, most: int | None
    ) -> Iterator[list[int]]:
        """Those of texts, each beside its first part."""
        first = self._encode(rust, [part for _, part in texts])
        for (text, part), ids in zip(texts, first, strict=True):
            end = len(part)
            while end < len(text) and (most is None or len(ids) <= most):
                part = self._part(text, end, size)
                end += len(part)
                ids += next(self._encode(rust, [part]))
            yield ids

    def _encode(self, rust: tokenizers.Tokenizer, parts: Sequence[str]) -> Iterator[list[int]]:
        chunk = [encodable(self._short(part)) for part in parts]
        return (found.ids for found in rust.encode_batch_fast(chunk, add_special_tokens=False))

    def _part(self, text: str, begin: int, size: int) -> str:
        """About `size` characters, up to where no rule and no added token looks at what is behind."""
        if len(text) - begin <= size:
            return text[begin:]
        found = self._behind.search(text, begin + size - 1)
        return text[begin : found.end() if found else None]

    def _short(self, part: str) -> str:
        """What has the same ids, without the rest of words that are far too long to be known."""
        return part if self._added or len(part) <= LONGEST_PART else _LONG_WORD.sub(r"\1", part)
