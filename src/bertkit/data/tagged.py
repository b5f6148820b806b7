"""Sentences with a tag a word, from every layout that there is of them."""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from bertkit.data.conll import TaggedSentence, conll_layout, read_conll, tag_problem
from bertkit.data.files import STANDARD_INPUT, open_bytes, read_lines, text_problem
from bertkit.data.formats import BY_ROW, PLAIN, WORD_A_LINE, format_of, is_known
from bertkit.data.tables import BadRow, CellRow, Column, bad_row, first_rows, iterate_cells
from bertkit.errors import UserError, quoted
from bertkit.text.words import word_spans

WORDS = ("tokens", "words", "text")
"""What columns of words, or of a text, are called; the first that is there is read."""
TAGS = ("tags", "ner_tags", "spans", "entities", "labels", "label")
"""Likewise those of tags, or of the spans of a text."""
_TABLES = (".jsonl", *BY_ROW)

_ROWS = 200
"""So many rows, or lines, tell whether a file has tags."""
_SPAN = ("start", "end", "label")

Span = tuple[int, int, str]
"""From where to where in a text, and the label."""


def read_tagged(
    path: str | Path,
    *,
    word: Column | None = None,
    tag: Column | None = None,
    tags: bool = True,
    context: int = 0,
    ending: str | None = None,
    encoding: str = "",
    whole: bool = False,
) -> Iterator[TaggedSentence | BadRow]:
    """Read the sentences of a file: CoNLL's layouts, or a table whose cells are lists.

    A row of JSON lines, JSON, Parquet or Arrow has a list of words and one of tags, or a text and the spans
    of its entities: `{"start": 0, "end": 5, "label": "LOC"}`, in characters, the end not counted; or as in
    CLUENER `{"LOC": {"Paris": [[0, 4]]}}`, the end counted. Spans become tags of BIO: a word that a span
    covers in part belongs to it. Any other file is read by `read_conll`.

    Args:
        path: the file.
        word: the column of words, or of a text; None: the first of `WORDS` that is there, or of CoNLL as
            `read_conll` has it.
        tag: that of tags, or of spans; likewise of `TAGS`.
        tags: whether tags are read.
        context: how many sentences of the document before, and behind, a sentence gets beside its words.
        ending: its format, where it tells another or none.
        encoding: of text.
        whole: give each row of a table all its cells.

    Raises:
        UserError: the file cannot be opened, is empty, or has not the columns.
    """
    path = Path(path)
    if is_table(path, ending):
        rows = _table(path, word, tag, tags=tags, ending=ending, encoding=encoding, whole=whole)
    else:
        rows = read_conll(path, word=word, tag=tag, tags=tags, encoding=encoding)
    return with_context(rows, context) if context else rows


def is_table(path: Path, ending: str | None = None) -> bool:
    """Whether a file is a table whose cells may be lists, and not one with a word a line."""
    return _format(path, ending) in _TABLES


def _format(path: Path, ending: str | None = None) -> str:
    """As `format_of` tells it; a name that tells nothing may be that of any text, with tags or without."""
    told = ending or path.is_dir() or path == STANDARD_INPUT or is_known(path)
    return ending or format_of(path, text=not told)


def is_plain(path: Path, ending: str | None = None, encoding: str = "") -> bool:
    """Whether a file to be answered has texts, one a line or in a column, and no lists of words."""
    kind = _format(path, ending)
    if kind in (*_TABLES, WORD_A_LINE):
        return False
    # What is read once only, as standard input, is not looked at.
    return not (kind in (PLAIN, ".tsv") and path.is_file() and _has_sentences(path, encoding))


def tagged_columns(
    path: Path,
    word: Column | None = None,
    tag: Column | None = None,
    *,
    known: bool = False,
    encoding: str = "",
) -> tuple[str, str] | None:
    """The columns of words, or texts, and of tags, or spans, by name or number; None of a file without tags.

    Args:
        path: the file.
        word: the column of words, where it is known.
        tag: that of tags.
        known: whether the file has tags; else a table, or a text with several columns, is looked at.
        encoding: of text.

    Raises:
        UserError: the file cannot be read, or has tags and not the columns.
    """
    kind = _format(path)
    if kind in _TABLES:
        return _table_columns(path, word, tag, known=known, encoding=encoding)
    if kind != WORD_A_LINE and not known and not _has_sentences(path, encoding):
        return None
    layout = conll_layout(path, word=word, tag=tag, encoding=encoding)
    return str(layout.word + 1), str(layout.tag + 1 if layout.tag is not None else "")


