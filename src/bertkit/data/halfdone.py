"""The folder that `prepare` fills: whose it is, what is in it, and whether it may be continued."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertkit.data.chunks import prefix_sha256
from bertkit.data.files import STANDARD_INPUT
from bertkit.data.journal import JOURNAL, State
from bertkit.data.shards import COUNTS, MANIFEST, sha256
from bertkit.errors import UserError
from bertkit.text.tokenizer import SETTINGS_FILE, TOKENIZER_FILE, VOCABULARY_FILE

PROBLEMS = "problems.txt"
_OURS = (
    *(MANIFEST, f"{MANIFEST}.part", COUNTS, PROBLEMS, JOURNAL, f"{JOURNAL}-journal"),
    *(VOCABULARY_FILE, TOKENIZER_FILE, SETTINGS_FILE),
    *("train-*.safetensors", "heldout-*.safetensors"),
)


def claim(folder: Path, overwrite: bool) -> None:
    """Make the folder ready to be filled or continued; what `overwrite` replaces is deleted.

    Raises:
        UserError: it is a file, holds finished shards that may not be replaced, or something else.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; choose another name for the folder of shards.")
    folder.mkdir(parents=True, exist_ok=True)
    ours = {path for pattern in _OURS for path in folder.glob(pattern)}
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


def finish(folder: Path) -> None:
    """Delete what only a half-done folder needs."""
    (folder / JOURNAL).unlink(missing_ok=True)


def abandon(folder: Path) -> None:
    """Delete all that was written, and the folder."""
    for pattern in _OURS:
        for path in folder.glob(pattern):
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
        differences += _of_names(before["files"], now["files"])
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


def _of_names(before: list[str], now: list[str]) -> list[str]:
    gone = [f"{name} is no longer among the files" for name in before if name not in now]
    new = [f"{name} was not among the files" for name in now if name not in before]
    return gone + new or ["the order of the files"]


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
