"""Tags of words that together name entities: the schemes, how each is read, mended and decoded.

A tag is `O`, or a letter that says where in an entity the word stands, a hyphen and the type of the entity:
`B-LOC`. The letters of all schemes are told as those of IOBES, B begins, I is inside, E ends and S is an
entity of one word, so that one reader serves all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

OUTSIDE = "O"
NO_TYPE = "_"
"""The type of entities of which a file has one kind and says no name, as in seqeval."""


class Entity(NamedTuple):
    """Words `start` to `end` of a sentence, the last not counted, are an entity."""

    type: str
    start: int
    end: int


@dataclass(frozen=True)
class Scheme:
    """A way to write entities as one tag a word.

    Attributes:
        name: what people call it.
        letters: each letter that it writes, and what it is in IOBES.
        ends: whether it says where an entity ends.
    """

    name: str
    letters: Mapping[str, str]
    ends: bool = True
    _written: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_written", {means: letter for letter, means in self.letters.items()})

    def split(self, tag: str) -> tuple[str, str] | None:
        """The letter of IOBES that a tag stands for, and the type; ("O", "") outside; else None."""
        if tag == OUTSIDE:
            return OUTSIDE, ""
        letter, hyphen, name = tag.partition("-")
        if letter not in self.letters or (hyphen and not name):
            return None
        return self.letters[letter], name or NO_TYPE

    def write(self, means: str, name: str) -> str:
        """The tag of a letter of IOBES and a type."""
        letter = self._written[means]
        return letter if name == NO_TYPE else f"{letter}-{name}"

    def names(self, types: Iterable[str]) -> tuple[str, ...]:
        """All tags that entities of some types may have, `O` first: so every entity can be written."""
        letters = self.letters.values()
        return (OUTSIDE, *(self.write(means, name) for name in sorted(set(types)) for means in letters))

    def entities(self, tags: Sequence[str], *, strict: bool = False) -> list[Entity]:
        """The entities that the tags of one sentence name, in their order.

        Args:
            tags: of this scheme.
            strict: only entities that are written as the scheme has it. Else a letter that cannot stand
                where it does begins an entity, and an entity ends before whatever does not go on with it:
                as in conlleval.pl of CoNLL-2000, and by default in seqeval.
        """
        read = _strict if strict else _lenient
        parts = [self.split(tag) for tag in tags]
        return read([part if part is not None else (OUTSIDE, "") for part in parts], self.ends)

    def tags(self, entities: Iterable[Entity], words: int) -> list[str]:
        """The tags of a sentence of so many words with such entities, of which none may overlap."""
        found = [OUTSIDE] * words
        for entity in entities:
            last = entity.end - 1
            for word in range(entity.start, entity.end):
                means = "B" if word == entity.start else "I"
                if self.ends and word == last:
                    means = "S" if word == entity.start else "E"
                found[word] = self.write(means, entity.type)
        return found

    def mended(self, tags: Sequence[str]) -> list[str]:
        """The same entities, as they are read leniently, in tags that follow the scheme.

        Of IOB1, where an entity begins with B only beside another of its type, that is BIO.
        """
        return self.tags(self.entities(tags), len(tags))


SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Scheme("BIO", {"B": "B", "I": "I"}, ends=False),
        Scheme("IOBES", {"B": "B", "I": "I", "E": "E", "S": "S"}),
        Scheme("BMES", {"B": "B", "M": "I", "E": "E", "S": "S"}),
        Scheme("BILOU", {"B": "B", "I": "I", "L": "E", "U": "S"}),
    )
}
"""By name; of a set of tags, the first that can write them is theirs."""


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """The scheme of a file's tags; None where they name no entities, as parts of speech.

    Most of the tags beside `O` decide, so that a few that are wrong do not hide the scheme of the others.
    """
    distinct = {*tags} - {OUTSIDE}
    if not distinct:
        return None
    # Letters without a type may be anything, unless all are of one scheme and one of them begins.
    bare = [scheme for scheme in SCHEMES.values() if "B" in distinct and distinct <= {*scheme.letters}]
    typed = {tag for tag in distinct if "-" in tag}
    fits = {scheme.name: sum(scheme.split(tag) is not None for tag in typed) for scheme in SCHEMES.values()}
    best = max(fits, key=lambda name: fits[name])
    return next(iter(bare), SCHEMES[best] if 2 * fits[best] > len(distinct) else None)


def is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether tags are IOB1: an entity begins with I, and with B exactly where one of its type ends before.

    So `B-LOC` stands behind a LOC alone, and some entity begins with I.
    """
    bio, begun = SCHEMES["BIO"], False
    for tags in sentences:
        before = OUTSIDE, ""
        for tag in tags:
            part = bio.split(tag) or (OUTSIDE, "")
            if part[0] == "B" and part[1] != before[1]:
                return False
            begun = begun or (part[0] == "I" and part[1] != before[1])
            before = part
    return begun


