"""What the columns of somebody's own table are, from their names and the first rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertkit.config.head import USUAL_KIND
from bertkit.data.formats import arrow_files
from bertkit.data.tables import Column, Columns, first_rows, has_names
from bertkit.data.tagged import tagged_columns
from bertkit.errors import UserError, listed
from bertkit.recipe import TaskRecipe
from bertkit.tasks.choices import choice_columns, label_as_of
from bertkit.tasks.choose import CHOOSE
from bertkit.tasks.guess_answers import Asked, questions_in
from bertkit.tasks.guess_choices import choices_among, flattened
from bertkit.tasks.guess_labels import LabelSets, label_sets_among

ROWS = 2_000
"""So many are looked at."""


@dataclass(frozen=True)
class UsualNames:
    """UsualNames names of columns: those of an earlier row are meant before those of a later one."""

    pairs: tuple[tuple[str, str], ...]
    texts: tuple[tuple[str, ...], ...]
    labels: tuple[tuple[str, ...], ...]


USUAL_NAMES = UsualNames(
    pairs=(
        *(("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2")),
        *(("text_a", "text_b"), ("text1", "text2"), ("question", "sentence"), ("query", "passage")),
    ),
    texts=(
        ("text", "sentence"),
        ("message", "review", "comment", "content", "body", "tweet", "utterance", "document", "description"),
    ),
    labels=(
        ("label", "labels", "target", "class"),
        *(
            ("category", "sentiment", "intent", "topic", "emotion", "gold_label"),
            ("score", "rating", "stars"),
        ),
    ),
)
NAMES_OF_CHOICES = UsualNames(
    pairs=(
        *(("sent1", "sent2"), ("premise", "question"), ("context", "question"), ("article", "question")),
        ("passage", "question"),
    ),
    texts=(
        ("text", "prompt", "stem", "question.stem"),
        ("startphrase", "premise", "ctx", "goal", "question", "context", "sentence"),
    ),
    labels=(
        ("label", "answerkey", "correct", "right", "gold", "target"),
        ("answer", "correct_answer", "gold_label"),
    ),
)
MOST_LABELS = 100
"""Different cells that a column of labels without a usual name has at most."""
LONGEST_LABEL = 40
"""Characters of its cells, on average, at most."""
MANY = 20
"""Different numbers above which they are more likely measures than names of classes."""
SHOWN = 12
"""Names of columns that a sentence lists."""


@dataclass(frozen=True)
class Profile:
    """A column: its name (or number from 1) and the first of its cells, as texts."""

    column: Column
    cells: tuple[str, ...]

    @property
    def different(self) -> int:
        """How many different cells there are."""
        return len(set(self.cells))

    @property
    def length(self) -> float:
        """Mean number of characters."""
        return sum(map(len, self.cells)) / max(1, len(self.cells))

    @property
    def numbers(self) -> bool:
        """Whether all cells are numbers."""
        return all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", cell) for cell in self.cells)

    @property
    def may_be_label(self) -> bool:
        """Whether its cells repeat and are short."""
        most = min(MOST_LABELS, len(self.cells) / 2)
        return 1 < self.different <= most and self.length <= LONGEST_LABEL

    @property
    def may_be_text(self) -> bool:
        """Whether its cells are no numbers, and mostly different."""
        return not self.numbers and 2 * self.different > len(self.cells)


def complete(task: TaskRecipe) -> tuple[TaskRecipe, str]:
    """A recipe in which the columns and the kind that were not given are guessed, and a sentence about them.

    The sentence is "" where all was given.

    Raises:
        UserError: the file cannot be read, or it does not tell which column is meant.
    """
    if task.text and task.label and task.kind and (task.kind != CHOOSE.name or task.label_as):
        return task, ""
    path, asked_for = Path(task.train), task
    if tagged := _tagged(path, task):
        return tagged
    if task.kind in ("", "answer") and (questions := questions_in(path, task.encoding)):
        return _with_questions(task, questions)
    rows = _first_rows(path, task)
    named = _names_columns(path, task, rows)
    names: list[Column] = [str(cell).strip() for cell in rows[0]] if named else [*range(1, len(rows[0]) + 1)]
    body = [row for row in rows[named:] if len(row) == len(names)]
    usual, choices = USUAL_NAMES, list[str]()
    if task.kind in ("", CHOOSE.name):
        flat, cells = flattened(names, body)
        choices = task.choices.split(",") if task.choices else [*map(str, choices_among(flat, cells))]
        if choices:
            names, body, usual = flat, cells, NAMES_OF_CHOICES
            task = replace(task, kind=CHOOSE.name, choices=",".join(choices))
    sets = None if choices else _sets(task, names, body)
    if sets:
        task = sets.completed(task)
    columns = [
        Profile(name, tuple(cell for row in body if (cell := _as_text(row[place])) is not None))
        for place, name in enumerate(names)
    ]
    columns = [column for column in columns if column.cells]
    if not columns:
        raise UserError(f"{path} has no row with a text or a label; at least one is needed.")
    # A number stands for the name of that column.
    called = {str(place): str(name) for place, name in enumerate(names, 1)}
    given = {called.get(value, value) for value in (task.text, task.pair, task.label, *choices) if value}
    given |= {*sets.columns} if sets else set()
    text, pair, label = _choose(path, columns, task, given, usual)
    found = replace(
        task,
        text=str(text),
        pair=str(pair) if pair is not None else "",
        label=str(label),
        header="yes" if named else "no",
    )
    if choices:
        return _with_label_as(path, task, found)
    if sets:
        return found, _said(asked_for, found, sets.words)
    learned = called.get(found.label, found.label)
    profile = next((each for each in columns if str(each.column) == learned), None)
    kind, told = _kind(path, profile) if not task.kind and profile is not None else (task.kind, "")
    found = replace(found, kind=kind)
    return found, _said(task, found, told)


def _names_columns(path: Path, task: TaskRecipe, rows: Sequence[Sequence[Any]]) -> bool:
    """Whether the first row names the columns."""
    if task.named is not None:
        return task.named
    by_name = any(given and not given.isdecimal() for given in (task.text, task.pair, task.label))
    return has_names(path) or by_name or (not (task.text and task.label) and _is_header(rows))


def _sets(task: TaskRecipe, names: Sequence[Column], body: Sequence[Sequence[Any]]) -> LabelSets | None:
    if task.kind not in ("", "multilabel"):
        return None
    return label_sets_among(names, body, task.label, USUAL_NAMES.labels, task.label_separator)


def _with_questions(task: TaskRecipe, asked: Asked) -> tuple[TaskRecipe, str]:
    """The recipe of questions about texts, and a sentence about it."""
    found = replace(
        task,
        text=task.text or asked.keys.question,
        pair=task.pair or asked.keys.context,
        label=task.label or asked.keys.answers,
        kind="answer",
    )
    return found, _said(task, found, asked.words)


def _first_rows(path: Path, task: TaskRecipe) -> list[list[Any]]:
    """The first rows of labelled ones; what can only be plain text is refused, with the way."""
    unlabelled = f"To learn from text without labels: bertkit pretrain {path}"
    try:
        rows = first_rows(path, ROWS, separator=task.separator, encoding=task.encoding)
    except UserError as error:
        if not path.is_dir():
            raise
        raise UserError(f"{error} {unlabelled}") from None
    if max(map(len, rows), default=0) == 1:
        raise UserError(
            f"{path} has one column, and labelled rows have two, a text and a label (--separator says what "
            f"parts them). {unlabelled}"
        )
    return rows


def _tagged(path: Path, task: TaskRecipe) -> tuple[TaskRecipe, str] | None:
    """The same of a file whose words have tags; None of others."""
    # Of a folder that is no table, what is wrong with it is told below.
    if task.kind not in ("", "tag") or (path.is_dir() and not arrow_files(path)):
        return None
    word, tag = task.text or None, task.label or None
    columns = tagged_columns(path, word, tag, known=task.kind == "tag", encoding=task.encoding)
    if columns is None:
        return None
    found = replace(task, text=columns[0], label=columns[1], kind="tag")
    return found, f"a tag for each word; words: column {columns[0]}, tags: column {columns[1]}"


def _with_label_as(path: Path, task: TaskRecipe, found: TaskRecipe) -> tuple[TaskRecipe, str]:
    """The recipe of choices with how the labels of the first rows tell the right one, and what is said."""
    more = choice_columns(found.choices)
    columns = Columns(found.text, found.pair or None, found.label, more=more)
    how = {"header": found.named, "separator": found.separator, "encoding": found.encoding}
    told: Any = found.label_as or label_as_of(path, columns, ROWS, **how)
    return replace(found, label_as=told), _said(task, found, f"the {told} of the right choice")


def _as_text(cell: Any) -> str | None:
    """A cell as a text; None where it is empty, or is no text and no number."""
    text = str(cell).strip() if isinstance(cell, str | int | float) else ""
    return text or None


def _is_header(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether the first row names the columns: with a usual name, or with short ones found nowhere below."""
    first = [str(cell).strip() for cell in rows[0]]
    usual = {name for row in (*USUAL_NAMES.pairs, *USUAL_NAMES.texts, *USUAL_NAMES.labels) for name in row}
    if usual & {cell.lower() for cell in first}:
        return True
    below = {str(cell).strip() for row in rows[1:] for cell in row}
    return all(re.fullmatch(r"[^\W\d][\w -]{0,30}", cell) and cell not in below for cell in first)


