"""A small English grammar of minimal pairs: an acceptable sentence, and a nearly equal one that is not.

Each pair turns on one dependency between words that mostly stand apart, as in BLiMP (Warstadt et al. 2020).
Both twins have the same words but one or two, and nearly all neighbours they have occur in both kinds of
sentence, so that counting them tells little: what decides is which words meet.

A little it does tell: singulars are commoner than plurals, so a plural verb is wrong more often than right.
That is meant. Were all counts even, each answer would be the parity of two words, on which gradient descent
from fresh weights stands still; what leads to the parity is a first step that pays (Abbe et al. 2022, The
merged-staircase property).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bertkit.demo.grammar_phenomena import PHENOMENA
from bertkit.demo.grammar_words import Novelty, Words
from bertkit.errors import UserError

Split = Literal["train", "dev"]

LABELS = ("unacceptable", "acceptable")


@dataclass(frozen=True)
class Sentence:
    """One sentence of a minimal pair.

    Attributes:
        text: as it is written.
        label: one of `LABELS`.
        phenomenon: the dependency that decides, a key of `PHENOMENA`.
        novelty: what of the pair the train split never shows: nothing, some words, or the construction.
    """

    text: str
    label: str
    phenomenon: str
    novelty: Novelty


def generate(split: Split, count: int, seed: int = 0) -> list[Sentence]:
    """Make `count` different sentences, twins side by side, the acceptable one first.

    The phenomena take turns. In dev half of the sentences have a novelty. No sentence of one split can be
    made in the other, whatever the seeds.

    Raises:
        UserError: the grammar has not as many.
    """
    generator = random.Random(f"{split} {seed}")
    turns: tuple[Novelty, ...] = ("none",) if split == "train" else ("none", "words", "none", "construction")
    sentences: list[Sentence] = []
    seen: set[str] = set()
    for turn in range((count + 1) // 2):
        phenomenon = list(PHENOMENA)[turn % len(PHENOMENA)]
        novelty = turns[turn // len(PHENOMENA) % len(turns)]
        for pair in _candidates(phenomenon, novelty, generator):
            if all(_split(text) == split for text in pair) and seen.isdisjoint(pair):
                break
        else:
            raise UserError(f"The grammar has no {count} different {split} sentences; ask for fewer.")
        seen.update(pair)
        sentences += [
            Sentence(text, label, phenomenon, novelty)
            for text, label in zip(pair, reversed(LABELS), strict=True)
        ]
    return sentences[:count]


def plain_text(count: int, seed: int = 0) -> list[str]:
    """Make `count` different acceptable sentences: text without labels, to pretrain on.

    The phenomena take turns. A quarter of the sentences have words that `generate` shows in dev only; the
    constructions that are new there are in none. No sentence can be one of dev, whatever the seeds.

    Raises:
        UserError: the grammar has not as many.
    """
    generator = random.Random(f"text {seed}")
    turns: tuple[Novelty, ...] = ("none", "none", "none", "words")
    sentences: dict[str, None] = {}
    for turn in range(count):
        phenomenon = list(PHENOMENA)[turn % len(PHENOMENA)]
        novelty = turns[turn // len(PHENOMENA) % len(turns)]
        for text, _ in _candidates(phenomenon, novelty, generator):
            if _split(text) == "train" and text not in sentences:
                sentences[text] = None
                break
        else:
            raise UserError(f"The grammar has no {count} different sentences for a text; ask for fewer.")
    return list(sentences)


def minimal_pairs(sentences: Sequence[Sentence]) -> list[dict[str, str]]:
    """The twins of `generate` as `bertkit score` reads them: each `{"good", "bad", "phenomenon"}`."""
    return [
        {"good": good.text, "bad": bad.text, "phenomenon": good.phenomenon}
        for good, bad in zip(sentences[::2], sentences[1::2], strict=False)
    ]


def _split(text: str) -> Split:
    """The one split that may have this sentence."""
    return "dev" if hashlib.sha256(text.encode()).digest()[0] % 2 else "train"


def _candidates(phenomenon: str, novelty: Novelty, generator: random.Random) -> Iterator[tuple[str, str]]:
    for _ in range(2_000):
        words = Words(generator, novelty)
        frame, good, bad = PHENOMENA[phenomenon](words)
        if words.has_new == (novelty == "words"):
            yield _written(frame.format(good)), _written(frame.format(bad))


def _written(text: str) -> str:
    text = " ".join(text[:-1].split()) + text[-1]
    return text[0].upper() + text[1:]
