"""Writing whole: after a crash at any moment a path holds what it held before or what it holds now.

Everything is written beside its target, forced to the disk, and put in place by a rename. A folder that
replaces another needs two renames, for POSIX swaps no folders; a crash between them leaves the old folder
under its aside name, from where `recover_folder` takes it back.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bertkit.errors import UserError

_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")
"""Names that `tempfile` gives with the prefixes below."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system that names no file, such as of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replace_file(target: Path) -> Iterator[Path]:
    """Yields the path of a file to write; it becomes `target` unless the block raises."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with naming(target):
            yield temporary
        _publish(temporary)
        temporary.replace(target)
        _sync(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replace_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder to fill; it becomes `target` unless the block raises.

    Raises:
        UserError: `target` exists and `overwrite` is false, or it is a file.
    """
    recover_folder(target)
    if target.exists() and not overwrite:
        raise UserError(f"{target} exists; choose another folder or say --overwrite to replace it.")
    if target.exists() and not target.is_dir():
        raise UserError(f"{target} is a file; choose another name for the folder to write.")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with naming(target):
            yield temporary
        for path in [*temporary.rglob("*"), temporary]:
            _publish(path)
        if target.exists():
            target.rename(_aside(target))
        temporary.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(_aside(target), ignore_errors=True)


def recover_folder(target: Path) -> None:
    """Finish what a crash in `replace_folder` left: the old folder returns where the new one never came."""
    aside = _aside(target)
    if not aside.exists():
        return
    if target.exists():
        shutil.rmtree(aside)
    else:
        aside.rename(target)


def remove_leftovers(folder: Path) -> None:
    """Delete, anywhere in `folder`, what a writer that was killed had not put in place yet.

    Only for a folder that nobody else writes to.
    """
    for path in list(folder.rglob(".*")):
        if _TEMPORARY.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.old")


def _publish(path: Path) -> None:
    """Give what was written the permissions of any new file or folder, and force it to the disk.

    tempfile makes what it makes private, and so do libraries that write to a temporary file of their own
    (safetensors 0.8): only when all is written is it known who made it.
    """
    umask = os.umask(0)
    os.umask(umask)
    path.chmod((0o777 if path.is_dir() else 0o666) & ~umask)
    _sync(path)


def _sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
