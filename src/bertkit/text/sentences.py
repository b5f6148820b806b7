"""Lines of text to sentences."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from bertkit.errors import UserError
from bertkit.text.parts import encodable

SPLITTING = "auto, a language such as de or zh, lines, or length:N"
"""What a `Splitting` may be made of, for help and messages."""

# The rules for English know the full stops of all scripts; another language adds its abbreviations.
_ANY_LANGUAGE = "en"
_LANGUAGE = re.compile("[a-z]{2,3}(-[a-z0-9]+)*", re.IGNORECASE)


@dataclass(frozen=True)
class Splitting:
    """How a document becomes sentences.

    Attributes:
        language: whose rules split a line; None: they do not.
        length: tokens of a sentence at most, where text is split by length and nothing else; None: it is not.
    """

    language: str | None = None
    length: int | None = None

    @classmethod
    def parse(cls, text: str) -> Splitting:
        """The meaning of "auto", a language's code, "lines" or "length:N".

        Raises:
            UserError: it is none of these.
        """
        kind, _, number = text.partition(":")
        if kind == "length" and number.isdecimal() and int(number) > 0:
            return cls(length=int(number))
        if text == "lines":
            return cls()
        if text == "auto" or _LANGUAGE.fullmatch(text):
            return cls(language=_ANY_LANGUAGE if text == "auto" else text)
        raise UserError(f"Sentences cannot be split by {text!r}; say {SPLITTING}.")

    @property
    def rules(self) -> str:
        """What else decides where a sentence ends: the library and its version, or nothing."""
        return f"sentencex {version('sentencex')}" if self.language else ""

    def splitter(self) -> Callable[[str], list[str]]:
        """A function from a document to its sentences; some may hold nothing but spaces.

        A line's end always ends a sentence, but where text is split by length: then the document is one,
        and whoever has its tokens cuts it.
        """
        if self.length is not None:
            return lambda text: [text.replace("\n", " ")]
        if self.language is None:
            return lambda text: text.split("\n")
        from sentencex import segment

        language = self.language

        def split(text: str) -> list[str]:
            sentences: list[str] = []
            for line in encodable(text).split("\n"):
                sentences += segment(language, line)
            return sentences

        return split
