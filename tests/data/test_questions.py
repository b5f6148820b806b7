"""Questions: the layouts that they come in, and answers that are not at their place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bertkit.data.questions import Answer, Keys, Question, read_questions
from bertkit.data.tables import BadRow
from bertkit.errors import UserError

CONTEXT = "Ann met Bob. Bob met Carl in Rome."


def entry(answers: Any = None, **more: Any) -> dict[str, Any]:
    found = [{"text": "Rome", "answer_start": 29}] if answers is None else answers
    return {"id": "a", "question": "Where?", "answers": found, **more}


def squad(*entries: dict[str, Any], version: str | None = "1.1", context: Any = CONTEXT) -> dict[str, Any]:
    article = {"title": "Ann", "paragraphs": [{"context": context, "qas": list(entries)}]}
    return {"data": [article]} if version is None else {"version": version, "data": [article]}


def written(folder: Path, content: Any, name: str = "q.json") -> Path:
    rows = content if isinstance(content, list) else [content]
    (folder / name).write_text("\n".join(json.dumps(row) for row in rows))
    return folder / name


def questions(path: Path, **how: Any) -> list[Question]:
    found = list(read_questions(path, **how))
    assert all(isinstance(row, Question) for row in found), found
    return [row for row in found if isinstance(row, Question)]


def problems(path: Path) -> list[str]:
    return [row.problem for row in read_questions(path) if isinstance(row, BadRow)]


def test_squad_is_read_question_by_question(tmp_path: Path) -> None:
    second = entry([], id=7, is_impossible=True, plausible_answers=[{"text": "Bob", "answer_start": 8}])
    path = written(tmp_path, squad(entry(), second, {"id": "c", "question": "Who?"}, version="v2.0"))
    assert questions(path) == [
        Question(1, "a", "Where?", CONTEXT, (Answer("Rome", 29),), "Ann"),
        Question(2, "7", "Where?", CONTEXT, (), "Ann"),
        Question(3, "c", "Who?", CONTEXT, None, "Ann"),
    ]


@pytest.mark.parametrize(
    "answers",
    [
        [{"text": "Bob", "start": 8}, {"text": "Carl", "start": 21}],
        [{"text": "Bob", "answer_start": 8}, {"text": "Carl", "answer_start": 21}],
        {"text": ["Bob", "Carl"], "answer_start": [8, 21]},
        {"text": ["Bob", "Carl"], "start": [8, 21]},
    ],
)
def test_rows_of_one_question_each_are_read(tmp_path: Path, answers: Any) -> None:
    row = {"context": CONTEXT, "question": "Who?", "answers": answers}
    (found,) = questions(written(tmp_path, row, "q.jsonl"))
    assert found == Question(1, "1", "Who?", CONTEXT, (Answer("Bob", 8), Answer("Carl", 21)), CONTEXT)


def test_keys_may_be_called_otherwise(tmp_path: Path) -> None:
    row = {"text": CONTEXT, "q": "Who?", "a": [{"text": "Carl"}]}
    (found,) = questions(written(tmp_path, row, "q.jsonl"), keys=Keys("q", "text", "a"))
    assert (found.question, found.context, found.answers) == ("Who?", CONTEXT, (Answer("Carl", 21),))


def test_lines_of_windows_a_mark_and_compression_change_nothing(tmp_path: Path) -> None:
    plain = questions(written(tmp_path, squad(entry(), context="Rome.\r\nIn " + CONTEXT)))
    text = json.dumps(squad(entry(), context="Rome.\r\nIn " + CONTEXT), indent=1).replace("\n", "\r\n")
    (tmp_path / "w.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (tmp_path / "w.json.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode(), mtime=0))
    assert questions(tmp_path / "w.json") == questions(tmp_path / "w.json.gz") == plain
    row = {"id": "a", "context": CONTEXT, "question": "Who?", "answers": []}
    (tmp_path / "w.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(row).encode() + b"\r\n")
    assert questions(tmp_path / "w.jsonl")[0].answers == ()


@pytest.mark.parametrize(
    ("text", "start", "found"),
    [
        ("Rome", 31, Answer("Rome", 29, moved=True)),
        ("Rome", 0, Answer("Rome", 29, moved=True)),
        ("Rome", -5, Answer("Rome", 29, moved=True)),
        ("met", 6, Answer("met", 4, moved=True)),
        ("met", 15, Answer("met", 17, moved=True)),
        ("met", 99, Answer("met", None)),
        ("Rome", None, Answer("Rome", 29)),
        ("met", None, Answer("met", None)),
        ("Paris", 29, Answer("Paris", None)),
    ],
)
def test_an_answer_is_where_it_stands(tmp_path: Path, text: str, start: int | None, found: Answer) -> None:
    answer = {"text": text} if start is None else {"text": text, "answer_start": start}
    path = written(tmp_path, squad(entry([answer, {"text": "Carl", "answer_start": 21}])))
    assert questions(path)[0].answers == (found, Answer("Carl", 21))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (entry([{"text": "Paris", "answer_start": 29}]), "the answer 'Paris' is not in the text"),
        (entry([{"text": "met", "answer_start": 99}]), "is 2 times in the text, but not near its start, 99"),
        (entry([{"text": "met"}]), "is 2 times in the text, and nobody says where it starts"),
        (entry([{"text": " ", "answer_start": 0}]), "an answer is empty"),
        (entry([{"text": "Rome", "answer_start": "29"}]), "is no whole number but '29'"),
        (entry(["Rome"]), "an answer is no object with a text"),
        (entry("Rome"), "the answers are no list but of type str"),
        (entry({"text": ["Rome"], "answer_start": []}), "not as many starts as texts"),
        (entry([]), 'there is no answer; where the text has none, "is_impossible" is true'),
        (entry([], is_impossible=False), "there is no answer"),
        (entry(is_impossible=True), '"is_impossible" is true, and there are answers'),
        (entry(question="  "), "the question is empty"),
        ({"id": "b", "answers": []}, "there is no key 'question'"),
        (entry(question="a\0b"), "the question holds a NUL byte"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_number(
    tmp_path: Path, told: dict[str, Any], said: str
) -> None:
    (problem,) = problems(written(tmp_path, squad(entry(id="first"), told, version=None)))
    assert f"{tmp_path / 'q.json'}, row 2: " in problem
    assert said in problem


def test_an_empty_context_and_an_id_twice_are_told(tmp_path: Path) -> None:
    (problem,) = problems(written(tmp_path, squad(entry(), context=" ")))
    assert problem.endswith("row 1: the context is empty; mend or remove the row.")
    (problem,) = problems(written(tmp_path, squad(entry(), entry())))
    assert problem.endswith("row 2: the id is that of question 1 too; give each its own.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"data": [{"title": "x"}]}, "number 1 of data: 'paragraphs' is not a list"),
        ({"data": [7]}, "number 1 of data is no object"),
        (
            {"data": [{"paragraphs": [{"context": "x"}]}]},
            "number 1 of data, number 1 of paragraphs: 'qas' is",
        ),
        ({"data": {}}, "'data' is not a list"),
        ({"data": []}, "has no question; at least one is needed"),
    ],
)
def test_what_is_no_layout_of_squad_is_refused(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list(read_questions(written(tmp_path, content)))


@pytest.mark.slow
def test_real_files_are_read_whole(shared_data: Path) -> None:
    answers = {
        "squad/train-mini-v2.0.json": (4346, 2310, 0, 0),
        "squad/sample-v1.1.json": (5, 0, 0, 0),
        "squadshifts/new_wiki_v1.0.json.gz": (7938, 0, 0, 0),
        "zh/cmrc2018/cmrc2018_dev.json.gz": (3219, 0, 7, 193),
    }
    for name, expected in answers.items():
        found = questions(shared_data / name)
        placed = [answer for row in found for answer in row.answers or ()]
        none = sum(row.answers == () for row in found)
        moved, lost = sum(a.moved for a in placed), sum(a.start is None for a in placed)
        assert (len(found), none, moved, lost) == expected
        for row in found:
            for answer in row.answers or ():
                assert answer.start is None or row.context.startswith(answer.text, answer.start)
