"""Rows that ask for a tag a word: from files, or texts, to what a model reads and what it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.config.reading import Reading
from bertkit.data.conll import LONGEST, TaggedSentence
from bertkit.data.tables import BadRow, Column, Columns, Row, bad_row, iterate_rows
from bertkit.data.tagged import is_plain, is_table, read_tagged
from bertkit.data.wording import NO_WORD, encode_words
from bertkit.errors import UserError, listed, quoted
from bertkit.tasks.encoded import IGNORED, Encoded
from bertkit.tasks.entities import known_scheme
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import HeadOutputs, LabelColumn, Names, Outputs
from bertkit.tasks.schemes import NO_TYPE, OUTSIDE, SCHEMES, Scheme, is_iob1, scheme_of
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.words import word_spans

WORDS, SPANS, GIVEN, BEFORE, AFTER, REST = "words", "spans", "given", "before", "after", "goes_on"
"""Of `Examples.more`: the words of a row; where each stands in its text, or None where words came in; the
tags as they stand in the file; the words of its neighbours; whether it is the rest of the row before."""


def read_rows_of_words(
    path: str | Path,
    columns: Columns,
    *,
    context: int = 0,
    ending: str | None = None,
    encoding: str = "",
    whole: bool = False,
    **how: Any,
) -> Iterator[Row | BadRow]:
    """The sentences of a file, as rows: see `read_tagged`.

    Files that only have texts, one a line or in a column, are read by `iterate_rows` where no tags are asked
    for: to be answered.

    Args:
        path: the file.
        columns: of the words, or the text, and of the tags, or the spans; "" is told from the file. A number
            is of a file with a word a line, a name of a table: of the other kind of file it says nothing.
        context: sentences of the document on either side that a sentence is read with.
        ending: its format, where it tells another or none.
        encoding: of text.
        whole: give each row of a table all its cells.
        how: see `iterate_rows`; of texts.
    """
    path, tags = Path(path), columns.label is not None
    if not tags and is_plain(path, ending, encoding):
        texts = replace(columns, text=columns.text or "text")
        yield from iterate_rows(path, texts, ending=ending, encoding=encoding, whole=whole, **how)
        return
    table = is_table(path, ending)
    word, tag = (_column(column, table) for column in (columns.text, columns.label))
    found = read_tagged(
        path, word=word, tag=tag, tags=tags, context=context, ending=ending, encoding=encoding, whole=whole
    )
    rows = list(found) if tags else found
    scheme = scheme_of({tag for each in _good(rows) for tag in each.tags or ()}) if tags else None
    for row in rows:
        yield row if isinstance(row, BadRow) else _row(path, row, scheme, context=context, whole=whole)


def _good(rows: Iterable[TaggedSentence | BadRow]) -> Iterator[TaggedSentence]:
    return (row for row in rows if isinstance(row, TaggedSentence))


def _column(column: Any, table: bool) -> Column | None:
    named = isinstance(column, str) and not column.isdecimal()
    return column if column and named == table else None


def _row(
    path: Path, sentence: TaggedSentence, scheme: Scheme | None, *, context: int, whole: bool
) -> Row | BadRow:
    tags = sentence.tags
    if tags is not None and scheme is not None:
        for place, tag in enumerate(tags):
            if scheme.split(tag) is None:
                letters = ", ".join(f"{letter}-" for letter in scheme.letters)
                line = sentence.lines[place] if sentence.lines else sentence.line
                return bad_row(
                    path,
                    line,
                    f"the tag {quoted(tag)} is not of the scheme {scheme.name}, which the other tags follow: "
                    f"{OUTSIDE}, or one of {letters} and a type.",
                    dict(sentence.cells),
                )
    more: dict[str, Any] = {WORDS: list(sentence.words)}
    if not sentence.lines:
        more[SPANS] = [list(span) for span in sentence.spans] or None
    if tags is not None:
        more[GIVEN] = list(tags)
    if context:
        more |= {BEFORE: list(sentence.before), AFTER: list(sentence.after)}
    if sentence.lines:
        more[REST] = sentence.goes_on
    text = sentence.text or " ".join(sentence.words)
    cells = dict(sentence.cells) or ({"text": text} if whole else {})
    return Row(sentence.line, text, label=None if tags is None else list(tags), cells=cells, more=more)


def completed(rows: Examples) -> Examples:
    """Rows with their words: those of texts are what BERT cuts before it looks for tokens."""
    if WORDS in rows.more:
        return rows
    spans = [word_spans(text) for text in rows.texts]
    words = [
        [text[start:end] for start, end in places] for text, places in zip(rows.texts, spans, strict=True)
    ]
    lists = [[list(span) for span in places] for places in spans]
    return replace(rows, more={**rows.more, WORDS: words, SPANS: lists})


def tag_unknown(column: LabelColumn, row: int) -> str | None:
    """Why the tags of a row cannot be used: the task, or a model, has not one of them."""
    if column.names and (odd := next((tag for tag in column.cells[row] if tag not in column.names), "")):
        known_tags = listed(column.names)
        return f"the tag {quoted(odd)} is none of those of task {column.task!r}: {known_tags}."
    if not column.known or column.grows:
        return None
    entities = known_scheme(column.known) is not None
    known = {_type(tag) if entities else tag for tag in column.known}
    for tag in (column.names.get(tag, tag) for tag in column.cells[row]):
        if tag != OUTSIDE and (_type(tag) if entities else tag) not in known:
            return f"the tag {quoted(tag)} is not one of those trained on ({listed(column.known)})."
    return None


def _type(tag: str) -> str:
    return tag.partition("-")[2] or NO_TYPE


def targets_of_tags(column: LabelColumn) -> tuple[Targets, Names]:
    """The tags of all words, as numbers, and their names.

    Of entities, they are what the file's tags are read as, leniently, in tags that follow the scheme: that of
    training, else that of the file, where IOB1 becomes BIO.

    Raises:
        UserError: all words have the same tag, and there is nothing to learn.
    """
    rows = [[column.names.get(tag, tag) for tag in tags] for tags in column.cells]
    own = scheme_of({tag for tags in rows for tag in tags})
    known = column.known or ()
    scheme = known_scheme(known) if known else own
    if scheme is not None:
        found = [(own or scheme).entities(tags) for tags in rows]
        types = {entity.type for entities in found for entity in entities} - {_type(name) for name in known}
        rows = [scheme.tags(entities, len(tags)) for entities, tags in zip(found, rows, strict=True)]
        names = (*known, *scheme.names(types)[1 if known else 0 :])
    else:
        known = known or tuple(dict.fromkeys(column.names.values()))
        names = (*known, *sorted({tag for tags in rows for tag in tags} - {*known}))
    numbers = {name: number for number, name in enumerate(names)}
    values = np.array([numbers[tag] for tags in rows for tag in tags], dtype=np.int64)
    if column.to_learn and len(np.unique(values)) == 1:
        raise UserError(
            f"{column.path}: every word has the tag {quoted(names[values[0]])}; learning needs words of two "
            "tags."
        )
    return Targets(values, np.cumsum([0, *map(len, rows)])), names


def notes_of_tags(rows: Examples, names: Names) -> Iterator[str]:
    """What was done to the tags, or the sentences, of a file so that they could be read."""
    if any(rows.more.get(REST, ())):
        cut = sum(rows.more[REST])
        yield (
            f"{rows.path} has sentences of more than {LONGEST:,} words: they were cut at full stops, in "
            f"{cut:,} places"
        )
    scheme, given = known_scheme(names), rows.more.get(GIVEN)
    if scheme is None or given is None:
        return
    own = scheme_of({tag for tags in given for tag in tags})
    if own is None:  # Nothing but O, or what the task calls otherwise.
        return
    if own is SCHEMES["BIO"] and is_iob1(given):
        yield f"{rows.path} has tags of IOB1, which are read as {scheme.name}"
        return
    if own is not scheme:
        yield f"{rows.path} has tags of {own.name}, which are read as {scheme.name}, as those of training"
    changed = [
        (row, word)
        for row, tags in enumerate(given)
        for word, pair in enumerate(zip(tags, own.mended(tags), strict=True))
        if pair[0] != pair[1]
    ]
    if changed:
        row, word = changed[0]
        tag, mended = given[row][word], own.mended(given[row])[word]
        where = f"{quoted(rows.more[WORDS][row][word])} in the sentence of line {rows.lines[row]}"
        yield (
            f"{len(changed):,} tags of {rows.path} do not follow {own.name} (the first: {tag} of {where}); "
            f"they are read as conlleval reads them, this one as {mended}"
        )


def encode_tagged(tokenizer: Tokenizer, rows: Examples, reading: Reading, names: Names) -> Encoded:
    """Rows of words as a model reads them; a window is a unit, which asks for the tags of its words.

    Raises:
        UserError: pads are asked for, which only sequences of texts can have.
    """
    if reading.pad_to:
        raise UserError("Sentences whose words have tags are not padded; leave out pad_to.")
    found = encode_words(tokenizer, as_sentences(rows), reading)
    sequences, words_P = found.sequences, found.words_P
    windows = sequences.windows
    assert windows is not None, "sentences are read in windows"
    row_P = np.repeat(np.repeat(np.arange(len(rows)), windows.counts), sequences.sizes)
    known = np.flatnonzero(words_P != NO_WORD)
    place_P = found.starts[row_P[known]] + words_P[known]
    tokens_V = np.empty(len(known), dtype=np.int64)
    tokens_V[place_P] = known
    targets = None
    if rows.targets is not None:
        values_P = np.full(len(words_P), IGNORED, dtype=np.int64)
        values_P[tokens_V] = rows.targets.values
        targets = Targets(values_P, sequences.starts)
    return Encoded(sequences, targets, together=False, kept={"tokens": tokens_V})


def as_sentences(rows: Examples) -> list[TaggedSentence]:
    """Rows as sentences, with their neighbours' words."""
    none: list[Sequence[str]] = [()] * len(rows)
    parts = (rows.more[WORDS], rows.more.get(BEFORE, none), rows.more.get(AFTER, none))
    return [
        TaggedSentence(line, tuple(words), before=tuple(before), after=tuple(after))
        for line, words, before, after in zip(rows.lines, *parts, strict=True)
    ]


def outputs_of_words(encoded: Encoded, outputs: HeadOutputs) -> Outputs:
    """Those of the token that stands for each word, [V, C], of those of all tokens."""
    found: Outputs = outputs[encoded.kept["tokens"]]
    return found


def by_sentence(rows: Examples, values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Values of all words, as those of each sentence."""
    return np.split(values, np.cumsum([len(words) for words in rows.more[WORDS]])[:-1]) if len(rows) else []
