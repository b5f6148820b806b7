"""Documents to sequences: which tokens make segment a and segment b of each.

A sequence is two spans of tokens in a corpus, so that cutting a corpus again, for each epoch and each
length, moves no text.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.data.packing import longest_first, with_specials
from bertkit.data.shards import Documents
from bertkit.errors import UserError
from bertkit.recipe.pretrain import Pairs
from bertkit.text.tokenizer import Tokenizer

SHORTEST = 5
"""The shortest length of sequences: three special tokens, and a token for each segment."""
SHORTEST_TARGET = 2
"""Tokens of text that the shortest of the short sequences aims at (google-research/bert)."""

FOLLOWS, DOES_NOT, NO_PAIR = 0, 1, -1


@dataclass(frozen=True)
class Spans:
    """K sequences as spans of tokens in `Documents.ids`.

    Attributes:
        first: begin and end of segment a, int64 [K, 2].
        second: begin and end of segment b, equal where there is none, int64 [K, 2].
        labels: 0, b follows a; 1, it does not (nsp: it is of another document; sop: the two are swapped);
            -1, there is no pair; int8 [K].
        document: the document of segment a, int64 [K].
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int8]
    document: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class _Cut:
    """The rows found so far, and what every way of finding them needs.

    `starts` are the sentences' first tokens and the end of the last; `documents` the documents' first
    sentences and the end of the last. Both are lists: Python reads those several times faster than arrays.
    """

    starts: list[int]
    documents: list[int]
    length: int
    short_share: float
    coins: Random
    rows: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)

    def target(self, room: int) -> int:
        """Tokens of text to aim at: all that have room, or, `short_share` of the time, some number below."""
        if self.coins.random() < self.short_share:
            return SHORTEST_TARGET + self.below(room - SHORTEST_TARGET + 1)
        return room

    def below(self, count: int) -> int:
        """A random one of 0 ... count - 1."""
        return int(self.coins.random() * count)

    def add_pair(self, document: int, label: int, a: tuple[int, int], b: tuple[int, int]) -> None:
        """A row of two segments, cut to length: the longer one loses tokens, each from a random end.

        `truncate_seq_pair` of google-research/bert's create_pretraining_data.py without its loop: as each
        loss is a throw of a coin, the number lost in front is binomial.
        """
        sizes = a[1] - a[0], b[1] - b[0]
        kept = longest_first(*sizes, self.length - 3)
        if kept != sizes:
            a, b = self._trim(a, sizes[0] - kept[0]), self._trim(b, sizes[1] - kept[1])
        self.rows.append((*a, *b, label, document))

    def _trim(self, span: tuple[int, int], lost: int) -> tuple[int, int]:
        if not lost:
            return span
        front = self.coins.getrandbits(lost).bit_count()
        return span[0] + front, span[1] - (lost - front)


def build_spans(
    documents: Documents, pairs: Pairs, *, length: int, short_share: float, random: np.random.Generator
) -> Spans:
    """Cut documents into sequences, in the order of the documents.

    Args:
        documents: what to cut. Pairs of `nsp` come from two of these, so give many at a time.
        pairs: a key of `PAIRS`.
        length: tokens of a sequence at most, the special ones counted.
        short_share: chance to aim at a random shorter length: with pairs drawn once for a document, as in
            the original, without them once for a sequence.
        random: decides everything; the same state and documents give the same spans.

    Raises:
        UserError: `length` is below `SHORTEST`, or `nsp` has fewer than two documents.
    """
    if length < SHORTEST:
        raise UserError(
            f"Sequences of {length} tokens have no room for two segments beside three special tokens; "
            f"take a length of {SHORTEST} or more."
        )
    cut = _Cut(
        starts=documents.sentences.tolist(),
        documents=documents.documents.tolist(),
        length=length,
        short_share=short_share,
        coins=Random(int(random.integers(2**63))),
    )
    PAIRS[pairs](cut)
    table = np.array(cut.rows, dtype=np.int64).reshape(-1, 6)
    return Spans(
        first=table[:, 0:2].copy(),
        second=table[:, 2:4].copy(),
        labels=table[:, 4].astype(np.int8),
        document=table[:, 5].copy(),
    )


