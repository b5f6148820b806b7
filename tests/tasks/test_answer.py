"""Questions about texts as a kind of task: rows, windows, answers, the threshold of no answer, and scores."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertkit.config.reading import Reading
from bertkit.data.tables import Columns, Row
from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe
from bertkit.tasks.answer import ANSWERS
from bertkit.tasks.answer_scores import ANSWER, NO_ANSWER, NONE, fitted_threshold, null_probabilities
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.guess import complete
from bertkit.tasks.guess_answers import questions_in
from bertkit.tasks.kind import Scale, Wanted
from bertkit.tasks.load import load_examples, load_splits
from bertkit.tasks.registry import task_from_files
from bertkit.tasks.task import Task
from bertkit.text.tokenizer import SPECIALS, Tokenizer

TEXT = "Ann met Bob. Bob met Carl in Rome."
BOTH = (ANSWER, NO_ANSWER)
ANN = [{"text": "Ann", "answer_start": 0}]
tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *"abcdefgh?", "##b"])


def row(number: int, *answers: tuple[str, int], context: str = TEXT) -> dict[str, Any]:
    told = [{"text": text, "start": start} for text, start in answers]
    return {"id": f"q{number}", "context": context, "question": f"Who, {number}?", "answers": told}


def own(folder: Path, rows: list[dict[str, Any]], dev: str = "", **options: Any) -> Task:
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    columns = {"text": "question", "pair": "context", "label": "answers"}
    return task_from_files(folder / "q.jsonl", dev or None, kind="answer", **columns, **options)


def examples(questions: list[str], texts: list[str], answers: list[list[str]]) -> Examples:
    spans = [
        (text.index(right[0]), text.index(right[0]) + len(right[0])) if right else (NONE, NONE)
        for text, right in zip(texts, answers, strict=True)
    ]
    return Examples(
        questions,
        texts,
        Targets.single(np.array(spans, dtype=np.int64)),
        [*range(1, len(texts) + 1)],
        Path("q.jsonl"),
        more={"id": [f"q{number}" for number in range(len(texts))], "answers": answers},
    )


def test_the_answer_that_is_given_most_often_is_learned(tmp_path: Path) -> None:
    rows = [row(1, ("Ann", 0), ("Bob", 13), ("Bob", 13)), row(2, ("Rome", 29), ("nobody", 3)), row(3)]
    found, names = load_examples(own(tmp_path, rows), "train")
    assert names == BOTH
    assert found.known.values.tolist() == [[13, 16], [29, 33], [NONE, NONE]]
    assert found.more["answers"] == [["Ann", "Bob", "Bob"], ["Rome", "nobody"], []]
    assert found.pairs == [TEXT] * 3
    assert load_examples(own(tmp_path, rows[:2]), "train")[1] == (ANSWER,)


def test_what_is_odd_about_answers_is_said(tmp_path: Path) -> None:
    rows = [row(1, ("Ann", 1)), row(2, ("Rome", 29), ("nobody", 3)), row(3, ("Carl", 20), ("x", 1))]
    found, _ = load_examples(own(tmp_path, rows), "train")
    assert list(ANSWERS.notes(found, BOTH)) == [
        "2 answers stand elsewhere than the file says, and are taken from there (q.jsonl: 1, 3)",
        "2 answers do not stand in their texts: they are right answers, but nothing learns to find them "
        "(q.jsonl: 2, 3)",
    ]


def test_rows_without_a_usable_answer_are_left_out_only_where_that_is_asked_for(tmp_path: Path) -> None:
    rows = [row(1, ("Ann", 0)), row(2, ("Paris", 0)), {**row(3), "answers": None}]
    with pytest.raises(UserError, match=r"q\.jsonl: 2 of 3 rows cannot be used: .*--skip-bad"):
        load_examples(own(tmp_path, rows), "train")
    found, _ = load_examples(own(tmp_path, rows, skip_bad=True), "train")
    assert (found.lines, [bad.line for bad in found.left_out]) == ([1], [2, 3])
    with pytest.raises(UserError, match="no question has an answer; learning needs some that have"):
        load_examples(own(tmp_path, [row(1), row(2)]), "train")


def test_questions_of_one_group_are_not_dealt_apart(tmp_path: Path) -> None:
    rows = [row(number, ("Ann", 0), context=f"{TEXT} {number % 7}") for number in range(70)]
    splits, _ = load_splits(own(tmp_path, rows, "30%"))
    groups = [{*splits[split].more["group"]} for split in ("train", "dev")]
    assert [len(group) for group in groups] == [5, 2]
    assert not groups[0] & groups[1]


def test_questions_of_one_article_are_dealt_apart_where_there_are_few_articles(tmp_path: Path) -> None:
    for articles, groups in ((9, 72), (10, 10)):
        told: list[dict[str, Any]] = [{"title": f"{number}", "paragraphs": []} for number in range(articles)]
        for number in range(8 * articles):
            asked = {"id": f"q{number}", "question": "Who?", "answers": ANN}
            paragraph = {"context": f"{TEXT} {number}", "qas": [asked]}
            told[number % articles]["paragraphs"].append(paragraph)
        (tmp_path / "q.json").write_text(json.dumps({"version": "1.1", "data": told}))
        task = task_from_files(tmp_path / "q.json", "20%", kind="answer", text="question", label="answers")
        splits, _ = load_splits(task)
        assert sum(len({*rows.more["group"]}) for rows in splits.values()) == groups
        assert not {*splits["train"].more["group"]} & {*splits["dev"].more["group"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"version": "1.1", "data": [{"paragraphs": []}]}, ("question", "context", "answers")),
        (row(1, ("Ann", 0)), ("question", "context", "answers")),
        (row(1), ("question", "context", "answers")),
        (
            {"Query": "Who?", "passage": TEXT, "gold": {"text": ["Ann"], "answer_start": [0]}},
            ("Query", "passage", "gold"),
        ),
        ({"question": "Who?", "context": TEXT, "label": "Ann"}, None),
        ({"text": "a", "label": "b"}, None),
    ],
)
def test_a_file_tells_that_it_asks_questions(
    tmp_path: Path, content: dict[str, Any], told: tuple[str, str, str] | None
) -> None:
    (tmp_path / "q.json").write_text(json.dumps(content))
    found = questions_in(tmp_path / "q.json")
    if told is None:
        assert found is None
        return
    recipe, said = complete(TaskRecipe(train=str(tmp_path / "q.json")))
    assert (recipe.text, recipe.pair, recipe.label) == told
    assert recipe.kind == "answer"
    assert "questions about texts" in said


def encoded(rows: Examples, **reading: int) -> Any:
    options = {"max_length": 9, "window": 9, "stride": 2, **reading}
    return ANSWERS.encode(tokenizer, rows, Reading(**options), BOTH)


ROWS = examples(["a ?", "?", "?"], ["a  bc d ab f g h", "e f", "g"], [["ab"], ["f"], []])


def test_a_window_is_a_unit_and_its_answer_is_in_it_or_is_none() -> None:
    found = encoded(ROWS)
    assert found.learned.values.tolist() == [[0, 0], [6, 7], [5, 6], [4, 5], [0, 0], [4, 4], [0, 0]]
    assert (len(found.units), len(found.sequences)) == (7, 3)
    # Of a text without windows, windows of `max_length`.
    same = encoded(ROWS, window=0, stride=0, max_length=9)
    assert same.sequences.windows.counts.tolist() == [3, 1, 1]


def test_a_question_that_is_longer_than_a_window_is_cut_and_counted() -> None:
    long = examples([" ".join("abcdefgh")], ["g h"], [["h"]])
    found = encoded(long).sequences
    assert found.truncated == 1
    assert [tokenizer.vocabulary[each] for each in found.ids] == [
        "[CLS]",
        "a",
        "b",
        "c",
        "d",
        "[SEP]",
        "g",
        "h",
        "[SEP]",
    ]


def said(rows: Examples, *likely: tuple[int, int, int, float]) -> tuple[Any, np.ndarray]:
    """Rows, and log-probabilities: -5, but for a window, a first and a last token and their score."""
    found = encoded(rows)
    logs = np.full((len(found.units.ids), 2), -5.0, dtype=np.float32)
    for window, first, last, score in likely:
        begin = found.units.starts[window]
        logs[begin + first, 0] = logs[begin + last, 1] = score / 2
    return found, logs


def test_the_best_answer_of_all_windows_is_a_stretch_of_the_raw_text() -> None:
    found, logs = said(ROWS, (1, 6, 7, -1.0), (3, 4, 5, -0.5), (5, 0, 0, -2.0), (6, 0, 0, -0.1))
    outputs = ANSWERS.collect(found, logs)
    assert outputs.shape == (3, 21, 3)
    predictions = ANSWERS.predict(ROWS, outputs, (ANSWER,), {})
    answers = ANSWERS.answers(ROWS, outputs, predictions, (ANSWER,))
    assert answers[0]["answer"] == "ab"
    assert (answers[0]["start"], answers[0]["end"]) == (8, 10)
    assert all(
        text[each["start"] : each["end"]] == each["answer"]
        for text, each in zip(ROWS.pairs or [], answers, strict=True)
    )
    # The window that is least sure of none: -10 where nothing was said.
    assert outputs[:, 0, 2].tolist() == pytest.approx([-10, -2, -0.1])


def test_an_answer_begins_and_ends_with_a_word() -> None:
    found, logs = said(ROWS, (1, 7, 7, -0.1), (1, 6, 7, -1.0), (3, 4, 4, -0.2))
    outputs = ANSWERS.collect(found, logs)
    predictions = ANSWERS.predict(ROWS, outputs, (ANSWER,), {})
    assert ANSWERS.answers(ROWS, outputs, predictions, (ANSWER,))[0]["answer"] == "ab"


def test_there_is_no_answer_above_the_threshold() -> None:
    found, logs = said(ROWS, (3, 4, 5, -0.5), (5, 4, 4, -1.0), (5, 0, 0, -2.0), (6, 0, 0, -0.1))
    outputs = ANSWERS.collect(found, logs)
    nulls = null_probabilities(outputs)
    assert nulls[1] == pytest.approx(1 / (1 + np.exp(-1.0 + 2.0)))
    for threshold, none in ((0.5, [False, False, True]), (0.1, [False, True, True]), (1.0, [False] * 3)):
        predictions = ANSWERS.predict(ROWS, outputs, BOTH, {"null_threshold": threshold})
        assert (predictions[:, 0] == NONE).tolist() == none
    answers = ANSWERS.answers(ROWS, outputs, ANSWERS.predict(ROWS, outputs, BOTH, {}), BOTH)
    assert (answers[2]["answer"], answers[2]["start"], answers[2]["end"]) == ("", NONE, NONE)
    assert answers[2]["probability"] > 0.9
    assert list(ANSWERS.columns(BOTH, Wanted())) == ["answer", "start", "end", "probability"]
    assert ANSWERS.cells(answers[0], Wanted())[:3] == ["ab", 8, 10]


def test_a_text_without_tokens_has_no_answer() -> None:
    rows = examples(["?"], ["\u200b"], [[]])
    found, logs = said(rows)
    outputs = ANSWERS.collect(found, logs)
    for names in (BOTH, (ANSWER,)):
        predictions = ANSWERS.predict(rows, outputs, names, {})
        assert ANSWERS.answers(rows, outputs, predictions, names)[0]["answer"] == ""


def test_losses_are_those_of_both_ends_and_below_what_nothing_known_gives() -> None:
    found, logs = said(ROWS, (5, 4, 4, -1.0), (6, 0, 0, -0.2))
    losses = ANSWERS.losses(found, logs, Scale())
    assert losses.tolist() == pytest.approx([5, 5, 5, 5, 5, 0.5, 0.1])
    share = 4 / 7
    places = (3 * np.log(4) + np.log(2)) / 4
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert ANSWERS.floor(found, Scale(), BOTH, None) == pytest.approx(entropy + share * places)
    assert ANSWERS.uniform(found, BOTH) == pytest.approx((5 * np.log(9) + np.log(6) + np.log(5)) / 7)


def test_scores_are_of_all_questions_and_of_those_with_and_without_an_answer() -> None:
    texts = ["Ann met Bob", "Ann met Bob", "Ann met Bob", "他生于罗马"]
    rows = examples(["?"] * 4, texts, [["Ann met"], ["Bob"], [], ["罗马"]])
    predictions = np.array([[0, 11], [8, 11], [0, 3], [2, 5]])
    found = ANSWERS.scoring(BOTH, "").summary(rows, predictions)
    assert found["metrics"] == pytest.approx(
        {
            "answer_f1": (0.8 + 1 + 0 + 0) / 4,
            "exact_match": 1 / 4,
            "character_f1": (0.8 + 1 + 0 + 0.8) / 4,
            "has_answer_f1": 1.8 / 3,
            "has_answer_exact": 1 / 3,
            "no_answer_exact": 0.0,
        }
    )
    assert [*ANSWERS.scoring((ANSWER,), "").summary(rows, predictions)["metrics"]] == [
        "answer_f1",
        "exact_match",
        "character_f1",
    ]
    told = ANSWERS.scored(rows, predictions, BOTH)
    assert told["answered"] == {"has": 3, "given": 4}
    assert told["by_first_word"] == [{"word": "?", "rows": 4, "f1": pytest.approx(0.45), "exact": 0.25}]


def test_the_threshold_is_fitted_on_all_and_each_row_is_scored_by_the_others() -> None:
    count = 40
    rows = examples(["?"] * count, ["Ann met Bob"] * count, [["Ann"] if n % 2 else [] for n in range(count)])
    outputs = np.full((count, 21, 3), -np.inf)
    outputs[:, 1] = 0, 3, 0.0
    # Questions without an answer are somewhat likelier to have none; all are above one half.
    outputs[:, 0, 2] = [1.0 + 0.01 * n + (0 if n % 2 else 1) for n in range(count)]
    whole, of_rows = fitted_threshold(rows, outputs)
    nulls = null_probabilities(outputs)
    assert nulls[1::2].max() <= whole < nulls[::2].min()
    assert len({*of_rows.tolist()}) <= 5
    decision, predictions = ANSWERS.decided(rows, outputs, ANSWERS.scoring(BOTH, ""))
    assert decision == {"null_threshold": whole}
    assert ANSWERS.scoring(BOTH, "").summary(rows, predictions)["score"] > 0.9
    assert ANSWERS.decided(rows, outputs, ANSWERS.scoring((ANSWER,), ""))[0] == {}


def test_the_baselines_learn_whether_to_answer() -> None:
    texts = ["Ann met Bob. Carl came.", "Dan sat. Eve stood up."]
    rows = examples(["Who met Bob?", "Who stood up?"], texts, [["Ann"], ["Eve"]])
    blind, likest = (baseline.predict(rows, rows, (ANSWER,)).tolist() for baseline in ANSWERS.baselines)
    assert (blind, likest) == ([[0, 12], [0, 8]], [[0, 3], [9, 12]])
    none = examples(["What is it?"] * 3, [texts[0]] * 3, [[], [], ["Carl"]])
    for baseline in ANSWERS.baselines:
        assert (baseline.predict(none, none, BOTH) == NONE).all()


def test_a_model_that_answers_alike_is_told() -> None:
    assert ANSWERS.one_answer(ROWS, np.array([[0, 3], [0, 1], [0, 1]]))
    assert ANSWERS.one_answer(ROWS, np.full((3, 2), NONE))
    assert not ANSWERS.one_answer(ROWS, np.array([[0, 3], [2, 3], [0, 1]]))


def test_a_question_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="an answer is looked for in a text"):
        ANSWERS.encode(tokenizer, Examples(["a"], None, None, [1], Path()), Reading(max_length=9), BOTH)


def test_rows_to_be_answered_need_no_answers(tmp_path: Path) -> None:
    asked = {"context": TEXT, "question": "Who?"}
    (tmp_path / "q.jsonl").write_text(json.dumps(asked))
    (found,) = ANSWERS.reads(tmp_path / "q.jsonl", Columns("question", "context"), whole=True)
    assert isinstance(found, Row)
    assert (found.text, found.pair, found.label) == ("Who?", TEXT, None)
    assert found.cells == {"id": "1", "question": "Who?"}
