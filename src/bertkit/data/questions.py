"""Questions about texts and their answers: SQuAD's JSON, and rows of one question each.

SQuAD's (Rajpurkar et al. 2016, 2018) is one object: `data` are articles, an article has `paragraphs`, a
paragraph has a `context` and `qas`, each with an `id`, a `question` and `answers` of a `text` that begins at
the character `answer_start` of the context. A question is a row, and rows are counted from 1. In version 2.0
a question may have no answer. Elsewhere (JSON lines, a JSON list, Parquet) a row has `question`, `context`,
and perhaps `id` and `answers`; these are a list of `{text, start}`, or the lists `{text: [], answer_start:
[]}` of the `datasets` library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from bertkit.data.files import text_problem
from bertkit.data.tables import BadRow, CellRow, Cells, bad_row, iterate_cells
from bertkit.errors import UserError, nearest, quoted

STARTS = ("start", "answer_start")
"""What the key of an answer's first character may be called."""
NEAR = 20
"""Characters: of several places where an answer stands it is the one so near to where it should."""


@dataclass(frozen=True)
class Answer:
    """An answer's text, and the first of its characters in the context; None where it does not stand there.

    `moved` tells that it is not where the file says.
    """

    text: str
    start: int | None
    moved: bool = False


@dataclass(frozen=True)
class Question:
    """A question about a text.

    Attributes:
        line: of the file, or which question of it, from 1.
        id: the file's; where there is none, the line.
        question: as it stands there.
        context: the text that is asked about.
        answers: each of them right; empty where the text does not say; None where the file does not tell.
        group: what the questions of one article have in common: its title, or the context.
    """

    line: int
    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None
    group: str


@dataclass(frozen=True)
class Keys:
    """What the parts of a row are called where each question is a row; `answers` may be missing."""

    question: str = "question"
    context: str = "context"
    answers: str = "answers"


SQUAD = Keys()


def read_questions(
    path: str | Path, keys: Keys = SQUAD, *, ending: str | None = None, encoding: str = ""
) -> Iterator[Question | BadRow]:
    """Read the questions of a file, which tells its layout.

    Args:
        path: the file.
        keys: of rows; those of SQuAD's JSON have their names.
        ending: see `iterate_rows`.
        encoding: see `iterate_rows`.

    Returns:
        One after the other. A `BadRow` has no question or context, answers that are none, or the id of
        another; or it has no answer, and stands in a file of version 1.1; or none of its answers is in its
        text. One of several that is not has no `start`.

    Raises:
        UserError: the file cannot be read, has no question, or breaks SQuAD's layout.
    """
    path = Path(path)
    records = iterate_cells(path, [], ending=ending, encoding=encoding, whole=True)
    seen: dict[str, int] = {}
    none = True
    for row in _questions(path, records, keys):
        none = False
        first = seen.setdefault(row.id, row.line) if isinstance(row, Question) else row.line
        if first == row.line:
            yield row
        else:
            reason = f"the id is that of question {first} too; give each its own."
            yield bad_row(path, row.line, reason)
    if none:
        raise UserError(f"{path} has no question; at least one is needed.")


def _questions(path: Path, records: Iterator[CellRow | BadRow], keys: Keys) -> Iterator[Question | BadRow]:
    numbers = count(1)
    for record in records:
        if isinstance(record, BadRow):
            yield record
        elif keys.context in record.cells or "data" not in record.cells:
            yield _question(path, record.line, record.cells, keys)
        else:
            for entry, title in _of_articles(path, record.cells):
                yield _question(path, next(numbers), entry, SQUAD, title)


def _of_articles(path: Path, content: Mapping[str, Any]) -> Iterator[tuple[Cells, str]]:
    """Each question of SQuAD's JSON as a row would have it, and the title of the article.

    Where there must be an answer, it is told not to be impossible.
    """
    second = str(content.get("version", "")).removeprefix("v").startswith("2")
    for article, name in _each(path, content, "data", ""):
        for paragraph, place in _each(path, article, "paragraphs", name):
            for entry, _ in _each(path, paragraph, "qas", place):
                told = entry if second else {"is_impossible": False, **entry}
                yield {**told, "context": paragraph.get("context")}, str(article.get("title") or "")


