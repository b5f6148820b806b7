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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from bertkit.errors import UserError

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


Pair = tuple[str, str, str]
"""A frame with one gap, the filler that makes it acceptable, and one that does not."""


def _predicate(words: Words, kind: str, plural: bool) -> Pair:
    """A verb in the gap and what follows it, for a subject of that kind and number."""
    which = 0 if kind == "thing" else words.one(range(3))
    if which == 0:
        singular, several, rest = "is", "are", words.adjective(kind)
    elif which == 1:
        singular, several, rest = "has", "have", f"{words.one(ADVERBS)} {words.past('rest')}"
    else:
        several, singular, *_ = forms(words.known("rest"))
        rest = ""
    return (f"{{}} {rest}", several, singular) if plural else (f"{{}} {rest}", singular, several)


def agreement(words: Words) -> Pair:
    """The verb has the number of its subject, not that of a nearer noun. New: two nouns between."""
    kind, plural = words.one((*PEOPLE, "thing")), words.number()
    between = words.near() if words.construction or words.chance(0.6) else ""
    if words.construction:
        between += f" {words.near()}"
    elif words.chance(0.25):
        subject = words.phrase(kind, plural, plain=True)
        right, wrong = ("are", "is") if plural else ("is", "are")
        return f"{{}} {subject} {between} {words.adjective(kind)}?", right, wrong
    predicate, right, wrong = _predicate(words, kind, plural)
    return f"{words.phrase(kind, plural)} {between} {predicate}.", right, wrong


def relative_clause(words: Words) -> Pair:
    """The verb has the number of its subject across a relative clause. New: a longer clause."""
    kind, plural = words.one((*PEOPLE, "thing")), words.number()
    inner = f"{words.people()} {words.near() if words.construction else ''}"
    if kind == "thing":
        clause = f"that {inner} {words.past('find')}"
    elif words.construction or words.chance():
        clause = f"that {inner} {words.past('help')}"
    else:
        clause = f"who {words.past('help')} {inner}"
    predicate, right, wrong = _predicate(words, kind, plural)
    return f"{words.phrase(kind, plural)} {clause} {predicate}.", right, wrong


def determiner(words: Words) -> Pair:
    """The determiner has the number of its noun. New: two adjectives between."""
    kind, plural = words.one((*PEOPLE, "thing")), words.number()
    adjectives = words.adjective(kind) if words.construction or words.chance(0.6) else ""
    if words.construction:
        adjectives += f" {words.adjective(kind)}"
    noun = f"{{}} {adjectives} {words.known(kind)}{'s' * plural}"
    if kind == "thing":
        frame = f"{words.people()} {words.past('find')} {noun}."
    elif words.chance():
        frame = f"{words.people()} {words.past('help')} {noun}."
    else:
        frame = f"{noun} {words.past('help')} {words.people()}."
    return frame, words.one(MARKED[plural]), words.one(MARKED[not plural])


def reflexive(words: Words) -> Pair:
    """The reflexive has the subject's number and gender, not a nearer noun's. New: a relative clause."""
    reflexives = ("herself", "himself", "themselves")
    right = words.generator.choices(reflexives, (0.4, 0.3, 0.3))[0]
    wrong = words.one([other for other in reflexives if other != right])
    kind = {"herself": "woman", "himself": "man", "themselves": words.one(PEOPLE)}[right]
    subject = words.phrase(kind, right == "themselves")
    if words.construction:
        between = f"that {words.people()} {words.past('help')}"
    else:
        between = f"{words.one(NEAR)} {words.people()}" if words.chance(0.6) else ""
    return f"{subject} {between} {words.past('blame')} {{}}.", right, wrong


def verb_form(words: Words) -> Pair:
    """The verb has the form that its auxiliary asks for. New: a question about a longer subject."""
    plural = words.number()
    form = words.generator.choices((BASE, PAST, ING), (0.2, 0.5, 0.3))[0]
    auxiliary = {
        BASE: words.one(("will", "can", "should")),
        PAST: ("has", "have")[plural],
        ING: ("is", "are")[plural],
    }[form]
    verb, target = words.action()
    subject = words.phrase(words.one(PEOPLE), plural)
    if words.construction:
        frame = f"{auxiliary} {subject} {words.near()} {{}} {target}?"
    elif words.chance(0.3):
        frame = f"{auxiliary} {subject} {{}} {target}?"
    else:
        frame = f"{subject} {auxiliary} {words.one(ADVERBS)} {{}} {target}."
    wrong = words.one([other for other in (BASE, PAST, ING) if other != form])
    return frame, forms(verb)[form], forms(verb)[wrong]


