"""Files with a word a line and its tag beside it, as CoNLL's shared tasks have them, and CoNLL-U."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

from bertkit.data.files import open_bytes, read_lines, text_problem, undecoded
from bertkit.data.tables import BadRow, Column, bad_row
from bertkit.errors import UserError, quoted

DOCUMENT = "-DOCSTART-"
LONGEST = 1_000
"""Words of a sentence beyond which a file has no sentence breaks there; it is cut then, see `cut_long`."""
STOPS = frozenset(".!?。！？")
_HEAD = 2_000
"""Lines from which the layout of a file is told."""
_CELLS = re.compile(" +")
# Of a CoNLL-U file: words that stand for several words, as 8-9, and words that are not in the text, as 8.1.
_BESIDE = re.compile(r"[0-9]+[-.][0-9]+$")
_COMMENT = re.compile(r"#\s*(\S+\s*=|newdoc\b|newpar\b|sent_id\b|text\b)")
_CONLLU_COLUMNS, _CONLLU_TAG, _NUMBERED_TAG = 10, 4, 3


@dataclass(frozen=True)
class TaggedSentence:
    """A sentence as it stands in a file.

    Attributes:
        line: where it begins, from 1.
        words: its W words; of a text of one's own, those of `text.words.word_spans`.
        tags: W of them, as in the file; None where they were not asked for.
        lines: where each word stands; empty where all stand in `line`.
        document: a number that all sentences of a document have, and no others of the file.
        text: the text that words were cut from; "" where they came as words.
        spans: from where to where in `text` each word stands.
        goes_on: whether it is the rest of the one before, which was cut: see `cut_long`.
        before: words that stand before it in the document, where context is asked for.
        after: likewise behind it.
        cells: of a row of a table all its cells, where they are asked for.
    """

    line: int
    words: tuple[str, ...]
    tags: tuple[str, ...] | None = None
    lines: tuple[int, ...] = ()
    document: int = 0
    text: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    goes_on: bool = False
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    cells: Mapping[str, Any] = field(default_factory=dict)

    def part(self, start: int, end: int) -> TaggedSentence:
        """Some of the words, of a sentence that came as words."""
        return replace(
            self,
            line=self.lines[start],
            words=self.words[start:end],
            tags=None if self.tags is None else self.tags[start:end],
            lines=self.lines[start:end],
            goes_on=self.goes_on or start > 0,
        )


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are made.

    Attributes:
        tabs: whether tabs are between cells, else spaces.
        width: cells of a line.
        numbered: whether the first cell is the number of the word, as in CoNLL-U.
        word: which cell is the word, from 0.
        tag: which is its tag; None where there is none.
    """

    tabs: bool
    width: int
    numbered: bool = False
    word: int = 0
    tag: int | None = None

    def cells(self, line: str) -> list[str]:
        """Those of a line; spaces at its end are none."""
        return line.split("\t") if self.tabs else _CELLS.split(line.rstrip(" "))

    def is_comment(self, line: str) -> bool:
        """Whether a line says something about words; a word may begin with the same sign."""
        if not line.startswith("#"):
            return False
        if self.tabs:
            return "\t" not in line
        return _COMMENT.match(line) is not None or len(self.cells(line)) != self.width


def read_conll(
    path: str | Path,
    *,
    word: Column | None = None,
    tag: Column | None = None,
    tags: bool = True,
    encoding: str = "",
) -> Iterator[TaggedSentence | BadRow]:
    """Read the sentences of a file that has a word a line.

    Cells stand between tabs, or between spaces where a file has no tabs. An empty line ends a sentence, a
    line `-DOCSTART-` a document, and so does a comment `# newdoc`. The word is the first cell and its tag the
    last; of a file whose lines are numbered, as in CoNLL-U, they are the second and the third, or of ten
    cells the fourth (UPOS). There, words of several words (8-9) and words that are not in the text (8.1) are
    passed over: the words that have a tag are all there.

    A sentence with a line that cannot be read is a `BadRow`.

    Args:
        path: the file, compressed or not.
        word: the number of the column of words, from 1; None: as above.
        tag: of the column of tags.
        tags: whether tags are read.
        encoding: of the text, as in `read_lines`.

    Raises:
        UserError: there is no such file, no line with a word in it, or not the columns.
    """
    path = Path(path)
    with open_bytes(path) as stream:
        lines = read_lines(stream, str(path), encoding)
        head = list(islice(lines, _HEAD))
        layout = layout_of(
            path, [line for _, line in head], _number(path, word), _number(path, tag), tags=tags
        )
        for sentence in _sentences(path, chain(head, lines), layout):
            yield from [sentence] if isinstance(sentence, BadRow) else cut_long(sentence)


def conll_layout(
    path: Path, *, word: Column | None = None, tag: Column | None = None, encoding: str = ""
) -> Layout:
    """How the lines of a file with tags are made; arguments and errors are those of `read_conll`."""
    with open_bytes(path) as stream:
        head = [line for _, line in islice(read_lines(stream, str(path), encoding), _HEAD)]
    return layout_of(path, head, _number(path, word), _number(path, tag))


def _number(path: Path, column: Column | None) -> int | None:
    if isinstance(column, str) and not column.isdecimal():
        raise UserError(
            f"{path}: the columns of such a file have no names, so there is no column {quoted(column)}; give "
            "its number from 1."
        )
    return None if column is None else int(column)