def _each(path: Path, content: Mapping[str, Any], key: str, place: str) -> Iterator[tuple[Cells, str]]:
    """The objects of a list in SQuAD's JSON, each with a name for messages."""
    found = content.get(key)
    if not isinstance(found, list):
        raise UserError(
            f"{path}{place}: {quoted(key)} is not a list, as it is in SQuAD's JSON; mend the file."
        )
    for number, item in enumerate(found, 1):
        name = f"{place}, number {number} of {key}"
        if not isinstance(item, dict):
            raise UserError(f"{path}{name} is no object, as it is in SQuAD's JSON; mend the file.")
        yield item, name


def _question(path: Path, line: int, cells: Cells, keys: Keys, group: str = "") -> Question | BadRow:
    for key in (keys.question, keys.context):
        value = cells.get(key)
        if key not in cells:
            return bad_row(path, line, f"there is no key {quoted(key)}.{nearest(key, list(cells))}", cells)
        if problem := text_problem(value) or ("" if str(value).strip() else "is empty"):
            return bad_row(path, line, f"the {key} {problem}; mend or remove the row.", cells)
    question, context = cells[keys.question], cells[keys.context]
    answers = _answers(cells.get(keys.answers), cells.get("is_impossible"), context)
    if isinstance(answers, str):
        return bad_row(path, line, answers, cells)
    name = cells.get("id")
    return Question(line, str(line if name is None else name), question, context, answers, group or context)


def _answers(value: Any, impossible: Any, context: str) -> tuple[Answer, ...] | str | None:
    """The answers of a row, None where it does not tell, or a sentence about what is wrong with them."""
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        columns = {"text": value["text"], **{key: value[key] for key in STARTS if key in value}}
        if len({len(column) if isinstance(column, list) else -1 for column in columns.values()}) > 1:
            return "the answers have not as many starts as texts; mend or remove the row."
        value = [dict(zip(columns, each, strict=True)) for each in zip(*columns.values(), strict=True)]
    if not isinstance(value, list):
        return f"the answers are no list but of type {type(value).__name__}; mend or remove the row."
    if not value and impossible is False:
        return 'there is no answer; where the text has none, "is_impossible" is true (SQuAD 2.0).'
    if value and impossible:
        return '"is_impossible" is true, and there are answers; mend or remove the row.'
    found: list[Answer] = []
    for each in value:
        answer = _placed(each, context)
        if isinstance(answer, str):
            return answer
        found.append(answer)
    if found and all(answer.start is None for answer in found):
        return f"the answer {quoted(found[0].text)} {_where(value[0], context)}"
    return tuple(found)


def _start_of(answer: Mapping[str, Any]) -> Any:
    return next((answer[key] for key in STARTS if key in answer), None)


def _placed(answer: Any, context: str) -> Answer | str:
    """An answer at its place, or a sentence about what is wrong with it.

    It stands where it says, else at the only place there is, else at one that is `NEAR`.
    """
    if not isinstance(answer, dict) or text_problem(answer.get("text")):
        return "an answer is no object with a text; mend or remove the row."
    text, start = answer["text"], _start_of(answer)
    if not text.strip():
        return "an answer is empty; where there is none, leave the list empty."
    if start is not None and (isinstance(start, bool) or not isinstance(start, int)):
        return f"the start of the answer {quoted(text)} is no whole number but {quoted(start)}; mend it."
    if start is not None and start >= 0 and context.startswith(text, start):
        return Answer(text, start)
    places = _places(text, context)
    if start is None:
        return Answer(text, places[0] if len(places) == 1 else None)
    closest = min(places, key=lambda place: abs(place - start), default=None)
    if closest is None or (len(places) > 1 and abs(closest - start) > NEAR):
        return Answer(text, None)
    return Answer(text, closest, moved=True)


def _places(text: str, context: str) -> list[int]:
    """Where a text begins in another, wherever it does."""
    places: list[int] = []
    while (place := context.find(text, places[-1] + 1 if places else 0)) >= 0:
        places.append(place)
    return places


def _where(answer: Mapping[str, Any], context: str) -> str:
    """The end of a sentence about an answer that has no place."""
    times, start = len(_places(answer["text"], context)), _start_of(answer)
    if not times:
        return "is not in the text; mend it, or remove the row."
    where = "and nobody says where it starts" if start is None else f"but not near its start, {start}"
    return f"is {times} times in the text, {where}; mend or remove the row."
