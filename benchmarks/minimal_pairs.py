"""Minimal pairs of plain English for a model that was pretrained on books and Wikipedia, as JSON lines.

Each line is `{"good", "bad", "phenomenon"}`: two sentences that differ in a word or in the order of two, one
of them acceptable, in the manner of BLiMP (Warstadt et al. 2020, arXiv 1912.00582). The words are common.
But for polarity, a form that is right in one pair is wrong in another: token frequencies tell little.

    python benchmarks/minimal_pairs.py > pairs.jsonl
    bertkit score RUN pairs.jsonl --group phenomenon
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable

EACH = 300
"""Pairs of each phenomenon."""

Draw = random.Random
Pair = tuple[str, str]
"""The acceptable sentence, and the other one."""


def words(text: str) -> list[str]:
    """The words between spaces."""
    return text.split()


MEN = words("king boy father brother uncle husband prince son man grandfather gentleman")
WOMEN = words("queen girl mother sister aunt wife princess daughter woman grandmother lady")
ROLES = words(
    "doctor teacher soldier writer student farmer lawyer player singer artist judge officer sailor poet "
    "neighbour driver guest servant actor scientist leader manager"
)
PLURALS = {"man": "men", "woman": "women", "wife": "wives", "gentleman": "gentlemen", "lady": "ladies"}
THINGS = words(
    "book letter picture chair table lamp box coat key map ship car bottle bag hat ring door window wall"
)
PLACES = words("house church school garden river bridge village station castle island tower hotel farm")
# Each after "be".
STATES = words("old young happy tired ready famous angry alone rich poor strong quiet afraid")
QUALITIES = words("new old small large black white beautiful strange red broken")
NEAR = ("near", "behind", "beside", "in front of")
# Past form and participle, and what may be its object.
TRANSITIVE = {
    "wrote/written": "letter book story song",
    "took/taken": "money letter book horse key",
    "gave away/given away": "money house coat",
    "saw/seen": "house ship river castle letter",
    "broke/broken": "window chair bottle lamp door",
    "stole/stolen": "money horse ring car",
    "chose/chosen": "book coat hat picture",
    "drew/drawn": "picture map horse house",
    "spoke/spoken": "language",
    "ate/eaten": "bread cake apple fish",
    "threw away/thrown away": "letter bottle hat bag",
    "drove/driven": "car",
}
# Base, third person, past and -ing.
VISITS = words(
    "visit/visits/visited/visiting build/builds/built/building leave/leaves/left/leaving "
    "buy/buys/bought/buying sell/sells/sold/selling see/sees/saw/seeing find/finds/found/finding"
)
# Past forms that need an object, and those that cannot have one.
NEED_OBJECT = words("destroyed brought made found received mentioned carried bought used")
NO_OBJECT = words("arrived slept fell laughed disappeared appeared smiled died waited")
WANT_TO = words("decided wanted hoped agreed refused promised expected")
ENJOY_ING = words("enjoyed finished avoided considered suggested")
SUBJECTS = ("I", "he", "she", "we", "they")
OBJECTS = ("me", "him", "her", "us", "them")
COMPARED = ("old", "tall", "rich", "strong", "young", "small", "fast", "poor")
COMPARATIVES = {"old": "older", "tall": "taller", "rich": "richer", "strong": "stronger", "young": "younger",
                "small": "smaller", "fast": "faster", "poor": "poorer"}  # fmt: skip


def plural(noun: str) -> str:
    """The plural of one of these nouns."""
    return PLURALS.get(noun) or noun + ("es" if noun.endswith(("x", "ch", "sh", "s")) else "s")


def number(noun: str, many: bool) -> str:
    """The noun in that number."""
    return plural(noun) if many else noun


def person(draw: Draw) -> str:
    """A noun for somebody."""
    return draw.choice((*MEN, *WOMEN, *ROLES))


def twins(frame: str, good: str, bad: str) -> Pair:
    """The frame, `{}` being the gap, filled with either."""
    first, second = frame.format(good), frame.format(bad)
    return first[0].upper() + first[1:], second[0].upper() + second[1:]


def _predicate(draw: Draw) -> tuple[str, str, str]:
    """Singular and plural of a verb, and what follows it."""
    return draw.choice(
        (
            ("is", "are", draw.choice(STATES)),
            ("was", "were", draw.choice(STATES)),
            ("has", "have", f"never seen the {draw.choice(PLACES)}"),
            ("was", "were", f"looking for the {draw.choice(THINGS)}"),
            ("does", "do", f"not like the {draw.choice(PLACES)}"),
        )
    )


def _agreement(draw: Draw, between: Callable[[bool], str]) -> Pair:
    many = draw.random() < 0.5
    singular, several, rest = _predicate(draw)
    right, wrong = (several, singular) if many else (singular, several)
    middle = between(many)
    return twins(f"the {number(person(draw), many)} {middle}{{}} {rest}.", right, wrong)


def agreement(draw: Draw) -> Pair:
    """The verb has the number of the subject right before it."""
    return _agreement(draw, lambda many: "")


def agreement_across_a_phrase(draw: Draw) -> Pair:
    """A noun of the other number stands between subject and verb."""
    near, nouns = draw.choice((*((near, PLACES) for near in NEAR), ("with", THINGS)))
    return _agreement(draw, lambda many: f"{near} the {number(draw.choice(nouns), not many)} ")


def agreement_across_a_clause(draw: Draw) -> Pair:
    """A relative clause that ends in a noun of the other number stands between subject and verb."""
    verb = draw.choice(("helped", "met", "knew", "saw", "followed", "loved"))
    return _agreement(draw, lambda many: f"who {verb} the {number(person(draw), not many)} ")


def determiner_and_noun(draw: Draw) -> Pair:
    """The determiners this and that, these and those; half of the time with an adjective between."""
    many = draw.random() < 0.5
    which = draw.randrange(2)
    one, several = ("this", "that")[which], ("these", "those")[which]
    adjective = f"{draw.choice(QUALITIES)} " if draw.random() < 0.5 else ""
    verb = draw.choice(("found", "saw", "bought", "wanted", "liked", "remembered"))
    frame = f"the {person(draw)} {verb} {{}} {adjective}{number(draw.choice(THINGS), many)}."
    return twins(frame, several if many else one, one if many else several)


ACTS = ("hurt", "blamed", "saw", "asked", "helped", "protected", "hid")


def reflexive_number(draw: Draw) -> Pair:
    """Himself or herself of one, themselves of several."""
    many, man = draw.random() < 0.5, draw.random() < 0.5
    one = "himself" if man else "herself"
    noun = number(draw.choice(MEN if man else WOMEN), many)
    right, wrong = ("themselves", one) if many else (one, "themselves")
    return twins(f"the {noun} {draw.choice(ACTS)} {{}} {draw.choice(ENDS)}.", right, wrong)


def reflexive_gender(draw: Draw) -> Pair:
    """Himself of a man, herself of a woman."""
    man = draw.random() < 0.5
    right, wrong = ("himself", "herself") if man else ("herself", "himself")
    noun = draw.choice(MEN if man else WOMEN)
    return twins(f"the {noun} {draw.choice(ACTS)} {{}} {draw.choice(ENDS)}.", right, wrong)


ENDS = ("again", "in the end", "that night", "the next day", "many times", "for the first time")


def pronoun_case(draw: Draw) -> Pair:
    """She before the verb, her behind it."""
    which = draw.randrange(5)
    subject, target = SUBJECTS[which], OBJECTS[which]
    verb = draw.choice(("helped", "met", "knew", "saw", "followed", "loved", "told", "called"))
    if draw.random() < 0.5:
        return twins(f"{draw.choice(ENDS)} {{}} {verb} the {person(draw)}.", subject, target)
    return twins(f"the {person(draw)} {verb} {{}} {draw.choice(ENDS)}.", target, subject)


def question_order(draw: Draw) -> Pair:
    """The auxiliary before the subject of a question, and behind that of a reported one."""
    verb = draw.choice(VISITS).split("/")
    auxiliary, form = draw.choice((("will", 0), ("can", 0), ("should", 0), ("did", 0), ("was", 3)))
    subject = f"the {person(draw)}"
    rest = f"{verb[form]} the {draw.choice(PLACES)}"
    asker = draw.choice(("when", "why", "how", "where"))
    before, behind = f"{auxiliary} {subject}", f"{subject} {auxiliary}"
    if draw.random() < 0.5 or auxiliary == "did":
        return twins(f"{asker} {{}} {rest}?", before, behind)
    asking = draw.choice(("I do not know", "nobody knew", "they told us"))
    return twins(f"{asking} {asker} {{}} {rest}.", behind, before)


def verb_form(draw: Draw) -> Pair:
    """The base form behind will and did, the past form without, -ing behind was."""
    verb = draw.choice(VISITS).split("/")
    # Base, past and -ing are each as often wrong as right.
    helper, right, wrong = draw.choice(
        ((draw.choice(("will", "did not", "could")), 0, 2), ("was", 3, 0), ("", 2, 3))
    )
    frame = f"the {person(draw)} {helper} {{}} the {draw.choice(PLACES)} {draw.choice(ENDS)}."
    return twins(" ".join(frame.split()), verb[right], verb[wrong])


def participle(draw: Draw) -> Pair:
    """Wrote, but has written and was written."""
    name = draw.choice(list(TRANSITIVE))
    past, done = name.split("/")
    thing, who = draw.choice(TRANSITIVE[name].split()), person(draw)
    which = draw.randrange(4)
    if which == 0:
        return twins(f"the {who} had {{}} the {thing} {draw.choice(ENDS)}.", done, past)
    if which == 1:
        return twins(f"the {thing} was {{}} by the {who}.", done, past)
    return twins(f"the {who} {{}} the {thing} {draw.choice(ENDS)}.", past, done)


def polarity(draw: Draw) -> Pair:
    """Ever needs a negation before it."""
    helper, verb = draw.choice((("has", "seen"), ("had", "visited"), ("has", "left"), ("had", "found")))
    rest = f"{helper} ever {verb} the {draw.choice(PLACES)}"
    if draw.random() < 0.3:
        return twins(f"{{}} {rest} {draw.choice(('before', 'alone', 'again'))}.", "nobody", "everybody")
    noun = f"{person(draw)} {draw.choice(('', draw.choice(NEAR) + ' the ' + draw.choice(PLACES)))}"
    return twins(
        f"{{}} {' '.join(noun.split())} {rest}.", "no", draw.choice(("the", "some", "this", "every"))
    )


def argument_structure(draw: Draw) -> Pair:
    """Found needs an object, and arrived cannot have one."""
    who = f"the {person(draw)}"
    if draw.random() < 0.5:
        right, wrong = draw.choice(NEED_OBJECT), draw.choice(NO_OBJECT)
        quality = f"{draw.choice(QUALITIES)} " if draw.random() < 0.5 else ""
        return twins(f"{who} {{}} the {quality}{draw.choice(THINGS)}.", right, wrong)
    right, wrong = draw.choice(NO_OBJECT), draw.choice(NEED_OBJECT)
    when = draw.choice(
        ("yesterday", "last night", "in the morning", "at night", "last week", "after the war")
    )
    return twins(f"{who} {{}} {when}.", right, wrong)


def complement(draw: Draw) -> Pair:
    """Decided to go, but enjoyed going."""
    verb = draw.choice(VISITS).split("/")
    wants, enjoys = draw.choice(WANT_TO), draw.choice(ENJOY_ING)
    base = draw.random() < 0.5
    inner = f"to {verb[0]}" if base else verb[3]
    frame = f"the {person(draw)} {{}} {inner} the {draw.choice(PLACES)}."
    return twins(frame, wants if base else enjoys, enjoys if base else wants)


def comparison(draw: Draw) -> Pair:
    """Older than, but as old as."""
    quality = draw.choice(COMPARED)
    first, second = draw.sample((*MEN, *WOMEN, *ROLES), 2)
    if draw.random() < 0.5:
        return twins(f"the {first} is {COMPARATIVES[quality]} {{}} the {second}.", "than", "as")
    return twins(f"the {first} is as {quality} {{}} the {second}.", "as", "than")


def relative_pronoun(draw: Draw) -> Pair:
    """Who of a person, which of a thing."""
    somebody = draw.random() < 0.5
    noun = person(draw) if somebody else draw.choice(THINGS)
    state = draw.choice(("was in the house", "came from the village", "was near the door", "had disappeared"))
    end = draw.choice(("was old", "was very beautiful", "was gone", "was still there", "looked strange"))
    right, wrong = ("who", "which") if somebody else ("which", "who")
    return twins(f"the {noun} {{}} {state} {end}.", right, wrong)


PHENOMENA: dict[str, Callable[[Draw], Pair]] = {
    function.__name__.replace("_", " "): function
    for function in (
        agreement,
        agreement_across_a_phrase,
        agreement_across_a_clause,
        determiner_and_noun,
        reflexive_number,
        reflexive_gender,
        pronoun_case,
        question_order,
        verb_form,
        participle,
        polarity,
        argument_structure,
        complement,
        comparison,
        relative_pronoun,
    )
}


def generate(each: int = EACH, seed: int = 0) -> list[dict[str, str]]:
    """That many different pairs of each phenomenon; the same for the same seed, everywhere."""
    pairs = []
    for phenomenon, make in PHENOMENA.items():
        draw = random.Random(f"{phenomenon} {seed}")
        seen: dict[Pair, None] = {}
        for _ in range(200 * each):
            seen.setdefault(make(draw))
            if len(seen) == each:
                break
        else:
            sys.exit(f"minimal_pairs.py: there are no {each} different pairs of {phenomenon}; ask for fewer")
        pairs += [{"good": good, "bad": bad, "phenomenon": phenomenon} for good, bad in seen]
    return pairs


def main() -> None:
    """Print the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--each", type=int, default=EACH, help="pairs of each phenomenon (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another one draws other pairs (default: 0)")
    arguments = parser.parse_args()
    for pair in generate(arguments.each, arguments.seed):
        print(json.dumps(pair))


if __name__ == "__main__":
    main()