def _choose(
    path: Path, columns: list[Profile], task: TaskRecipe, given: set[str], usual: UsualNames
) -> tuple[Column, Column | None, Column]:
    """The columns of text, second text and label; those of the names `given` are none of the others."""
    left = [each for each in columns if str(each.column) not in given]
    text, pair = task.text, task.pair or None
    if not task.text and not task.pair:
        lower = {str(each.column).lower(): each for each in left}
        for one, other in usual.pairs:
            if one in lower and other in lower:
                text, pair = str(lower[one].column), str(lower[other].column)
                left = [each for each in left if each not in (lower[one], lower[other])]
                break
    label = task.label
    if not label:
        texts = {name for names in usual.texts for name in names}
        rest = [each for each in left if text or str(each.column).lower() not in texts]
        chosen = _only(
            path, "label", columns, _by_name(rest, usual.labels) or [c for c in rest if c.may_be_label]
        )
        left, label = [each for each in left if each is not chosen], str(chosen.column)
    if not text:
        found = _by_name(left, usual.texts) or [each for each in left if each.may_be_text]
        longest = sorted(found, key=lambda each: -each.length)
        if len(longest) > 1 and longest[0].length > 2 * longest[1].length:
            longest = longest[:1]
        text = str(_only(path, "text", columns, longest).column)
    return text, pair, label