def _cut_nsp(cut: _Cut) -> None:
    """Next sentence prediction as in Devlin et al. 2018.

    `create_instances_from_document` of google-research/bert's create_pretraining_data.py: sentences are
    gathered until the target length is reached, and divided in two at a random sentence. In half of the
    cases, and always where there is one sentence only, the second part is replaced by sentences of another
    document, and its own are gathered again. (The original looks for another document ten times and then
    takes the same one; here it is always another.)
    """
    starts, count = cut.starts, len(cut.documents) - 1
    if count < 2:
        raise UserError(
            f"Next sentence prediction needs sentences of another document, and there "
            f"{'is 1 document only' if count else 'are no documents'}; say `--pairs none`, or separate the "
            "documents of the text."
        )
    for document in range(count):
        at, end = cut.documents[document], cut.documents[document + 1]
        target = cut.target(cut.length - 3)
        while at < end:
            stop = bisect_left(starts, starts[at] + target, at + 1, end)
            middle = at + 1 + (cut.below(stop - at - 1) if stop - at > 1 else 0)
            a = starts[at], starts[middle]
            if stop - at == 1 or cut.coins.random() < 0.5:
                other = cut.below(count - 1)
                b = _from_document(cut, other + (other >= document), target - (a[1] - a[0]))
                cut.add_pair(document, DOES_NOT, a, b)
                at = middle
            else:
                cut.add_pair(document, FOLLOWS, a, (starts[middle], starts[stop]))
                at = stop


def _from_document(cut: _Cut, document: int, target: int) -> tuple[int, int]:
    """Sentences from a random one on, until there are `target` tokens; one sentence at least."""
    begin, end = cut.documents[document], cut.documents[document + 1]
    sentence = begin + cut.below(end - begin)
    stop = bisect_left(cut.starts, cut.starts[sentence] + target, sentence + 1, end)
    return cut.starts[sentence], cut.starts[stop]


def _cut_sop(cut: _Cut) -> None:
    """Sentence order prediction: two consecutive parts, swapped in half of the cases.

    Lan et al. 2019 (ALBERT, arXiv:1909.11942), section 3.1; `create_instances_from_document` of
    google-research/albert's create_pretraining_data.py. That program completes a single sentence from
    another document; here it is divided in itself, so that every label is about order. One of a single
    token cannot be, and is left out.
    """
    starts = cut.starts
    for document in range(len(cut.documents) - 1):
        at, end = cut.documents[document], cut.documents[document + 1]
        target = cut.target(cut.length - 3)
        while at < end:
            stop = bisect_left(starts, starts[at] + target, at + 1, end)
            begin, finish = starts[at], starts[stop]
            if stop - at > 1:
                middle = starts[at + 1 + cut.below(stop - at - 1)]
            else:
                middle = begin + 1 + cut.below(finish - begin - 1)
            at = stop
            if finish - begin < 2:
                continue
            a, b = (begin, middle), (middle, finish)
            if cut.coins.random() < 0.5:
                cut.add_pair(document, DOES_NOT, b, a)
            else:
                cut.add_pair(document, FOLLOWS, a, b)


def _cut_none(cut: _Cut) -> None:
    """No pairs: consecutive whole sentences of one document, until the next does not fit.

    A sentence that is longer than a sequence is cut into parts, which are then sentences. A sequence that
    is to be shorter has one sentence at least. A single token that neither what is before it nor what is
    behind it has room for is left out.
    """
    room = cut.length - 2
    for document in range(len(cut.documents) - 1):
        whole = cut.starts[cut.documents[document] : cut.documents[document + 1] + 1]
        starts = [at for begin, end in pairwise(whole) for at in range(begin, end, room)] + whole[-1:]
        at, end = 0, len(starts) - 1
        while at < end:
            stop = bisect_right(starts, starts[at] + cut.target(room), at + 1) - 1
            stop = max(stop, at + 1)
            if starts[stop] - starts[at] > 1:
                cut.rows.append((starts[at], starts[stop], starts[stop], starts[stop], NO_PAIR, document))
            at = stop


PAIRS: dict[Pairs, Callable[[_Cut], None]] = {"nsp": _cut_nsp, "sop": _cut_sop, "none": _cut_none}
"""Objective of pairs -> what adds its sequences to the rows."""


def lay_out(
    documents: Documents, spans: Spans, rows: Sequence[int] | npt.NDArray[np.int64], tokenizer: Tokenizer
) -> tuple[Sequences, npt.NDArray[np.bool_] | None]:
    """Some of the sequences with their special tokens: `[CLS] a [SEP]`, or `[CLS] a [SEP] b [SEP]`.

    Args:
        documents: that were cut.
        spans: the sequences.
        rows: which of them, in which order.
        tokenizer: knows the special tokens.

    Returns:
        The sequences; and where a token begins a word, True at special tokens, [tokens], or None where the
        documents do not say it.
    """
    rows = np.asarray(rows, dtype=np.int64)
    first, second = spans.first[rows], spans.second[rows]
    paired = second[:, 1] > second[:, 0]
    sequences, to, source = with_specials(documents.ids, first, second, paired, tokenizer)
    words = None
    if documents.words is not None:
        words = np.ones(len(sequences.ids), dtype=np.bool_)
        words[to] = documents.words[source]
    return sequences, words
