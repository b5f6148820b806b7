"""Chunks of a corpus to pieces, on one processor or many, always in order."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, parent_process
from typing import TypeVar

from bertkit.data.cutting import Chunk, Cut, Cutting, DocumentCutter
from bertkit.errors import UserError

# Chunks on their way for each worker: enough to keep it busy, and a bound of memory.
AHEAD = 3

Tag = TypeVar("Tag")


def cut_all(chunks: Iterable[tuple[Tag, Chunk]], cutting: Cutting, workers: int) -> Iterator[tuple[Tag, Cut]]:
    """Cut chunks, and yield what became of them in their order, each with its tag.

    Args:
        chunks: what to cut; read only some steps ahead. Where it raises, all before it are yielded first.
        cutting: how.
        workers: processes; 1 does it in this one.

    Raises:
        UserError: a worker died.
    """
    if workers == 1:
        cut = DocumentCutter(cutting)
        for tag, chunk in chunks:
            yield tag, cut(chunk)
        return
    pool = ProcessPoolExecutor(workers, initializer=_start, initargs=(cutting,))
    waiting: deque[tuple[Tag, Future[Cut]]] = deque()
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


_cutter: Callable[[Chunk], Cut]


def _start(cutting: Cutting) -> None:
    """Make this process a worker."""
    global _cutter
    # Ctrl-C is for the process that keeps the journal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # As many processes as processors: threads of the tokenizer would be in each other's way.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _cutter = DocumentCutter(cutting)


def _cut(chunk: Chunk) -> Cut:
    return _cutter(chunk)


def _end_with_parent() -> None:
    """A worker of a process that was killed would wait for ever."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