def _table_columns(
    path: Path, word: Column | None, tag: Column | None, *, known: bool, encoding: str
) -> tuple[str, str] | None:
    names, *rows = first_rows(path, 1 + _ROWS, encoding=encoding)
    if not known and not ({*WORDS, word} & {*names} and {*TAGS, tag} & {*names}):
        return None
    words, tags = (
        str(word or _first(path, WORDS, names, "words")),
        str(tag or _first(path, TAGS, names, "tags")),
    )
    if not known:
        cells = [dict(zip(names, row, strict=False)) for row in rows]
        if not any(_asks_for_tags(row.get(words), row.get(tags)) for row in cells):
            return None
    return words, tags


def _asks_for_tags(words: Any, tags: Any) -> bool:
    """Whether two cells are a list of words and one of tags, or a text and spans of it."""
    if isinstance(words, str):
        return (isinstance(tags, list) and bool(tags) and not isinstance(_exclusive(tags), str)) or (
            isinstance(tags, dict) and bool(tags) and not isinstance(_inclusive(tags), str)
        )
    return isinstance(words, list) and isinstance(tags, list) and 0 < len(words) == len(tags)


def _has_sentences(path: Path, encoding: str) -> bool:
    """Whether the first lines of a text are words with tags: blank lines between lines of as many cells."""
    with open_bytes(path) as stream:
        head = [line for _, line in islice(read_lines(stream, str(path), encoding), _ROWS)]
    blank = [not line.strip() for line in head]
    cells = [len(re.split("\t| +", line.strip())) for line in head if line.strip() and line[0] not in "#-"]
    inside = any(not a and b for a, b in pairwise(blank)) and len(cells) > 2
    return inside and min(cells) == max(cells) > 1


def with_context(
    rows: Iterable[TaggedSentence | BadRow], sentences: int
) -> Iterator[TaggedSentence | BadRow]:
    """Each sentence with the words of so many before it, and behind it, of the same document.

    A bad one stands for a gap: what is on its other side is no neighbour.
    """
    known = list(rows)
    for place, row in enumerate(known):
        if isinstance(row, BadRow):
            yield row
            continue
        sides = known[max(0, place - sentences) : place][::-1], known[place + 1 : place + 1 + sentences]
        before, after = ([each.words for each in _neighbours(side, row.document)] for side in sides)
        yield replace(row, before=tuple(_joined(before[::-1])), after=tuple(_joined(after)))


def _neighbours(rows: Iterable[TaggedSentence | BadRow], document: int) -> Iterator[TaggedSentence]:
    for row in rows:
        if isinstance(row, BadRow) or row.document != document:
            return
        yield row


def _joined(parts: Iterable[Sequence[str]]) -> Iterator[str]:
    return (word for part in parts for word in part)


def _table(
    path: Path, word: Column | None, tag: Column | None, *, tags: bool, encoding: str, **how: Any
) -> Iterator[TaggedSentence | BadRow]:
    names = [str(name) for name in first_rows(path, 1, encoding=encoding)[0]]
    asked: list[Column] = [word or _first(path, WORDS, names, "words")]
    if tags:
        asked.append(tag or _first(path, TAGS, names, "tags"))
    for number, row in enumerate(iterate_cells(path, asked, encoding=encoding, **how)):
        # A row is a document: nothing tells that the next one goes on with it.
        yield row if isinstance(row, BadRow) else _row(path, row, number, tags=tags)


def _first(path: Path, usual: Sequence[str], names: Sequence[str], what: str) -> str:
    found = next((name for name in usual if name in names), None)
    if found is None:
        option = "--text" if what == "words" else "--label"
        raise UserError(
            f"{path} has no column of {what} that is called {', '.join(usual)}; say {option} and "
            f"its name, which is one of: {', '.join(names)}."
        )
    return found


def _row(path: Path, row: CellRow, number: int, *, tags: bool) -> TaggedSentence | BadRow:
    cell = row.found[0]
    read = _text if isinstance(cell, str) else _words
    found = read(cell, row.found[1] if tags else None)
    if isinstance(found, str):
        return bad_row(path, row.line, found, row.cells)
    return replace(found, line=row.line, document=number, cells=row.cells)


