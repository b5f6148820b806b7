"""Rows of choices: every layout they come in, how labels tell the right one, and what cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import accuracy_score
from sklearn.metrics.pairwise import cosine_similarity

from bertkit.data.tables import BadRow, Columns, Row
from bertkit.errors import UserError
from bertkit.recipe import LabelAs
from bertkit.tasks.choices import choice_columns, list_of_choices, read_choices
from bertkit.tasks.choose import CHOICE_METRICS, adds_of_choices, commonest_place, most_alike, side_by_side
from bertkit.tasks.metrics import rows_interval

SWAG = """,video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label
0,lsmdc1,18313,A man sits. He,A man sits.,He,gold,"stands, slowly",flies,melts,sings,2
1,anetv2,18419,A dog runs. It,A dog runs.,It,gold,barks.,reads.,types.,drives.,0
"""
COMMONSENSE = [
    {
        "answerKey": "B",
        "id": "075e",
        "question": {
            "question_concept": "people",
            "choices": [{"label": letter, "text": f"place {letter}"} for letter in "ABCDE"],
            "stem": "Where were the people?",
        },
    }
]
COPA = [
    {"premise": "It rained.", "choice1": "A", "choice2": "B", "question": "cause", "label": 0, "idx": 0},
    {"premise": "I ran.", "choice1": "C", "choice2": "D", "question": "effect", "label": 1, "idx": 1},
]
CODAH = 'n\tThe chicken cannot fly. It\tflies.\twalks.\tis.\tsays "no".\t3\no\tHe\ta\tb\tc\td\t0\n'


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(
    folder: Path, name: str, content: str | bytes, choices: str, label_as: LabelAs = "", **columns
) -> list[Row | BadRow]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    given = {"text": "text", "label": "label", "more": choice_columns(choices), **columns}
    return list(read_choices(path, Columns(**given, label_as=label_as)))


OFFICIAL = {
    "SWAG": (
        ("swag.csv", SWAG, "ending0,ending1,ending2,ending3", {"text": "sent1", "pair": "sent2"}),
        ("A man sits.", "He", ["stands, slowly", "flies", "melts", "sings"], 2),
    ),
    "CommonsenseQA": (
        ("qa.jsonl", lines(COMMONSENSE), "question.choices", {"text": "question.stem", "label": "answerKey"}),
        ("Where were the people?", None, [f"place {letter}" for letter in "ABCDE"], 1),
    ),
    "COPA": (
        ("copa.jsonl", lines(COPA), "choice1,choice2", {"text": "premise", "pair": "question"}),
        ("It rained.", "cause", ["A", "B"], 0),
    ),
    "CODAH": (
        ("codah.tsv", CODAH, "3,4,5,6", {"text": 2, "label": 7}),
        ("The chicken cannot fly. It", None, ["flies.", "walks.", "is.", 'says "no".'], 3),
    ),
}


@pytest.mark.parametrize("data", OFFICIAL)
@pytest.mark.parametrize("windows", [False, True], ids=["as it is", "Windows"])
def test_official_layouts(tmp_path: Path, data: str, windows: bool) -> None:
    (name, content, choices, columns), expected = OFFICIAL[data]
    raw = content.encode()
    if windows:
        raw = b"\xef\xbb\xbf" + raw.replace(b"\n", b"\r\n")
    first = read(tmp_path, name, raw, choices, **columns)[0]
    assert isinstance(first, Row)
    assert (first.text, first.pair, first.more["choices"], first.label) == expected


LISTS = {
    "texts": (["x", "y", 3], ("x", "y", "3"), ()),
    "objects": ([{"label": "1", "text": "x"}, {"label": "2", "text": "y"}], ("x", "y"), ("1", "2")),
    "two lists": ({"label": ["p", "q"], "text": ["x", "y"]}, ("x", "y"), ("p", "q")),
    "objects without labels": ([{"text": "x"}, {"text": "y"}], ("x", "y"), ()),
    "the last is missing": (["x", "y", ""], ("x", "y"), ()),
}


@pytest.mark.parametrize("layout", LISTS)
def test_lists_of_choices(tmp_path: Path, layout: str) -> None:
    cell, choices, names = LISTS[layout]
    found = read(tmp_path, "a.jsonl", lines([{"text": "t", "choices": cell}]), "choices", label=None)
    assert [(row.more["choices"], row.label) for row in found] == [(list(choices), None)]
    assert list_of_choices(["choices"], [cell]) == (choices, names)


def test_rows_may_have_different_numbers_of_choices(tmp_path: Path) -> None:
    found = read(tmp_path, "a.csv", "text,a,b,c,label\nt,x,y,z,2\nu,x,y,,0\n", "a,b,c")
    assert [(row.more["choices"], row.label) for row in found] == [(["x", "y", "z"], 2), (["x", "y"], 0)]


WAYS: dict[LabelAs, tuple[list, list[int]]] = {
    "index": (["0", "2", "1.0"], [0, 2, 1]),
    "number": (["1", "3", "3"], [0, 2, 2]),
    "letter": (["A", "c", "B"], [0, 2, 1]),
    "name": (["right", "mid", "left"], [2, 1, 0]),
    "text": (["red", "dark  blue", "green"], [0, 1, 2]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", [True, False])
def test_every_way_in_which_a_label_tells_the_choice(tmp_path: Path, way: LabelAs, said: bool) -> None:
    labels, expected = WAYS[way]
    table = "text,left,mid,right,label\n" + "".join(f"t,red,dark blue,green,{label}\n" for label in labels)
    found = read(tmp_path, "a.csv", table, "left,mid,right", way if said else "")
    assert [row.label for row in found] == expected


def test_labels_beside_the_choices_are_meant_before_numbers(tmp_path: Path) -> None:
    named = [{"label": "2", "text": "x"}, {"label": "1", "text": "y"}]
    found = read(tmp_path, "a.jsonl", lines([{"text": "t", "choices": named, "label": 1}]), "choices")
    assert found[0].label == 1


def test_labels_that_may_count_from_0_or_from_1_are_asked_about(tmp_path: Path) -> None:
    table = "text,a,b,c,label\nt,x,y,z,1\nu,x,y,z,2\n"
    said = r"line 2: the label '1' may be meant as a number from 0 to 2, or as a number from 1 to 3.*as index"
    with pytest.raises(UserError, match=said):
        read(tmp_path, "a.csv", table, "a,b,c")
    assert [row.label for row in read(tmp_path, "a.csv", table, "a,b,c", "index")] == [1, 2]
    assert [row.label for row in read(tmp_path, "a.csv", table, "a,b,c", "number")] == [0, 1]


BAD = {
    "out of range": (
        "t,x,y,z,3",
        "line 3: the right answer '3' is none of the 3 choices; it must be a number",
    ),
    "not a choice": ("t,x,y,z,blue", "line 3: the right answer 'blue' is none of the 3 choices"),
    "beyond those there are": ("t,x,y,,2", "line 3: the right answer '2' is none of the 2 choices"),
    "no label": ("t,x,y,z,", "line 3: the label is empty; fill it in"),
    "no prompt": (",x,y,z,1", "line 3: the text is empty; fill it in"),
    "one choice": ("t,x,,,0", "line 3: there is only one choice, 'x'; choosing needs two"),
    "no choices": ("t,,,,0", "line 3: there is no choice; choosing needs two"),
    "a gap": ("t,x,,z,0", "line 3: choice 2 of 3 is empty"),
    "all alike": ("t,x,x ,x,0", "line 3: all 3 choices are 'x'"),
    "a NUL byte": ("t,x,y\0,z,0", "line 3: one of the choices holds a NUL byte"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_row_that_cannot_be(tmp_path: Path, fault: str) -> None:
    row, said = BAD[fault]
    found = read(tmp_path, "a.csv", f"text,a,b,c,label\nt,x,y,z,0\n{row}\nt,x,y,z,0\n", "a,b,c")
    assert [getattr(row, "label", None) for row in found] == [0, None, 0]
    assert isinstance(found[1], BadRow)
    assert said in found[1].problem


@pytest.mark.parametrize("cell", ["x", 3, None, {"text": "x"}, {"choices": ["x"]}])
def test_a_cell_that_holds_no_list(tmp_path: Path, cell: object) -> None:
    [found] = read(tmp_path, "a.jsonl", lines([{"text": "t", "choices": cell}]), "choices", label=None)
    assert isinstance(found, BadRow)
    assert "column 'choices' holds no list of choices" in found.problem


def test_columns_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column 'd'"):
        read(tmp_path, "a.csv", "text,a,b,label\nt,x,y,0\n", "a,d")
    with pytest.raises(UserError, match="say where the choices stand"):
        read(tmp_path, "a.csv", "text,a,b,label\nt,x,y,0\n", " ,")
    [found] = read(
        tmp_path, "a.jsonl", lines(COMMONSENSE), "question.choice", text="question.stem", label="id"
    )
    assert isinstance(found, BadRow)
    assert "there is no key 'question.choice'" in found.problem


(ACCURACY,) = CHOICE_METRICS
choosing = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


@given(choosing)
def test_accuracy_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    right, chosen = np.array(pairs).T
    assert ACCURACY.of(adds_of_choices(right, chosen)) == pytest.approx(accuracy_score(right, chosen))


def test_an_interval_without_mistakes_has_an_end_below(tmp_path: Path) -> None:
    low, high = rows_interval(ACCURACY, adds_of_choices(np.arange(10), np.arange(10)))
    assert (low, high) == (pytest.approx(0.05 ** (1 / 10)), 1.0)


def test_the_commonest_place_is_one_that_the_row_has() -> None:
    right = np.array([3, 3, 3, 1, 1, 0])
    assert commonest_place(right, [4, 3, 2, 5]).tolist() == [3, 1, 1, 3]
    assert commonest_place(np.array([0]), [4, 2]).tolist() == [0, 0]


def test_the_choice_most_alike_is_that_of_scikit_learn() -> None:
    prompts = ["the cat sat on the mat", "rain fell", "a dog barked"]
    choices = [
        ["the dog", "a cat on a mat", "sat"],
        ["sun shone", "wind blew"],
        ["the cat", "a dog ran", "dog"],
    ]
    learned = [*prompts, *(choice for each in choices for choice in each)]
    weights = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+").fit(learned)
    expected = [
        int(cosine_similarity(weights.transform([prompt]), weights.transform(each)).argmax())
        for prompt, each in zip(prompts, choices, strict=True)
    ]
    usual = np.array([2, 1, 0])
    expected[1] = 1  # Nothing is alike there.
    assert most_alike(learned, prompts, choices, usual).tolist() == expected


def test_values_of_rows_stand_side_by_side() -> None:
    found = side_by_side(np.arange(5.0), [2, 3])
    assert found.tolist() == [[0.0, 1.0, -np.inf], [2.0, 3.0, 4.0]]
