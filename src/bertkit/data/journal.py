"""The journal of a half-done `prepare`: what has been seen, and how far it came, always of one moment.

It is a SQLite file in the folder of shards, deleted when all is done. A transaction holds everything that the
next documents depend on: the hashes of the documents so far, the position in the corpus, and the tokens that
are in no shard yet. So a run that was killed goes on as if nothing had happened; shards that were written
after the last transaction are written again, byte by byte the same. Whether a folder may be continued, with
the same text and options, is asked here too.
"""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.files import STANDARD_INPUT, prefix_sha256, sha256
from bertkit.data.shards import COUNTS, MANIFEST, Documents, ShardEntry, Split
from bertkit.errors import UserError
from bertkit.text.vocabulary_files import ADDED_FILE, SETTINGS_FILE, TOKENIZER_FILE, VOCABULARY_FILE

JOURNAL = "unfinished.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS problems (sentence TEXT);
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, content TEXT);
CREATE TABLE IF NOT EXISTS pending (split TEXT, name TEXT, content BLOB, PRIMARY KEY (split, name));
"""
_CACHE_KB = 64 * 1024


@dataclass(frozen=True)
class Position:
    """How far the corpus has been read.

    Attributes:
        file: files that are done.
        documents: rows taken from the next one, those that could not be read counted too.
        bytes: read of that one's own bytes.
        sha256: of these bytes; empty where none were.
    """

    file: int = 0
    documents: int = 0
    bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class FileEntry:
    """A file of the corpus that is done; `bytes` and `sha256` are of the file as it lies on the disk."""

    path: str
    bytes: int
    sha256: str


COUNTED = ("documents", "duplicates", "dropped", "characters", "vowel_signs")
"""The counts of a `State`."""


@dataclass
class State:
    """All that the next documents depend on, but for the hashes of those before.

    Attributes:
        position: in the corpus.
        files: those that are done.
        entries: of shards that are written, in the order of writing.
        documents: taken so far, duplicates and dropped ones not counted.
        duplicates: documents whose text stood before.
        dropped: documents without a token.
        characters: read so far.
        vowel_signs: of them, those that the tokenizer drops.
        pending: documents that are in no shard yet.
    """

    position: Position = field(default_factory=Position)
    files: list[FileEntry] = field(default_factory=list)
    entries: list[ShardEntry] = field(default_factory=list)
    documents: int = 0
    duplicates: int = 0
    dropped: int = 0
    characters: int = 0
    vowel_signs: int = 0
    pending: dict[Split, Documents] = field(default_factory=dict)


class Journal:
    """The journal in a folder, made where there is none. A context manager.

    Args:
        folder: of the shards; it must be there.

    Raises:
        UserError: another process is at work in the folder, or the file is no journal.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        with self._said():
            self._base = sqlite3.connect(self.path, timeout=1.0, isolation_level=None)
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._base.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
            self._base.executescript(_TABLES)
            self._base.execute("BEGIN IMMEDIATE")

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def read(self, name: str) -> Any:
        """What `save` was given under `name`; None if nothing was."""
        with self._said():
            row = self._base.execute("SELECT content FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def load(self) -> State:
        """The state that was saved last; that of the beginning if none was."""
        content = self.read("progress")
        if content is None:
            return State()
        position = Position(**content.pop("position"))
        files = [FileEntry(**entry) for entry in content.pop("files")]
        entries = [ShardEntry(**entry) for entry in content.pop("entries")]
        kinds = {"sentences": np.int64, "documents": np.int64, "words": np.bool_}
        arrays: dict[Split, dict[str, Any]] = {}
        for split, name, blob in self._base.execute("SELECT split, name, content FROM pending"):
            part, _, kind = name.partition(":")
            arrays.setdefault(split, {})[part] = np.frombuffer(blob, kinds.get(part, kind))
        pending = {split: Documents(**parts) for split, parts in arrays.items()}
        return State(position, files, entries, **content, pending=pending)

    def save(self, state: State, plan: Mapping[str, Any] | None = None) -> None:
        """Make all that was added so far permanent, together with the state; `plan` is what `read` returns.

        Raises:
            OSError: the disk is full.
        """
        progress = {
            "position": asdict(state.position),
            "files": [asdict(entry) for entry in state.files],
            "entries": [asdict(entry) for entry in state.entries],
            **{name: getattr(state, name) for name in COUNTED},
        }
        rows = [
            (name, json.dumps(content)) for name, content in {"progress": progress, **(plan or {})}.items()
        ]
        blobs = []
        for split, documents in state.pending.items():
            arrays = {
                f"ids:{documents.ids.dtype.str}": documents.ids,
                "sentences": documents.sentences.astype(np.int64),
                "documents": documents.documents.astype(np.int64),
                "words": documents.words,
            }
            blobs += [(split, name, a.tobytes()) for name, a in arrays.items() if a is not None]
        with self._said():
            self._base.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", rows)
            self._base.execute("DELETE FROM pending")
            self._base.executemany("INSERT INTO pending VALUES (?, ?, ?)", blobs)
            self._base.execute("COMMIT")
            self._base.execute("BEGIN IMMEDIATE")

    def see(self, digests: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Remember hashes, uint8 [documents, bytes]; True for those that were not there, bool [documents]."""
        insert = "INSERT OR IGNORE INTO seen VALUES (?)"
        with self._said():
            execute = self._base.execute
            new = [execute(insert, (digest.tobytes(),)).rowcount == 1 for digest in digests]
        return np.array(new, np.bool_)

    def note(self, problems: Iterable[str]) -> None:
        """Remember sentences about what could not be read."""
        with self._said():
            self._base.executemany("INSERT INTO problems VALUES (?)", ((problem,) for problem in problems))

    def problems(self) -> Iterator[str]:
        """All sentences of `note`, in order."""
        with self._said():
            for (sentence,) in self._base.execute("SELECT sentence FROM problems ORDER BY rowid"):
                yield sentence

    @contextmanager
    def _said(self) -> Iterator[None]:
        """What SQLite says in the words of everybody else."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise UserError(
                    f"Another process prepares text in {self.path.parent}; wait for it, or choose another "
                    "folder."
                ) from None
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise OSError(errno.ENOSPC, "No space left on device", str(self.path)) from None
            if error.sqlite_errorcode in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise OSError(errno.EACCES, "it may not be written to", str(self.path)) from None
            raise
        except sqlite3.DatabaseError:
            raise UserError(f"{self.path} is damaged; say --overwrite to begin anew.") from None


PROBLEMS = "problems.txt"
_OURS = (
    *(MANIFEST, f"{MANIFEST}.part", COUNTS, PROBLEMS, JOURNAL, f"{JOURNAL}-journal"),
    *(VOCABULARY_FILE, TOKENIZER_FILE, SETTINGS_FILE, ADDED_FILE),
    *("train-*.safetensors", "heldout-*.safetensors"),
)


def _ours(folder: Path) -> set[Path]:
    return {path for pattern in _OURS for path in folder.glob(pattern)}


def claim(folder: Path, overwrite: bool) -> None:
    """Make the folder ready to be filled or continued; what `overwrite` replaces is deleted.

    Raises:
        UserError: it is a file, holds finished shards that may not be replaced, or something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose another name for the folder of shards.")
    folder.mkdir(parents=True, exist_ok=True)
    ours = _ours(folder)
    others = sorted(path.name for path in folder.iterdir() if path not in ours)
    if others:
        raise UserError(f"{folder} holds other things, such as {others[0]}; choose another folder.")
    if not overwrite and (folder / MANIFEST).exists():
        raise UserError(f"{folder} holds finished shards; choose another folder or say --overwrite.")
    if not overwrite and ours and not (folder / JOURNAL).exists():
        raise UserError(
            f"{folder} holds files that are no half-done shards, such as {min(ours).name}; choose another "
            "folder or say --overwrite."
        )
    if overwrite:
        # The manifest first: without it nobody takes the rest for shards.
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in ours:
            path.unlink(missing_ok=True)


def abandon(folder: Path) -> None:
    """Delete all that was written, and the folder."""
    for path in _ours(folder):
        path.unlink()
    folder.rmdir()


def check_same(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any], state: State) -> None:
    """Raise `UserError` unless a half-done folder may be continued; all differences are listed.

    Args:
        folder: the one.
        before: files and options of the call that began it.
        now: those of this call.
        state: how far it came.
    """
    if str(STANDARD_INPUT) in before["files"]:
        raise UserError(
            f"{folder} was begun from standard input, which cannot be read again; say --overwrite to begin "
            "anew."
        )
    differences = _of_options(before["options"], now["options"])
    if before["files"] == now["files"]:
        differences += _of_content(now["files"], state)
    else:
        old, new = before["files"], now["files"]
        differences += [f"{name} is no longer among the files" for name in old if name not in new]
        differences += [f"{name} was not among the files" for name in new if name not in old]
        if set(old) == set(new):
            differences.append("the order of the files")
    if differences:
        raise UserError(
            f"{folder} is half done and cannot be continued, for this has changed: {'; '.join(differences)}. "
            "Undo that, or say --overwrite to begin anew."
        )


def _of_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    differences = []
    for name in now:
        if isinstance(now[name], Mapping):
            differences += _of_options(before[name], now[name])
        elif before.get(name) != now[name]:
            differences.append(f"{name} was {before.get(name)!r} and is {now[name]!r}")
    return differences


def _of_content(files: list[str], state: State) -> list[str]:
    """Files that are not what was read of them; the last one may have grown behind the place it came to."""
    changed = []
    for entry in state.files:
        path = Path(entry.path)
        size = path.stat().st_size
        if size != entry.bytes:
            changed.append(f"{path} had {entry.bytes:,} bytes and has {size:,}")
        elif sha256(path) != entry.sha256:
            changed.append(f"{path} has another content")
    begun = state.position
    if begun.bytes and prefix_sha256(path := Path(files[begun.file]), begun.bytes) != begun.sha256:
        changed.append(f"{path} has another content")
    return changed
