"""Shards: a corpus as tokens on disk, memory-mapped, whole documents at a time.

A folder of shards holds `manifest.json`, the vocabulary's own files, `counts.npy`, and the shards
`train-00000.safetensors`, ..., `heldout-00000.safetensors`. A shard holds whole documents as arrays:

- `ids`: tokens end to end, uint16 where the vocabulary fits into it, else uint32;
- `sentences`: where each sentence begins in `ids`, and the end of the last, uint32 [sentences + 1];
- `documents`: which sentence each document begins with, and the number of sentences, uint32 [documents + 1];
- `words`, only where a segmenter said what a word is: 1 where a token begins a word, uint8 [tokens].

No `[CLS]` or `[SEP]` is stored, no sentence and no document is empty.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bertkit.data.files import sha256
from bertkit.errors import UserError
from bertkit.text.tokenizer import Tokenizer

Split = Literal["train", "heldout"]
Array = npt.NDArray[Any]

MANIFEST = "manifest.json"
COUNTS = "counts.npy"
FORMAT = 1


@dataclass(frozen=True)
class Documents:
    """Some documents in memory: tokens, and where sentences and documents begin.

    Attributes:
        ids: tokens end to end, [P].
        sentences: where each sentence begins in `ids`, and P, int64 [sentences + 1].
        documents: which sentence each document begins with, and their number, int64 [documents + 1].
        words: True where a token begins a word, [P]; None: the vocabulary's `##` says it.
    """

    ids: Array
    sentences: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int64]
    words: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.documents) - 1

    def select(self, keep: npt.NDArray[np.bool_]) -> Documents:
        """Those documents, in order, for which `keep`, bool [documents], is true."""
        if keep.all():
            return self
        sentences = np.repeat(keep, np.diff(self.documents))
        lengths = np.diff(self.sentences)
        tokens = np.repeat(sentences, lengths)
        return Documents(
            ids=self.ids[tokens],
            sentences=np.concatenate([[0], np.cumsum(lengths[sentences])]),
            documents=np.concatenate([[0], np.cumsum(np.diff(self.documents)[keep])]),
            words=None if self.words is None else self.words[tokens],
        )

    def part(self, begin: int, end: int) -> Documents:
        """The documents from `begin` to before `end`."""
        first, last = self.documents[begin], self.documents[end]
        tokens = slice(self.sentences[first], self.sentences[last])
        return Documents(
            ids=self.ids[tokens],
            sentences=self.sentences[first : last + 1] - self.sentences[first],
            documents=self.documents[begin : end + 1] - first,
            words=None if self.words is None else self.words[tokens],
        )

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each document, [documents]."""
        lengths: npt.NDArray[np.int64] = np.diff(self.sentences[self.documents])
        return lengths

    @classmethod
    def join(cls, parts: Iterable[Documents]) -> Documents:
        """The documents of all parts, in order, as one."""
        parts = list(parts)
        tokens = np.cumsum([0, *(len(part.ids) for part in parts)])
        sentences = np.cumsum([0, *(len(part.sentences) - 1 for part in parts)])
        some = [part.words for part in parts if part.words is not None]
        return cls(
            ids=np.concatenate([part.ids for part in parts]),
            sentences=np.concatenate(
                [*(p.sentences[:-1] + at for p, at in zip(parts, tokens, strict=False)), tokens[-1:]]
            ),
            documents=np.concatenate(
                [*(p.documents[:-1] + at for p, at in zip(parts, sentences, strict=False)), sentences[-1:]]
            ),
            words=np.concatenate(some) if len(some) == len(parts) else None,
        )


@dataclass(frozen=True)
class ShardEntry:
    """What the manifest says of one shard; `sha256` is of its file."""

    file: str
    split: Split
    bytes: int
    sha256: str
    documents: int
    sentences: int
    tokens: int


