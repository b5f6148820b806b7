"""The kind of task that chooses: how its rows are read by a model, scored and told."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bertkit.config.reading import Reading
from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe
from bertkit.tasks.choose import CHOOSE
from bertkit.tasks.examples import Examples, Targets, contradictions, duplicates, leaks
from bertkit.tasks.guess import complete
from bertkit.tasks.kind import Scale, Wanted
from bertkit.tasks.load import load_examples, load_splits
from bertkit.tasks.registry import find_task
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TOKENIZER = Tokenizer.from_vocabulary([*SPECIALS, "it", "rained", "cause", "a", "b", "c"])
READING = Reading(max_length=24)
CLS, SEP = TOKENIZER.cls_id, TOKENIZER.sep_id
IT, RAINED, CAUSE, A, B, C = range(len(SPECIALS), len(SPECIALS) + 6)


def rows(
    choices: list[list[str]],
    right: list[int],
    *,
    texts: list[str] | None = None,
    pairs: list[str] | None = None,
) -> Examples:
    found = Examples(
        texts or ["it rained"] * len(choices),
        pairs,
        Targets.single(np.array(right)),
        [*range(1, len(choices) + 1)],
        Path("x.jsonl"),
        more={"choices": choices},
    )
    return CHOOSE.complete(found)


def test_each_choice_is_read_behind_the_prompt_and_the_question() -> None:
    found = CHOOSE.encode(
        TOKENIZER, rows([["a", "b c"], ["c", "b", "a"]], [0, 2], pairs=["cause", ""]), READING, ()
    )
    sequences = found.sequences
    assert np.split(sequences.ids, sequences.starts[1:-1])[0].tolist() == [
        CLS,
        IT,
        RAINED,
        SEP,
        CAUSE,
        A,
        SEP,
    ]
    assert np.split(sequences.ids, sequences.starts[1:-1])[1].tolist() == [
        CLS,
        IT,
        RAINED,
        SEP,
        CAUSE,
        B,
        C,
        SEP,
    ]
    assert np.split(sequences.ids, sequences.starts[1:-1])[2].tolist() == [CLS, IT, RAINED, SEP, C, SEP]
    assert sequences.second.tolist() == [4] * 5
    assert sequences.windows is not None
    assert sequences.windows.counts.tolist() == [2, 3]
    assert len(found.units) == 2


def test_choices_are_not_read_in_windows() -> None:
    with pytest.raises(UserError, match="leave --window out"):
        CHOOSE.encode(TOKENIZER, rows([["a", "b"]], [0]), replace(READING, window=16), ())


def test_what_the_head_says_is_told_by_row() -> None:
    asked = rows([["a", "b"], ["c", "b", "a"]], [1, 2])
    encoded = CHOOSE.encode(TOKENIZER, asked, READING, ())
    said = np.log(np.array([[0.3], [0.7], [0.5], [0.3], [0.2]]))
    outputs = CHOOSE.collect(encoded, said)
    np.testing.assert_allclose(np.exp(outputs), [[0.3, 0.7, 0.0], [0.5, 0.3, 0.2]])
    predictions = CHOOSE.predict(asked, outputs, (), {})
    assert predictions.tolist() == [1, 0]
    np.testing.assert_allclose(CHOOSE.losses(encoded, said, Scale()), -np.log([0.7, 0.2]))
    answers = CHOOSE.answers(asked, outputs, predictions, ())
    assert answers[0] == {"choices": ["a", "b"], "choice": 1, "probabilities": pytest.approx([0.3, 0.7])}
    assert [len(answer["probabilities"]) for answer in answers] == [2, 3]
    assert CHOOSE.cells(answers[0], Wanted()) == [1, "b", pytest.approx(0.7)]
    assert CHOOSE.cells(answers[0], Wanted(least=0.8))[1] == "unsure"
    with pytest.raises(UserError, match="--all and --top"):
        CHOOSE.columns((), Wanted(top=2))
    assert CHOOSE.overview([1, 0, 1]) == {"choice 0": "1 (33.3%)", "choice 1": "2 (66.7%)"}
    [mistake] = CHOOSE.mistakes(asked, outputs, predictions, ())
    assert (mistake["line"], mistake["label"], mistake["predicted"]) == (2, "a", "c")
    scored = CHOOSE.scored(asked, predictions, ())["by_place"]
    assert [tuple(line.values()) for line in scored] == [(0, 0, 1, 0), (1, 1, 1, 1), (2, 1, 0, 0)]


def test_losses_of_those_who_read_no_text() -> None:
    asked = rows([["a", "b"]] * 4 + [["a", "b", "c"]] * 2, [0, 0, 1, 0, 2, 1])
    encoded = CHOOSE.encode(TOKENIZER, asked, READING, ())
    of_two = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    expected = (4 * of_two + 2 * np.log(2)) / 6
    assert CHOOSE.floor(encoded, Scale(), (), None) == pytest.approx(expected)
    assert CHOOSE.uniform(encoded, ()) == pytest.approx((4 * np.log(2) + 2 * np.log(3)) / 6)


def test_baselines_of_choices() -> None:
    train = rows([["a", "b", "c"]] * 3, [2, 2, 1])
    dev = rows([["c", "it rained b"], ["a", "c", "b"]], [1, 0])
    blind, alike = (baseline.predict(train, dev, ()).tolist() for baseline in CHOOSE.baselines)
    assert blind == [1, 2]
    assert alike == [1, 2]
    scores = CHOOSE.scoring((), "").baselines(train, dev)
    assert {name: found["score"] for name, found in scores.items()} == {"place": 0.5, "alike": 0.5}


def test_rows_are_the_same_where_their_choices_are() -> None:
    train = rows([["a", "b"], ["a", "c"], ["a", " b"]], [0, 0, 1])
    assert duplicates(train) == [2]
    assert contradictions(train) == [0, 2]
    assert leaks(train, rows([["c", "b"], ["a", "c"]], [0, 1])) == [1]
    assert [*train.all_texts][3:] == ["a", "b", "a", "c", "a", " b"]


def written(path: Path, table: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in table))
    return path


GUESSED = {
    "numbered columns": (
        [
            {
                "id": str(n),
                "premise": f"p {n}",
                "question": "cause",
                "choice1": f"a{n}",
                "choice2": "b",
                "label": n % 2,
            }
            for n in range(6)
        ],
        ("premise", "question", "choice1,choice2", "label", "index"),
    ),
    "lists inside objects": (
        [
            {
                "answerKey": "AB"[n % 2],
                "question": {
                    "stem": f"where is {n}?",
                    "choices": [{"label": "A", "text": f"x{n}"}, {"label": "B", "text": "y"}],
                },
            }
            for n in range(6)
        ],
        ("question.stem", "", "question.choices", "answerKey", "name"),
    ),
    "lists of two lists": (
        [
            {
                "question": f"where is {n}?",
                "choices": {"label": ["A", "B"], "text": ["x", "y"]},
                "answerKey": "B",
            }
            for n in range(6)
        ],
        ("question", "", "choices", "answerKey", "name"),
    ),
    "letters": (
        [
            {"prompt": f"say {n}", "A": "x", "option a": "x", "option b": f"y{n}", "answer": "b"}
            for n in range(6)
        ],
        ("prompt", "", "option a,option b", "answer", "letter"),
    ),
}


@pytest.mark.parametrize("layout", GUESSED)
def test_the_columns_of_choices_are_guessed(tmp_path: Path, layout: str) -> None:
    table, expected = GUESSED[layout]
    found, told = complete(TaskRecipe(train=str(written(tmp_path / "a.jsonl", table))))
    assert found.kind == "choose"
    assert (found.text, found.pair, found.choices, found.label, found.label_as) == expected
    assert f"choices = {expected[2]}" in told
    assert f"the {expected[4]} of the right choice" in told
    assert complete(found) == (found, "")
    examples, names = load_examples(find_task(found), "train")
    assert (len(examples), names) == (6, ())


def test_tables_without_choices_are_not_taken_for_some(tmp_path: Path) -> None:
    table = [
        {"text": f"text {n}", "tokens": ["a", "b"], "answer": "yes", "label": "xy"[n % 2]} for n in range(6)
    ]
    assert complete(TaskRecipe(train=str(written(tmp_path / "a.jsonl", table))))[0].kind == "classify"
    asked = TaskRecipe(train=str(tmp_path / "a.jsonl"), kind="choose", text="text", label="label")
    found = find_task(complete(asked)[0])
    with pytest.raises(UserError, match="say where the choices stand"):
        load_splits(found)


def test_rows_that_cannot_be_are_counted_or_left_out(tmp_path: Path) -> None:
    good = [{"text": f"t{n}", "choices": ["x", "y", "z"], "label": n % 3} for n in range(6)]
    bad = [{"text": "t", "choices": ["x", "y", "z"], "label": 3}, {"text": "t", "choices": "x", "label": 0}]
    path = written(tmp_path / "a.jsonl", good + bad)
    asked = TaskRecipe(train=str(path), dev=str(path), kind="choose", choices="choices", label_as="index")
    with pytest.raises(UserError, match=r"2 of 8 rows cannot be used: .*none of the 3 choices \(1: line 7\)"):
        load_splits(find_task(asked))
    left = TaskRecipe(train=str(path), dev=str(path), kind="choose", choices="choices", skip_bad=True)
    assert len(load_splits(find_task(left))[0]["train"]) == 6