def _by_name(columns: Sequence[Profile], names: Sequence[Sequence[str]]) -> list[Profile]:
    """The columns with a name of the first row that any has."""
    for row in names:
        if found := [each for each in columns if str(each.column).lower() in row]:
            return found
    return []


def _only(path: Path, part: str, columns: Sequence[Profile], found: Sequence[Profile]) -> Profile:
    if len(found) == 1:
        return found[0]
    candidates = found or columns
    names = listed((str(each.column) for each in candidates), SHOWN)
    may_be = "may be any of" if found else "cannot be told; the columns are"
    raise UserError(f"{path}: the column of the {part} {may_be} {names}. Say which: --{part} COLUMN.")


def _kind(path: Path, label: Profile) -> tuple[Any, str]:
    """The kind of the task by its labels, and a few words about it."""
    if label.numbers and label.different > MANY and any("." in cell for cell in label.cells):
        return "regress", "numbers; for classes: --kind classify"
    if label.different > len(label.cells) / 2 and label.different > MANY:
        other = " If these are numbers to predict, say --kind regress." if label.numbers else ""
        raise UserError(
            f"{path}: column {label.column!r} has {label.different:,} different cells in "
            f"{len(label.cells):,} rows: these are no labels. Say which column is: --label COLUMN.{other}"
        )
    told = f"{label.different} classes"
    return USUAL_KIND, told + ("; for numbers: --kind regress" if label.numbers else "")


def _said(task: TaskRecipe, found: TaskRecipe, kind: str) -> str:
    """What was guessed, in one line."""
    columns = found.header == "no"
    parts = [
        f"{part} = {'column ' if columns else ''}{getattr(found, part)}"
        for part in ("text", "pair", "choices", "label")
        if getattr(found, part)
    ]
    if kind:
        parts[-1] += f" ({kind})"
    if task.text and task.label:
        return ", ".join(parts)
    no_header = "; the first line is taken for a row (else --header yes)" if columns else ""
    return f"{', '.join(parts)}; others: --text, --label{no_header}"
