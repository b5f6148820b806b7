"""The words of the grammar of minimal pairs, and how a sentence draws them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, TypeVar

Novelty = Literal["none", "words", "construction"]

T = TypeVar("T")

# Nouns take -s. Verbs are regular, or given as base/-s/past/-ing; past and participle are the same.
KNOWN = {
    "woman": "girl queen sister aunt mother daughter niece grandmother",
    "man": "boy king brother uncle father son nephew grandfather",
    "person": "teacher doctor farmer pilot singer baker student painter writer lawyer driver guest",
    "thing": "book letter chair lamp bottle coat clock drum basket ticket map cake ring hat blanket guitar",
    "place": "house bridge tower river garden statue gate tent boat tree",
    "rest": "laugh dance smile wait rest work travel shout whisper sleep/sleeps/slept/sleeping "
    "kneel/kneels/knelt/kneeling",
    "find": "repair use fetch receive damage examine replace remove find/finds/found/finding "
    "keep/keeps/kept/keeping bring/brings/brought/bringing make/makes/made/making",
    "help": "admire follow thank watch help blame describe visit invite tease call warn",
    "blame": "blame describe admire thank help watch tease",
    "human": "old young tall quiet clever happy tired rich",
    "material": "old new small heavy red cheap dirty broken",
    "gradable": "famous careful patient generous cheerful modest",
}
# Only in dev. None of them needs to be known: the number of a new noun shows in the determiner before it,
# and a new verb or adjective never stands where the pair is decided.
NEW = {
    "person": "sailor judge tourist gardener",
    "thing": "violin mirror ladder candle pillow",
    "place": "castle lake windmill",
    "rest": "yawn sneeze",
    "find": "mend inspect",
    "help": "praise greet",
    "blame": "praise forgive/forgives/forgave/forgiving",
    "human": "gentle strange",
    "material": "golden wooden",
    "gradable": "curious grateful",
}
PLAIN = ("the", "my", "our", "your", "their")
MARKED = (("this", "that", "every", "each"), ("these", "those", "many", "several"))
NEAR = ("near", "behind", "beside", "in front of")
ADVERBS = ("often", "rarely", "always", "never", "sometimes", "also")
TIMES = ("yesterday", "last week", "after lunch", "this morning", "on Monday", "in June")
ASKED = ("I wonder", "nobody knows", "we asked", "she told us", "they forgot")
BASE, SINGULAR, PAST, ING = range(4)
PEOPLE = ("woman", "man", "person")


class Words:
    """Draws words and phrases; `has_new` tells whether one of them was of `NEW`."""

    def __init__(self, generator: random.Random, novelty: Novelty) -> None:
        self.generator = generator
        self.novelty = novelty
        self.construction = novelty == "construction"
        self.has_new = False
        self.used: set[str] = set()

    def one(self, options: Sequence[T]) -> T:
        """One of these, all equally likely."""
        return self.generator.choice(options)

    def chance(self, share: float = 0.5) -> bool:
        """Whether to do what is done in this share of the sentences."""
        return self.generator.random() < share

    def number(self) -> bool:
        """Whether a noun is plural."""
        return self.chance(0.33)

    def known(self, kind: str) -> str:
        """A word of that kind that both splits have."""
        return self._use(self._unused(KNOWN, kind))

    def word(self, kind: str) -> str:
        """A word of that kind; a new one, mostly, where words are the novelty."""
        new = self._unused(NEW, kind)
        if self.novelty != "words" or not new or self.chance(0.4):
            return self.known(kind)
        self.has_new = True
        return self._use(new)

    def _unused(self, lexicon: dict[str, str], kind: str) -> list[str]:
        """No sentence draws the same word twice."""
        return [word for word in lexicon.get(kind, "").split() if word not in self.used]

    def _use(self, options: list[str]) -> str:
        # As in any language, some words are much more frequent than others (Zipf).
        weights = [1 / rank for rank in range(1, len(options) + 1)]
        word = self.generator.choices(options, weights)[0]
        self.used.add(word)
        return word

    def past(self, kind: str) -> str:
        """The past of a verb of that kind."""
        return forms(self.word(kind))[PAST]

    def adjective(self, kind: str) -> str:
        """An adjective for a noun of that kind."""
        return self.word("human" if kind in PEOPLE else "material")

    def phrase(self, kind: str, plural: bool, *, plain: bool = False) -> str:
        """Determiner, perhaps an adjective, noun; with `plain`, only a new noun's determiner has a number."""
        noun = self.word(kind)
        marked = noun in NEW.get(kind, "").split() or (not plain and self.chance(0.6))
        determiner = self.one(MARKED[plural] if marked else PLAIN)
        return f"{determiner} {self.adjective(kind) if self.chance(0.2) else ''} {noun}{'s' * plural}"

    def people(self) -> str:
        """A phrase for one or several persons."""
        return self.phrase(self.one(PEOPLE), self.number())

    def things(self) -> str:
        """A phrase for one or several things."""
        return self.phrase("thing", self.number())

    def near(self) -> str:
        """A place beside a noun, whose number has nothing to do with what stands around it."""
        return f"{self.one(NEAR)} {self.phrase(self.one(('place', 'thing', 'person')), self.number())}"

    def action(self) -> tuple[str, str]:
        """A known verb, and a phrase that can be its object."""
        kind = self.one(("find", "help"))
        return self.known(kind), self.things() if kind == "find" else self.people()


def forms(verb: str) -> list[str]:
    """Base, -s, past and -ing of a verb of the lexicon, in the order of `BASE`, `SINGULAR`, `PAST`, `ING`."""
    if "/" in verb:
        return verb.split("/")
    stem = verb.removesuffix("e")
    return [verb, f"{verb}s", f"{stem}ed", f"{stem}ing"]