def question_order(words: Words) -> Pair:
    """A question has the auxiliary before its subject, a reported one behind it. New: a longer subject."""
    plural = words.number()
    subject = f"{words.phrase(words.one(PEOPLE), plural)} {words.near() if words.construction else ''}"
    auxiliary, form = words.one(
        (("will", BASE), (("has", "have")[plural], PAST), (("is", "are")[plural], ING))
    )
    verb, target = words.action()
    rest = f"{forms(verb)[form]} {target}"
    asker = words.one(("why", "when", "where", "how"))
    before, behind = f"{auxiliary} {subject}", f"{subject} {auxiliary}"
    if words.chance():
        return f"{asker} {{}} {rest}?", before, behind
    return f"{words.one(ASKED)} {asker} {{}} {rest}.", behind, before


def arguments(words: Words) -> Pair:
    """A verb has its object once: behind it, or as what is asked or told about. New: in a question."""
    plural, with_object = words.number(), words.number()
    subject, verb = words.phrase(words.one(PEOPLE), plural), forms(words.word("find"))
    when = words.one(TIMES)
    if words.construction or words.chance():
        rest = f"{words.things() if with_object else ''} {when}"
        right, wrong = ("why", "what") if with_object else ("what", "why")
        if words.construction:
            return f"{{}} {('does', 'do')[plural]} {subject} {verb[BASE]} {rest}?", right, wrong
        return f"{words.one(ASKED)} {{}} {subject} {verb[PAST]} {rest}.", right, wrong
    clause = f"{subject} {verb[PAST]} {{}} {when}"
    if with_object:
        return f"{clause}.", words.things(), ""
    many = words.number()
    frame = f"{words.phrase('thing', many)} that {clause} {('was', 'were')[many]} {words.adjective('thing')}."
    return frame, "", words.things()


def correlative(words: Words) -> Pair:
    """Both ... and, either ... or, neither ... nor, more ... than, as ... as. New: a longer first part."""
    longer = words.near() if words.construction else ""
    if words.chance(0.4):
        plural = words.number()
        first, right = words.one((("more", "than"), ("as", "as")))
        subject = f"{words.phrase(words.one(PEOPLE), plural)} {longer} {('is', 'are')[plural]}"
        wrong = "as" if right == "than" else "than"
        return f"{subject} {first} {words.word('gradable')} {{}} {words.people()}.", right, wrong
    seconds = ("and", "or", "nor")
    right = words.generator.choices(seconds, (0.5, 0.3, 0.2))[0]
    wrong = words.one([other for other in seconds if other != right])
    first = {"and": "both", "or": "either", "nor": "neither"}[right]
    parts = f"{first} {words.people()} {longer} {{}} {words.people()}"
    if words.chance():
        return f"{parts} {words.past('rest')} {words.one(TIMES)}.", right, wrong
    return f"{words.people()} {words.past('help')} {parts}.", right, wrong


PHENOMENA: dict[str, Callable[[Words], Pair]] = {
    "agreement": agreement,
    "relative clause": relative_clause,
    "determiner": determiner,
    "reflexive": reflexive,
    "verb form": verb_form,
    "question order": question_order,
    "arguments": arguments,
    "correlative": correlative,
}


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
        for twins in _candidates(turn, turns, generator):
            texts = [twin.text for twin in twins]
            if all(_split(text) == split for text in texts) and seen.isdisjoint(texts):
                break
        else:
            raise UserError(f"The grammar has no {count} different {split} sentences; ask for fewer.")
        seen.update(texts)
        sentences += twins
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
        for good, _ in _candidates(turn, turns, generator):
            if _split(good.text) == "train" and good.text not in sentences:
                sentences[good.text] = None
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


def _candidates(
    turn: int, turns: Sequence[Novelty], generator: random.Random
) -> Iterator[tuple[Sentence, Sentence]]:
    """Twins of the phenomenon and the novelty whose turn it is, the acceptable one first."""
    phenomenon = list(PHENOMENA)[turn % len(PHENOMENA)]
    novelty = turns[turn // len(PHENOMENA) % len(turns)]
    for _ in range(2_000):
        words = Words(generator, novelty)
        frame, right, wrong = PHENOMENA[phenomenon](words)
        if words.has_new == (novelty == "words"):
            good, bad = _written(frame.format(right)), _written(frame.format(wrong))
            unacceptable, acceptable = LABELS
            yield (
                Sentence(good, acceptable, phenomenon, novelty),
                Sentence(bad, unacceptable, phenomenon, novelty),
            )


def _written(text: str) -> str:
    text = " ".join(text[:-1].split()) + text[-1]
    return text[0].upper() + text[1:]
