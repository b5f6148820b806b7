"""Documents to shards of about equal size: the writer's side of `bertkit.data.shards`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bertkit.data.shards import Documents, ShardEntry, Split, entry_of, write_shard


class Gatherer:
    """Gathers the documents of one split until they fill a shard.

    A shard ends after the first document with which it has `pieces` pieces, so that shards depend on the
    documents and their order alone.

    Args:
        folder: where the shards go.
        split: of which split they are.
        vocabulary_size: of the tokenizer.
        pieces: of a shard, at least; the last one may have fewer.
        pending: documents to begin with.
        written: shards of this split that are there already.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        vocabulary_size: int,
        pieces: int,
        pending: Documents | None = None,
        written: int = 0,
    ) -> None:
        self._folder = folder
        self._split = split
        self._vocabulary_size = vocabulary_size
        self._full = pieces
        self._parts: list[Documents] = [pending] if pending is not None and len(pending) else []
        self._pieces = sum(len(part.ids) for part in self._parts)
        self._written = written

    def add(self, documents: Documents) -> list[ShardEntry]:
        """Add documents; the shards that were filled by them are written, and returned."""
        entries: list[ShardEntry] = []
        ends = documents.sentences[documents.documents[1:]]
        begin = taken = 0
        while begin < len(documents):
            # The first document that fills the shard.
            last = int(np.searchsorted(ends, self._full - self._pieces + taken))
            end = min(last + 1, len(documents))
            self._parts.append(documents.part(begin, end))
            self._pieces += int(ends[end - 1]) - taken
            begin, taken = end, int(ends[end - 1])
            if self._pieces >= self._full:
                entries += self.flush()
        return entries

    def flush(self) -> Sequence[ShardEntry]:
        """Write what is gathered, if anything is, and return its shard."""
        if not self._parts:
            return []
        documents = self.pending
        path = self._folder / f"{self._split}-{self._written:05d}.safetensors"
        write_shard(path, documents, self._vocabulary_size)
        self._parts, self._pieces = [], 0
        self._written += 1
        return [entry_of(path, self._split, documents)]

    @property
    def pending(self) -> Documents:
        """The documents that are in no shard yet; there must be some, see `__len__`."""
        if len(self._parts) > 1:
            self._parts = [Documents.join(self._parts)]
        return self._parts[0]

    def __len__(self) -> int:
        return sum(map(len, self._parts))