_Part = tuple[str, str]


def _lenient(parts: Sequence[_Part], ends: bool) -> list[Entity]:
    """`get_entities` of seqeval 1.2.2, which is conlleval's reading."""
    found: list[Entity] = []
    before, start = (OUTSIDE, ""), 0
    for place, part in enumerate([*parts, (OUTSIDE, "")]):
        goes_on = (
            part[1] == before[1] and before[0] in ("B", "I") and part[0] in ("I", "E") and part[0] != OUTSIDE
        )
        if before[0] != OUTSIDE and not goes_on:
            found.append(Entity(before[1], start, place))
        if not goes_on:
            start = place
        before = part
    return found


def _strict(parts: Sequence[_Part], ends: bool) -> list[Entity]:
    """`Entities` of seqeval's scheme.py, for IOB2 and for schemes with an end."""
    found: list[Entity] = []
    place = 0
    while place < len(parts):
        (letter, name), end = parts[place], place + 1
        if letter not in ("B", "S"):
            place += 1
            continue
        if letter == "B":
            while end < len(parts) and parts[end] == ("I", name):
                end += 1
        if letter == "B" and ends:
            closed = end < len(parts) and parts[end] == ("E", name)
            end += closed
        else:
            closed = True
        if closed:
            found.append(Entity(name, place, end))
        place = end
    return found


@dataclass(frozen=True)
class Transitions:
    """Which of C tags may follow which.

    Attributes:
        first_C: which may be the first of a sentence.
        next_CC: whether the tag of a column may stand behind that of a row.
        last_C: which may be the last.
    """

    first_C: npt.NDArray[np.bool_]
    next_CC: npt.NDArray[np.bool_]
    last_C: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, names: Sequence[str], scheme: Scheme | None) -> Transitions:
        """Those of the tags of a scheme; of no scheme every tag may stand anywhere."""
        count = len(names)
        if scheme is None:
            every = np.ones(count, dtype=np.bool_)
            return cls(every, np.ones((count, count), dtype=np.bool_), every)
        parts = [scheme.split(name) or (OUTSIDE, "") for name in names]
        begins = np.array([letter in (OUTSIDE, "B", "S") for letter, _ in parts])
        # What has begun and may go on, or in a scheme with ends must.
        open_ = np.array([letter in ("B", "I") for letter, _ in parts])
        same = np.array([[one[1] == other[1] for other in parts] for one in parts])
        must = open_ if scheme.ends else np.zeros(count, dtype=np.bool_)
        behind = np.where(begins, ~must[:, None], open_[:, None] & same)
        return cls(begins, behind, ~must)

    @cached_property
    def free(self) -> bool:
        """Whether every tag may stand anywhere."""
        return bool(self.first_C.all() and self.next_CC.all() and self.last_C.all())

    def allow(self, tags: npt.NDArray[Any]) -> bool:
        """Whether the tags of one sentence, numbers [W], may follow each other so."""
        if not len(tags) or self.free:
            return True
        follow = self.next_CC[tags[:-1], tags[1:]].all()
        return bool(self.first_C[tags[0]] and follow and self.last_C[tags[-1]])


def likeliest(logs_WC: npt.NDArray[Any], transitions: Transitions) -> npt.NDArray[np.int64]:
    """The likeliest tags of one sentence among those that follow the scheme (Viterbi 1967), [W].

    Args:
        logs_WC: log-probabilities of C tags for each of W words.
        transitions: which tags may follow which.
    """
    greedy: npt.NDArray[np.int64] = logs_WC.argmax(1)
    # The best tags of all are the best of those that may be, where they are among them.
    if transitions.allow(greedy):
        return greedy
    barred = np.where(transitions.next_CC, 0.0, -np.inf)
    best_C = logs_WC[0] + np.where(transitions.first_C, 0.0, -np.inf)
    before_WC = np.zeros(logs_WC.shape, dtype=np.int64)
    columns = np.arange(logs_WC.shape[1])
    for word in range(1, len(logs_WC)):
        paths_CC = best_C[:, None] + barred
        before_WC[word] = paths_CC.argmax(0)
        best_C = paths_CC[before_WC[word], columns] + logs_WC[word]
    tags = np.zeros(len(logs_WC), dtype=np.int64)
    tags[-1] = (best_C + np.where(transitions.last_C, 0.0, -np.inf)).argmax()
    for word in range(len(logs_WC) - 1, 0, -1):
        tags[word - 1] = before_WC[word, tags[word]]
    return tags