@dataclass(frozen=True)
class Shards:
    """A folder of shards that is complete.

    Attributes:
        folder: where it is.
        entries: its shards in their order, those to train on first.
        manifest: what `manifest.json` says.
        tokenizer: that cut the corpus.
    """

    folder: Path
    entries: tuple[ShardEntry, ...]
    manifest: dict[str, Any]
    tokenizer: Tokenizer

    def of(self, split: Split) -> tuple[ShardEntry, ...]:
        """The shards of a split, in order."""
        return tuple(entry for entry in self.entries if entry.split == split)

    def read(self, entry: ShardEntry) -> Documents:
        """The documents of one shard; see `map_documents`."""
        return map_documents(self.folder, entry)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How often each token stands in the training split, int64 [V].

        Raises:
            UserError: the file is missing or damaged, or is of another vocabulary.
        """
        path = self.folder / COUNTS
        try:
            counts: npt.NDArray[np.int64] = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{path} cannot be read ({error}); prepare the text again.") from None
        if counts.shape != (self.tokenizer.size,):
            raise UserError(f"{path} does not count the tokens of this vocabulary; prepare the text again.")
        return counts

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary's and all shards' own, in hexadecimal: the same for the same tokens."""
        digest = hashlib.sha256(self.tokenizer.fingerprint.encode())
        for entry in self.entries:
            digest.update(f"{entry.split} {entry.sha256}".encode())
        return digest.hexdigest()

    def verify(self) -> None:
        """Hash every shard.

        Raises:
            UserError: one is missing, or not the file that `prepare` wrote; all such are named.
        """
        wrong = [e.file for e in self.entries if sha256(self.folder / e.file) != e.sha256]
        if wrong:
            raise UserError(
                f"{self.folder}: {', '.join(wrong)} changed since the text was prepared; prepare it again."
            )


def is_shards(folder: Path) -> bool:
    """Whether `folder` is one that `prepare` finished."""
    return (folder / MANIFEST).is_file()


def open_shards(folder: Path) -> Shards:
    """Open a folder that `prepare` finished; sizes of files are checked, `Shards.verify` checks their bytes.

    Raises:
        UserError: it is no such folder, or its files are missing, cut short, or of another vocabulary.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{folder} is no folder of shards: it has no {MANIFEST}. `bertkit prepare` makes one; if it was "
            "interrupted, say the same command again."
        ) from None
    except NotADirectoryError:
        raise UserError(f"{folder} is a file; shards are a folder that `bertkit prepare` makes.") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); prepare the text again.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UserError(f"{path} is no manifest of format {FORMAT}; prepare the text again.")
    try:
        entries = tuple(ShardEntry(**entry) for entry in manifest["shards"])
        fingerprint = manifest["vocabulary"]["fingerprint"]
    except (KeyError, TypeError):
        raise UserError(f"{path} lacks what a manifest says; prepare the text again.") from None
    for entry in entries:
        path = folder / entry.file
        if not path.is_file():
            raise UserError(f"{path} is missing; copy it from where it was prepared, or prepare it again.")
        if path.stat().st_size != entry.bytes:
            raise UserError(
                f"{path} has {path.stat().st_size} bytes and {MANIFEST} says {entry.bytes}: it is cut short "
                "or another file; copy it again, or prepare the text again."
            )
    tokenizer = Tokenizer.from_folder(folder)
    if tokenizer.fingerprint != fingerprint:
        raise UserError(f"{folder}: the vocabulary is not the one that cut these shards; copy the right one.")
    return Shards(folder, entries, manifest, tokenizer)


def write_shard(path: Path, split: Split, documents: Documents, vocabulary_size: int) -> ShardEntry:
    """Write one shard, and force it to the disk; what the manifest is to say of it.

    Raises:
        OSError: with the name of the file, for example where the disk is full.
    """
    from safetensors.numpy import save

    arrays = {
        "ids": documents.ids.astype(token_type(vocabulary_size)),
        "sentences": documents.sentences.astype(np.uint32),
        "documents": documents.documents.astype(np.uint32),
    }
    if documents.words is not None:
        arrays["words"] = documents.words.astype(np.uint8)
    write_bytes(path, save(arrays))
    return ShardEntry(
        file=path.name,
        split=split,
        bytes=path.stat().st_size,
        sha256=sha256(path),
        documents=len(documents),
        sentences=len(documents.sentences) - 1,
        tokens=len(documents.ids),
    )


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file and force it to the disk.

    Raises:
        OSError: with the name of the file, which Python tells of opening only.
    """
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def token_type(vocabulary_size: int) -> type[np.unsignedinteger[Any]]:
    """The smallest unsigned type of shards that holds every id."""
    return np.uint16 if vocabulary_size <= 2**16 else np.uint32


