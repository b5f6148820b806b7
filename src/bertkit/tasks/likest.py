"""Answers that need no model: a text's first sentence, and a span of the sentence most like the question."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bertkit.tasks.ngrams import WORD

# Up to a mark that a space or the end follows, or to the end of a line.
_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?](?!\s|$)[^.!?。！？\n]*)*[.!?。！？\n]*")
_WORD = re.compile(WORD)


@dataclass(frozen=True)
class Likest:
    """The span of a text that a question may be after: its characters, and how like the question it stands.

    `likeness` is the share of what the question's words weigh that its sentence has, from 0 to 1.
    """

    start: int
    end: int
    likeness: float


def sentences_of(text: str) -> list[tuple[int, int]]:
    """From where to where each sentence reaches that is more than spaces."""
    return [found.span() for found in _SENTENCE.finditer(text) if found[0].strip()]


class WordWeights:
    """How much words tell: the logarithm of how few of some texts have them (inverse document frequency)."""

    def __init__(self, texts: Iterable[str]) -> None:
        counts: Counter[str] = Counter()
        self._texts = 0
        for text in texts:
            self._texts += 1
            counts.update({word for word, _, _ in _words(text, 0, len(text))})
        self._counts = counts

    def of(self, word: str) -> float:
        """What a word weighs; one of all the texts nothing."""
        return math.log((1 + self._texts) / (1 + self._counts[word]))

    def likest_span(self, question: str, text: str) -> Likest:
        """The weightiest span without a word of the question, in the sentence that has most of its words.

        Sources: the distance baseline of Richardson et al. 2013 and the sliding window of Rajpurkar et al.
        2016 look for the question's words too. Of equals it is the first.

        Args:
            question: a text.
            text: one with a sentence.
        """
        asked = {word: self.of(word) for word, _, _ in _words(question, 0, len(question))}

        def likeness(sentence: tuple[int, int]) -> float:
            return sum(asked.get(word, 0.0) for word in {word for word, _, _ in _words(text, *sentence)})

        sentence = max(sentences_of(text), key=likeness)
        words = _words(text, *sentence)
        runs: list[list[tuple[str, int, int]]] = [[]]
        for word in words:
            if word[0] in asked:
                runs.append([])
            else:
                runs[-1].append(word)
        best = max(runs, key=lambda run: sum(self.of(word) for word, _, _ in run)) or words
        start, end = (best[0][1], best[-1][2]) if best else sentence
        return Likest(start, end, likeness(sentence) / max(sum(asked.values()), 1e-9))


def _words(text: str, start: int, end: int) -> list[tuple[str, int, int]]:
    """The words of a stretch of a text in lower case, each with its place; ideographs are words."""
    return [(found[0].lower(), *found.span()) for found in _WORD.finditer(text, start, end)]
