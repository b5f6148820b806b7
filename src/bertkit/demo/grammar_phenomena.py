"""The phenomena of the grammar of minimal pairs: what makes a sentence acceptable, and its twin not."""

from __future__ import annotations

from collections.abc import Callable

from bertkit.demo.grammar_words import (
    ADVERBS,
    ASKED,
    BASE,
    ING,
    MARKED,
    NEAR,
    PAST,
    PEOPLE,
    TIMES,
    Words,
    forms,
)

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
    subject, verb, when = (
        words.phrase(words.one(PEOPLE), plural),
        forms(words.word("find")),
        words.one(TIMES),
    )
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
