"""Tags that name entities: read as seqeval reads them, told apart, mended, and decoded."""

import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import scheme as theirs
from seqeval.metrics.sequence_labeling import get_entities

from bertkit.tasks.schemes import SCHEMES, Entity, Transitions, is_iob1, likeliest, scheme_of

BIO, IOBES, BMES, BILOU = SCHEMES.values()
STRICT = {"BIO": theirs.IOB2, "IOBES": theirs.IOBES, "BILOU": theirs.BILOU}


def sentences(name: str) -> st.SearchStrategy[list[str]]:
    """Any tags of a scheme, also in an order that it does not have."""
    return st.lists(st.sampled_from([*SCHEMES[name].names(["LOC", "PER"]), "I-LOC"]), max_size=12)


@pytest.mark.parametrize("name", ["BIO", "IOBES"])
def test_entities_are_those_of_seqeval_by_default(name: str) -> None:
    @given(sentences(name))
    def check(tags: list[str]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            expected = [(kind, start, end + 1) for kind, start, end in get_entities(tags)]
        assert SCHEMES[name].entities(tags) == expected

    check()


@pytest.mark.parametrize("name", STRICT)
def test_entities_are_those_of_seqeval_in_its_strict_mode(name: str) -> None:
    @given(sentences(name))
    def check(tags: list[str]) -> None:
        expected = theirs.Entities([tags], scheme=STRICT[name]).entities[0]
        found = SCHEMES[name].entities(tags, strict=True)
        assert found == [(each.tag, each.start, each.end) for each in expected]

    check()


@pytest.mark.parametrize("name", SCHEMES)
def test_mended_tags_name_the_same_entities_and_follow_the_scheme(name: str) -> None:
    scheme = SCHEMES[name]
    names = scheme.names(["LOC", "PER"])
    transitions = Transitions.of(names, scheme)

    @given(sentences(name))
    def check(tags: list[str]) -> None:
        mended = scheme.mended(tags)
        assert scheme.entities(mended) == scheme.entities(mended, strict=True) == scheme.entities(tags)
        assert transitions.allow(np.array([names.index(tag) for tag in mended], dtype=np.int64))
        assert scheme.mended(mended) == mended

    check()


@pytest.mark.parametrize(
    ("scheme", "tags"),
    [
        ("BIO", ["B-A", "I-A", "B-A", "O", "B-C"]),
        ("IOBES", ["B-A", "E-A", "S-A", "O", "S-C"]),
        ("BMES", ["B-A", "E-A", "S-A", "O", "S-C"]),
        ("BILOU", ["B-A", "L-A", "U-A", "O", "U-C"]),
    ],
)
def test_each_scheme_writes_entities_in_its_letters(scheme: str, tags: list[str]) -> None:
    entities = [Entity("A", 0, 2), Entity("A", 2, 3), Entity("C", 4, 5)]
    assert SCHEMES[scheme].tags(entities, 5) == tags
    assert SCHEMES[scheme].entities(tags, strict=True) == entities


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-LOC I-LOC", BIO),
        ("O I-LOC", BIO),
        ("O B-LOC E-LOC S-PER", IOBES),
        ("O B-LOC I-LOC E-LOC", IOBES),
        ("B-NAME M-NAME E-NAME O", BMES),
        ("O U-LOC B-LOC L-LOC", BILOU),
        ("B I O", BIO),
        ("B M E S", BMES),
        ("O B-A-B I-A-B", BIO),
        ("O B-LOC I-LOC B-PER LOC", BIO),
        ("NOUN VERB O", None),
        ("NN -LRB- PRP$", None),
        ("O", None),
        ("", None),
    ],
)
def test_the_scheme_is_told_from_the_tags(tags: str, expected: object) -> None:
    assert scheme_of(tags.split()) == expected


def test_names_are_every_tag_that_a_type_may_have() -> None:
    assert BMES.names(["B", "A", "A"]) == (
        "O", "B-A", "M-A", "E-A", "S-A", "B-B", "M-B", "E-B", "S-B",
    )  # fmt: skip
    assert BIO.names(["_"]) == ("O", "B", "I")
    assert BIO.entities(["B", "I", "O", "B"]) == [("_", 0, 2), ("_", 3, 4)]


def test_iob1_is_told_from_bio() -> None:
    assert is_iob1([["I-A", "I-A", "B-A", "O"], ["O", "I-C"]])
    assert not is_iob1([["B-A", "I-A"], ["O", "I-C"]])
    assert not is_iob1([["O", "O"]])
    assert BIO.mended(["I-A", "I-A", "B-A", "I-C"]) == ["B-A", "I-A", "B-A", "B-C"]


@pytest.mark.parametrize("name", SCHEMES)
def test_viterbi_finds_the_best_of_all_sequences_that_follow_the_scheme(name: str) -> None:
    scheme = SCHEMES[name]
    names = scheme.names(["LOC"])
    transitions = Transitions.of(names, scheme)
    random = np.random.default_rng(7)
    for words in (1, 2, 4):
        for _ in range(4):
            logs = np.log(random.dirichlet(np.ones(len(names)), words))
            allowed = [
                tags
                for tags in product(range(len(names)), repeat=words)
                if scheme.mended([names[tag] for tag in tags]) == [names[tag] for tag in tags]
            ]
            best = max(allowed, key=lambda tags: logs[range(words), tags].sum())
            assert likeliest(logs, transitions).tolist() == list(best)


def test_tags_of_no_scheme_are_each_the_likeliest() -> None:
    logs = np.log(np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]))
    assert likeliest(logs, Transitions.of(("A", "B", "C"), None)).tolist() == [1, 0]
