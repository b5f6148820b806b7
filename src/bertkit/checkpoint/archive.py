"""Zip archives with a model inside, as Google publishes them, opened where they are."""

from __future__ import annotations

import errno
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from bertkit.checkpoint.hf import CONFIG_FILE, OLD_CONFIG_FILE
from bertkit.checkpoint.sentence import MODULES_FILE
from bertkit.errors import UserError, damaged, listed, quoted

ENDING = ".zip"
MODEL_FILES = (CONFIG_FILE, OLD_CONFIG_FILE)
"""A folder with one of these is a model's."""

UNREAD = (".meta",)
"""Endings of files that no reader needs: TensorFlow's graph of a model may be larger than its weights."""

MOST_TIMES = 200
"""How much larger than the archive its content may be. Weights do not get a tenth of this; zeros, such as the
moments of a training of no steps, and texts do not get beyond it."""

SMALL = 1 << 20
"""Bytes that any archive may unpack to."""

LONGEST_NAME = 200
"""Bytes of a file's name; file systems stop at 255."""


def is_archive(path: Path) -> bool:
    """Whether `path` is a file that calls itself a zip archive."""
    return path.suffix.lower() == ENDING and path.is_file()


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder at `path`, or the temporary one of `unpacked` for an archive; complaints name `path`."""
    if not is_archive(path):
        yield path
        return
    with unpacked(path) as folder:
        try:
            yield folder
        except UserError as error:
            raise UserError(str(error).replace(str(folder), str(path))) from None


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """A temporary folder with the files of the one model in the archive; it is gone after the block.

    Sizes are compared with the archive's and with the free disk before anything is written, and nothing is
    written under a path that the archive chose.

    Raises:
        UserError: it is no zip archive or damaged, holds no model or several, or paths that leave it, or
            unpacks to more than any model would.
    """
    with tempfile.TemporaryDirectory(prefix="bertkit-") as name:
        folder = Path(name)
        try:
            with zipfile.ZipFile(path) as archive:
                members = _model(path, archive.infolist())
                content, packed = sum(each.file_size for each in members.values()), path.stat().st_size
                if content > max(SMALL, MOST_TIMES * packed):
                    raise UserError(
                        f"{path} has {packed:,} bytes and would unpack to {content:,}, which weights never "
                        "do: it is made to fill a disk."
                    )
                if content > (free := shutil.disk_usage(folder).free):
                    raise UserError(
                        f"{path} unpacks to {content:,} bytes and the disk of {tempfile.gettempdir()} has "
                        f"{free:,} free: set TMPDIR to a place with more, or unpack it yourself and name the "
                        "folder."
                    )
                for place, member in members.items():
                    target = folder / place
                    target.parent.mkdir(exist_ok=True)
                    # The library stops at the size that was declared and then compares the checksum.
                    with archive.open(member) as source, target.open("wb") as file:
                        shutil.copyfileobj(source, file, 1 << 20)
                    if target.stat().st_size != member.file_size:
                        raise zipfile.BadZipFile(f"{member.filename} is cut short")
        except OSError as error:
            if error.errno != errno.EINVAL:  # a place before the file's beginning
                raise
            raise damaged(path) from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
            raise UserError(
                f"{path} is no zip archive or damaged ({error}): copy it again from its source."
            ) from None
        yield folder


def _model(path: Path, members: list[zipfile.ZipInfo]) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files of the only model in the archive, by their places in its folder."""
    files: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in members:
        # Programs of Windows write its sign between folders.
        member.filename = member.filename.replace("\\", "/")
        inside = PurePosixPath(member.filename)
        _check_member(path, member, inside)
        if member.is_dir() or inside.suffix in UNREAD or "__MACOSX" in inside.parts:
            continue
        if inside in files or not inside.name:
            what = "a file stands in it twice" if inside.name else "a file in it has no name"
            raise UserError(f"{path} is damaged: {what}.")
        files[inside] = member
    if any(parent in files for inside in files for parent in inside.parents):
        raise UserError(f"{path} is damaged: a file in it is a folder too.")
    lists = {inside.parent for inside in files if inside.name == MODULES_FILE}
    models = lists | {inside.parent for inside in files if inside.name in MODEL_FILES}
    # The folders of sentence-transformers' modules are parts of the one that lists them.
    models = {parent for parent in models if parent.parent not in lists - {parent}}
    if len(models) != 1:
        several = listed(sorted(map(str, models)))
        there = f"several, in {several}: unpack it and name one" if models else "none"
        raise UserError(f"{path} should hold one model, a folder with {MODEL_FILES[-1]}, and has {there}.")
    (model,) = models
    depth = 2 if model in lists else 1
    return {
        inside.relative_to(model): member
        for inside, member in files.items()
        if model in list(inside.parents)[:depth]
    }


def _check_member(path: Path, member: zipfile.ZipInfo, inside: PurePosixPath) -> None:
    """Refuse a member that leads out of the folder, or is none that is read here."""
    if inside.is_absolute() or ".." in inside.parts or ":" in member.filename:
        raise UserError(f"{path} is unsafe: its path {quoted(member.filename)} leads out of the folder.")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"{path} is unsafe: {quoted(member.filename)} in it is a link to somewhere else.")
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
            f"{path} is encrypted or compressed in a rare way: unpack it yourself and name the folder."
        )
    longest = max((len(part.encode()) for part in inside.parts), default=0)
    if longest > LONGEST_NAME:
        raise UserError(f"{path} is damaged: a file in it has a name of {longest} bytes.")