def manifest_text(entries: Iterable[ShardEntry], tokenizer: Tokenizer, more: dict[str, Any]) -> str:
    """The content of `manifest.json`."""
    content = {
        "format": FORMAT,
        "vocabulary": {"fingerprint": tokenizer.fingerprint, "size": tokenizer.size},
        **more,
        "shards": [asdict(entry) for entry in entries],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def map_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a safetensors file, mapped into memory and read-only.

    The layout is that of https://github.com/huggingface/safetensors#format: eight bytes with the header's
    length, the header as JSON, the arrays' bytes. (The library's own reader copies.)

    Raises:
        UserError: the file is missing, damaged or cut short.
    """
    types = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32}
    try:
        whole = np.memmap(path, dtype=np.uint8, mode="r")
        size = int.from_bytes(whole[:8].tobytes(), "little")
        header = json.loads(whole[8 : 8 + size].tobytes())
        arrays = {}
        for name, spec in header.items():
            if name != "__metadata__":
                begin, end = (8 + size + at for at in spec["data_offsets"])
                if not 8 + size <= begin <= end <= len(whole):
                    raise ValueError("it is cut short")
                arrays[name] = whole[begin:end].view(types[spec["dtype"]])
    except FileNotFoundError:
        raise UserError(f"There is no shard {path}; prepare the text again.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"The shard {path} is damaged ({error}); prepare the text again.") from None
    return arrays


def map_documents(folder: Path, entry: ShardEntry) -> Documents:
    """The documents of one shard of a folder; the tokens stay on the disk until they are looked at.

    Raises:
        UserError: the shard is missing, cut short, or not what the manifest's `entry` says.
    """
    path = folder / entry.file
    arrays = map_arrays(path)
    sizes = {"ids": entry.tokens, "sentences": entry.sentences + 1, "documents": entry.documents + 1}
    for name, size in sizes.items():
        if name not in arrays or len(arrays[name]) != size:
            raise UserError(f"{path} is not the shard that {MANIFEST} describes; prepare the text again.")
    words = arrays.get("words")
    return Documents(
        ids=arrays["ids"],
        sentences=arrays["sentences"].astype(np.int64),
        documents=arrays["documents"].astype(np.int64),
        words=None if words is None else words.view(np.bool_),
    )


class Gatherer:
    """Gathers the documents of one split until they fill a shard.

    A shard ends after the first document with which it has `tokens` tokens, so that shards depend on the
    documents and their order alone.

    Args:
        folder: where the shards go.
        split: of which split they are.
        vocabulary_size: of the tokenizer.
        tokens: of a shard, at least; the last one may have fewer.
        pending: documents to begin with.
        written: shards of this split that are there already.
    """

    def __init__(
        self,
        folder: Path,
        split: Split,
        vocabulary_size: int,
        tokens: int,
        pending: Documents | None = None,
        written: int = 0,
    ) -> None:
        self._folder = folder
        self._split = split
        self._vocabulary_size = vocabulary_size
        self._full = tokens
        self._parts: list[Documents] = [pending] if pending is not None and len(pending) else []
        self._tokens = sum(len(part.ids) for part in self._parts)
        self._written = written

    def add(self, documents: Documents) -> list[ShardEntry]:
        """Add documents; the shards that were filled by them are written, and returned."""
        entries: list[ShardEntry] = []
        ends = documents.sentences[documents.documents[1:]]
        begin = taken = 0
        while begin < len(documents):
            # The first document that fills the shard.
            last = int(np.searchsorted(ends, self._full - self._tokens + taken))
            end = min(last + 1, len(documents))
            self._parts.append(documents.part(begin, end))
            self._tokens += int(ends[end - 1]) - taken
            begin, taken = end, int(ends[end - 1])
            if self._tokens >= self._full:
                entries += self.flush()
        return entries

    def flush(self) -> Sequence[ShardEntry]:
        """Write what is gathered, if anything is, and return its shard."""
        if not self._parts:
            return []
        path = self._folder / f"{self._split}-{self._written:05d}.safetensors"
        entry = write_shard(path, self._split, self.pending, self._vocabulary_size)
        self._parts, self._tokens = [], 0
        self._written += 1
        return [entry]

    @property
    def pending(self) -> Documents:
        """The documents that are in no shard yet; there must be some, see `__len__`."""
        if len(self._parts) > 1:
            self._parts = [Documents.join(self._parts)]
        return self._parts[0]

    def __len__(self) -> int:
        return sum(map(len, self._parts))