def _words(words: Any, tags: Any) -> TaggedSentence | str:
    """A sentence of a list of words and one of tags; or what is wrong, as the end of a sentence."""
    if not isinstance(words, list):
        return (
            f"the words are not a list but of type {type(words).__name__}; give a list of texts, or a text."
        )
    if problem := words_problem(words):
        return problem
    if tags is None:
        return TaggedSentence(0, tuple(words))
    if not isinstance(tags, list):
        return f"the tags are not a list but of type {type(tags).__name__}; give a tag for each word."
    if len(tags) != len(words):
        return f"{len(words)} words and {len(tags)} tags; each word needs one tag."
    told = [tag.strip() if isinstance(tag, str) else _written(tag) for tag in tags]
    problem = next(
        (f"tag {place}: {said}" for place, tag in enumerate(told, 1) if (said := tag_problem(tag))), ""
    )
    return problem or TaggedSentence(0, tuple(words), tuple(told))


def words_problem(words: Sequence[Any]) -> str:
    """Why these cannot be the words of a sentence, as the end of a sentence; "" where they can."""
    if not words:
        return "there are no words; fill them in or remove the row."
    for place, word in enumerate(words, 1):
        if problem := text_problem(word):
            return f"word {place} {problem}; mend or remove the row."
        if not word.strip():
            return f"word {place} is empty; fill it in, or remove it and its tag."
    return ""


def _written(value: Any) -> str:
    """A tag that is a number; anything else is none."""
    return json.dumps(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _text(text: str, spans: Any) -> TaggedSentence | str:
    """A text with the spans of its entities; or what is wrong, as the end of a sentence."""
    if problem := text_problem(text):
        return f"the text {problem}; mend or remove the row."
    places = tuple(word_spans(text))
    if not places:
        return "the text is empty; fill it in or remove the row."
    words = tuple(text[start:end] for start, end in places)
    sentence = TaggedSentence(0, words, text=text, spans=places)
    if spans is None:
        return sentence
    read: Callable[[Any], list[Span] | str] = _inclusive if isinstance(spans, dict) else _exclusive
    found = read(spans)
    told = found if isinstance(found, str) else span_tags(text, places, found)
    return told if isinstance(told, str) else replace(sentence, tags=tuple(told))


def _exclusive(spans: Any) -> list[Span] | str:
    if not isinstance(spans, list):
        return (
            f"the spans are not a list but of type {type(spans).__name__}; give a list of start, end, label."
        )
    found: list[Span] = []
    for place, span in enumerate(spans, 1):
        known: list[Any] = [span.get(key) for key in _SPAN] if isinstance(span, Mapping) else []
        if not _is_span(known):
            return (
                f"span {place} is not of the form {{'start': 0, 'end': 5, 'label': 'LOC'}}: {quoted(span)}."
            )
        found.append((known[0], known[1], known[2]))
    return found


def _inclusive(spans: Any) -> list[Span] | str:
    """Of CLUENER: by label, by the words of the text, the places of the first and last character."""
    found: list[Span] = []
    for label, texts in spans.items():
        places = [place for each in texts.values() for place in each] if isinstance(texts, dict) else [None]
        for place in places:
            known: list[Any] = [*place, label] if isinstance(place, list) else []
            if not _is_span(known):
                return f"the label {quoted(label)} is not of the form {{'LOC': {{'Paris': [[0, 4]]}}}}."
            found.append((known[0], known[1] + 1, label))
    return found


def _is_span(values: Sequence[Any]) -> bool:
    return len(values) == 3 and all(
        isinstance(value, kind) and not isinstance(value, bool)
        for value, kind in zip(values, (int, int, str), strict=True)
    )


def span_tags(text: str, places: Sequence[tuple[int, int]], spans: Iterable[Span]) -> list[str] | str:
    """Tags of BIO for the words of a text whose entities are spans of characters.

    Args:
        text: the text.
        places: from where to where its W words stand in it.
        spans: of the entities. A word that one covers in part belongs to it.

    Returns:
        W tags; or what is wrong with a span, as the end of a sentence.
    """
    found = ["O"] * len(places)
    starts, ends = [start for start, _ in places], [end for _, end in places]
    for start, end, label in sorted(spans):
        label = label.strip()
        said = f"the span {start} to {end} ({quoted(text[max(0, start) : max(0, end)])})"
        if not 0 <= start < end <= len(text):
            return f"the span {start} to {end} is not in the text, which has {len(text)} characters."
        if problem := tag_problem(label):
            return f"{said}: {problem}"
        first, last = bisect_right(ends, start), bisect_left(starts, end)
        if first >= last:
            return f"{said} holds no word."
        if found[first] != "O":
            return f"{said} has a word that another span has too; a word can be of one entity."
        found[first:last] = [f"B-{label}", *[f"I-{label}"] * (last - first - 1)]
    return found
