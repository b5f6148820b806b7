"""Chunks of a corpus to tokens, on one processor or many, always in order."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from bertkit.data.files import text_problem, undecoded
from bertkit.data.shards import Documents, token_type
from bertkit.data.tables import Column, Row, json_cells, place
from bertkit.errors import UserError
from bertkit.text.sentences import Splitting
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.tokens import Cutter, Tokens, cutter_of

DIGEST = 16
"""Bytes of the hash of a document's text."""


@dataclass(frozen=True)
class Chunk:
    """Some documents of one file, in order.

    Attributes:
        path: the file, for messages.
        columns: what to take out of lines of JSON; empty where the rows are texts.
        rows: the documents.
        problems: line and sentence of what the reader could not read between them.
    """

    path: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    problems: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True)
class CutChunk:
    """What became of a chunk.

    Attributes:
        documents: those with at least one token, no sentence without one.
        digests: the hash of each one's text, uint8 [documents, DIGEST].
        problems: line and sentence of all that could not be read, in the order of lines.
        dropped: documents without a token.
        characters: of all documents' texts.
        vowel_signs: of them, those that the tokenizer drops, see `Tokenizer.dropped_signs`.
    """

    documents: Documents
    digests: npt.NDArray[np.uint8]
    problems: list[tuple[int, str]]
    dropped: int
    characters: int
    vowel_signs: int


class DocumentCutter:
    """Cuts chunks.

    Args:
        tokenizer: that cuts the text.
        splitting: how a document becomes sentences.
        words: a segmenter of words, a key of `CUTTERS`; None for BERT's own.

    Raises:
        UserError: the segmenter of words is not installed.
    """

    def __init__(self, tokenizer: Tokenizer, splitting: Splitting, words: str | None = None) -> None:
        self._split = splitting.splitter()
        self._length = splitting.length
        self._cut: Cutter = cutter_of(tokenizer, words)
        self._type = token_type(tokenizer.size)
        self._continues_V = tokenizer.continues_V
        self._dropped_signs = tokenizer.dropped_signs

    def __call__(self, chunk: Chunk) -> CutChunk:
        """The tokens of a chunk's documents."""
        problems = list(chunk.problems)
        texts = texts_of(chunk, problems)
        sentences: list[str] = []
        sizes = []
        for text in texts:
            before = len(sentences)
            sentences += self._split(text)
            sizes.append(len(sentences) - before)
        tokens = self._cut(sentences)
        lengths, of_documents = tokens.lengths, np.array(sizes, np.int64)
        if self._length is not None:
            lengths, of_documents = self._by_length(tokens, self._length)
        full = np.concatenate([[0], np.cumsum(lengths > 0)])
        bounds = np.concatenate([[0], np.cumsum(of_documents)])
        counts = full[bounds[1:]] - full[bounds[:-1]]
        digests = [
            hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=DIGEST).digest()
            for text, count in zip(texts, counts, strict=True)
            if count
        ]
        return CutChunk(
            documents=Documents(
                ids=tokens.ids.astype(self._type),
                sentences=np.concatenate([[0], np.cumsum(lengths[lengths > 0])]),
                documents=np.concatenate([[0], np.cumsum(counts[counts > 0])]),
                words=tokens.words,
            ),
            digests=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST),
            problems=sorted(problems, key=lambda problem: problem[0]),
            dropped=len(texts) - len(digests),
            characters=sum(map(len, texts)),
            vowel_signs=sum(map(self._dropped_signs, texts)),
        )

    def _by_length(self, tokens: Tokens, most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Lengths and numbers of sentences, where each document of `tokens` is cut after `most` tokens.

        It is cut before a word where one begins in time.
        """
        starts = ~self._continues_V[tokens.ids] if tokens.words is None else tokens.words
        # The last place at or before each token where a word begins.
        begins = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
        lengths: list[int] = []
        sizes: list[int] = []
        at = 0
        for length in tokens.lengths.tolist():
            end, before = at + length, len(lengths)
            while at < end:
                cut = min(at + most, end)
                if cut < end and begins[cut] > at:
                    cut = int(begins[cut])
                lengths.append(cut - at)
                at = cut
            sizes.append(len(lengths) - before)
        return np.array(lengths, np.int64), np.array(sizes, np.int64)


def texts_of(chunk: Chunk, problems: list[tuple[int, str]]) -> list[str]:
    """The texts of a chunk; what cannot be read is added to the problems."""
    texts = []
    for row in chunk.rows:
        text = row.text
        if chunk.columns:
            cells = json_cells(text, chunk.columns)
            if not isinstance(cells, str) and (problem := text_problem(cells[0])):
                cells = f"{chunk.columns[0]!r} {problem}."
            if isinstance(cells, str):
                problems.append((row.line, f"{place(chunk.path, row.line)}: {cells}"))
                continue
            text = cells[0]
        elif undecoded(text):
            text = _readable(text, row.line, chunk.path, problems)
        texts.append(text)
    return texts


def _readable(text: str, first: int, path: str, problems: list[tuple[int, str]]) -> str:
    """A document of plain text without the lines whose bytes are not UTF-8."""
    lines = []
    for number, line in enumerate(text.split("\n"), first):
        if problem := undecoded(line):
            problems.append((number, f"{place(path, number)}: {problem}"))
        else:
            lines.append(line)
    return "\n".join(lines)


# Chunks on their way for each worker: enough to keep it busy, and a bound of memory.
AHEAD = 3

Tag = TypeVar("Tag")


def cut_all(
    chunks: Iterable[tuple[Tag, Chunk]], make: Callable[[], DocumentCutter], workers: int
) -> Iterator[tuple[Tag, CutChunk]]:
    """Cut chunks, and yield what became of them in their order, each with its tag.

    Args:
        chunks: what to cut; read only some steps ahead. Where it raises, all before it are yielded first.
        make: the cutter, in each process one.
        workers: processes; 1 does it in this one.

    Raises:
        UserError: a worker died.
    """
    if workers == 1:
        cut = make()
        for tag, chunk in chunks:
            yield tag, cut(chunk)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start, initargs=(make,))
    waiting: deque[tuple[Tag, Future[CutChunk]]] = deque()
    failure: Exception | None = None
    source = iter(chunks)
    try:
        while True:
            while failure is None and len(waiting) < AHEAD * workers:
                try:
                    tag, chunk = next(source)
                except StopIteration:
                    break
                except Exception as error:
                    failure = error
                    break
                waiting.append((tag, pool.submit(_cut, chunk)))
            if not waiting:
                break
            tag, future = waiting.popleft()
            yield tag, future.result()
        if failure is not None:
            raise failure
    except BrokenProcessPool:
        raise UserError(
            "A worker was killed, perhaps because memory ran out; say the same command again with fewer "
            "--workers, and it goes on where it was."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_cutter: DocumentCutter


def _start(make: Callable[[], DocumentCutter]) -> None:
    """Make this process a worker."""
    global _cutter
    # Ctrl-C is for the process that keeps the journal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # As many processes as processors: threads of the tokenizer would be in each other's way.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _cutter = make()


def _cut(chunk: Chunk) -> CutChunk:
    return _cutter(chunk)


def _end_with_parent() -> None:
    """A worker of a process that was killed would wait for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