def layout_of(
    path: Path, lines: Sequence[str], word: int | None, tag: int | None, *, tags: bool = True
) -> Layout:
    """How the lines of a file are made, from its first; see `read_conll`."""
    told = [line for line in lines if line.strip() and not line.startswith(DOCUMENT)]
    tabbed = [line for line in told if "\t" in line]
    plain = Layout(tabs=bool(tabbed), width=0)
    # A word may begin with the sign of comments; most lines are no comments.
    counted = Counter(len(plain.cells(line)) for line in tabbed or told if not _COMMENT.match(line))
    if not counted:
        raise UserError(f"{path} is empty; at least one line with a word is needed.")
    layout = replace(plain, width=counted.most_common(1)[0][0])
    rows = [layout.cells(line) for line in told if not layout.is_comment(line)]
    numbered = _numbered([row for row in rows if len(row) == layout.width])
    usual = layout.width
    if numbered:
        usual = _CONLLU_TAG if layout.width == _CONLLU_COLUMNS else min(_NUMBERED_TAG, layout.width)
    places = {"words": word or (2 if numbered else 1)}
    if tags:
        places["tags"] = tag or usual
    for what, place in places.items():
        if not 1 <= place <= layout.width:
            raise UserError(f"{path} has no column {place} of {what}: its columns are 1 to {layout.width}.")
    if tags and places["tags"] == places["words"]:
        raise UserError(
            f"{path} has words in column {places['words']}, and no column of tags beside it: each line needs "
            "a word and its tag."
        )
    return replace(
        layout, numbered=numbered, word=places["words"] - 1, tag=places["tags"] - 1 if tags else None
    )


def _numbered(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first cells of lines count the words of each sentence."""
    firsts = [row[0] for row in rows if len(row) > 1 and not _BESIDE.match(row[0])]
    if not firsts or firsts[0] != "1":
        return False
    return all(
        here.isdecimal() and (here == "1" or int(here) == int(last) + 1) for last, here in pairwise(firsts)
    )


def _sentences(
    path: Path, lines: Iterable[tuple[int, str]], layout: Layout
) -> Iterator[TaggedSentence | BadRow]:
    """The sentences of a file; of one with several bad lines the first is told."""
    document, found, problem = 0, _Words(), None
    for number, line in chain(lines, [(0, "")]):
        begins = line.startswith(DOCUMENT)
        comment = layout.is_comment(line)
        if begins or (not comment and not line.strip()):
            if problem:
                yield problem
            elif found.words:
                yield found.sentence(document)
            found, problem = _Words(), None
            document += begins
        elif comment:
            document += layout.numbered and line.removeprefix("#").split()[:1] == ["newdoc"]
        elif problem is None:
            reason = found.add(line, number, layout)
            problem = bad_row(path, number, reason) if reason else None


class _Words:
    """Those of one sentence, so far."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.tags: list[str] = []
        self.lines: list[int] = []

    def add(self, line: str, number: int, layout: Layout) -> str:
        """Take a line; or say what is wrong with it, as the end of a sentence."""
        cells = layout.cells(line)
        if layout.numbered and _BESIDE.match(cells[0]):
            return ""
        if reason := _problem(line, cells, layout):
            return reason
        self.words.append(cells[layout.word])
        self.lines.append(number)
        if layout.tag is not None:
            self.tags.append(cells[layout.tag].strip())
        return ""

    def sentence(self, document: int) -> TaggedSentence:
        tags = tuple(self.tags) if self.tags else None
        lines = tuple(self.lines)
        return TaggedSentence(lines[0], tuple(self.words), tags, lines=lines, document=document)


def _problem(line: str, cells: Sequence[str], layout: Layout) -> str:
    if problem := undecoded(line):
        return problem
    if len(cells) != layout.width:
        columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        return (
            f"{columns} where most lines have {layout.width}; a line is a word and its tag, and an empty "
            "line ends a sentence."
        )
    word = cells[layout.word]
    if not word.strip():
        return "there is no word before the tag; fill it in or remove the line."
    if problem := text_problem(word):
        return f"the word {problem}; mend or remove the line."
    return (
        ""
        if layout.tag is None
        else tag_problem(cells[layout.tag].strip(), unset="_" if layout.numbered else "")
    )


def tag_problem(tag: str, *, unset: str = "") -> str:
    """Why a text cannot be a tag, as the end of a sentence; "" where it can."""
    if tag in ("", unset):
        return "the word has no tag; fill it in or remove the sentence."
    if len(tag.split()) > 1:
        return f"the tag {quoted(tag)} holds a space; write another sign there, such as _."
    return ""


def cut_long(sentence: TaggedSentence, most: int = LONGEST) -> list[TaggedSentence]:
    """A sentence of a file, as several where it has more than `most` words, as in a file without breaks.

    It is cut behind every full stop; and where none comes for `most` words, at the next place that can be.
    No cut is where an entity may go on: it has `O` on one side at least, or tags without a hyphen.
    """
    words, tags = sentence.words, sentence.tags
    if len(words) <= most:
        return [sentence]
    starts = [0]
    for place in range(1, len(words)):
        inside = tags is not None and "-" in tags[place - 1] and "-" in tags[place]
        if not inside and (words[place - 1] in STOPS or place - starts[-1] >= most):
            starts.append(place)
    return [sentence.part(start, end) for start, end in zip(starts, [*starts[1:], len(words)], strict=True)]
