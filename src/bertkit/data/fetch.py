"""Fetches a named data set: downloads that go on where they were cut, checked, unpacked and put in place.

The transfer and the digests are pooch's (https://www.fatiando.org/pooch).
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

from bertkit.data.files import sha256
from bertkit.data.make import MAKERS
from bertkit.data.sources import Download, Source
from bertkit.errors import UserError, quoted

PARTS = ".fetch"
"""In the folder of a data set: what is not finished. It goes when all is."""
TRIES = 3
"""Times that a cut download is taken up again before that is said."""
CHUNK = 2**16
KEPT, MADE = "kept", "made"
"""In `PARTS`: what of the downloads is kept, and the tables that are made of that."""


class FetchListener:
    """What a person sees of it: nothing, unless a method is replaced."""

    def began(self, name: str, done: int, total: int) -> None:
        """The download of that file goes on from `done` bytes of `total`, 0 where that is not known."""

    def moved(self, count: int) -> None:
        """So many more bytes are here."""


def fetch_source(
    source: Source,
    folder: Path,
    *,
    task: str,
    local: Path | None = None,
    listener: FetchListener | None = None,
) -> dict[str, Any]:
    """Put the files of a data set into `folder`.

    Args:
        source: where they come from.
        folder: made where it is missing; what it has of these files is replaced.
        task: what messages call the data set.
        local: a folder in which the downloads already are, by the names that their addresses end with.
        listener: is told how far it has come.

    Returns:
        `folder`, `files` (their names, in order), and `downloads`: of each `url`, `bytes`, `sha256`, and
        `checked`, whether that, or another digest, was known before.

    Raises:
        UserError: there is no network, the address is gone, the transfer was cut too often, the digest is
            another, the disk is full, or an archive lacks a member; it says how to go on, and by hand.
    """
    if source.manual:
        raise UserError(f"{task} cannot be fetched: {source.how_to_get(task).format(folder=folder)}")
    work = folder / PARTS
    with _writing(folder, source, task):
        work.mkdir(parents=True, exist_ok=True)
        for name in (KEPT, MADE):
            shutil.rmtree(work / name, ignore_errors=True)
        told = []
        for download in source.downloads:
            if local is None:
                path = _downloaded(download, work, source.how_to_get(task), listener or FetchListener())
            else:
                path = local / download.name
            told.append(_checked(download, path, keep=local is not None))
            _unpack(download, path, work / KEPT)
        files = _made(source.maker, work)
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (folder / name).is_dir():
                shutil.rmtree(folder / name)
            path.replace(folder / name)
        shutil.rmtree(work)
    return {"task": task, "folder": str(folder), "files": list(files), "downloads": told}


@contextmanager
def _writing(folder: Path, source: Source, task: str) -> Iterator[None]:
    """Turns what the disk refuses into a sentence with the steps by hand."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{task} cannot be put into {folder}: {error.strerror or error}. Make room or choose another "
            f"place with --to; what is fetched stays, and the same command goes on. By hand: "
            f"{source.how_to_get(task).format(folder=folder)}"
        ) from None


def _downloaded(download: Download, work: Path, by_hand: str, listener: FetchListener) -> Path:
    """The file of an address: what is there of it is not fetched again."""
    whole, part = work / download.name, work / f"{download.name}.part"
    if whole.is_file():
        return whole
    for attempt in range(TRIES):
        try:
            _transfer(download, part, listener)
            break
        except _Cut as error:
            if attempt == TRIES - 1 or not error.may_go_on:
                raise UserError(f"{download.url} {error}. To get it by hand: {by_hand}") from None
    part.replace(whole)
    _tag(part).unlink(missing_ok=True)
    return whole


class _Cut(Exception):
    """A transfer that did not come to its end, in words behind the address."""

    def __init__(self, words: str, *, may_go_on: bool) -> None:
        super().__init__(words)
        self.may_go_on = may_go_on


class _Sink:
    """The file that is written to, as pooch wants it."""

    def __init__(self, file: BinaryIO, moved: Callable[[int], None]) -> None:
        self._file, self._moved = file, moved

    def write(self, content: bytes) -> None:
        self._file.write(content)
        self._moved(len(content))

    def flush(self) -> None:
        self._file.flush()


def _transfer(download: Download, part: Path, listener: FetchListener) -> None:
    """Append to `part` what is missing there.

    A server that does not send the rest alone sends all, and so does one whose file is another by now:
    then the file is begun anew.
    """
    import requests
    from pooch import HTTPDownloader

    done = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    version = _tag(part).read_text(encoding="utf-8") if _tag(part).is_file() else ""
    if done and version:
        headers |= {"Range": f"bytes={done}-", "If-Range": version}
    total, answered = 0, False
    with part.open("ab" if "Range" in headers else "wb") as file:

        def look(response: requests.Response, *_: Any, **__: Any) -> None:
            nonlocal total, answered
            if response.status_code not in (200, 206):
                return
            if response.status_code == 200 and done:
                file.truncate(0)
            _tag(part).write_text(_version(response.headers), encoding="utf-8")
            begun = done if response.status_code == 206 else 0
            left = int(response.headers.get("Content-Length", 0))
            total = begun + left if left else 0
            answered = True
            listener.began(download.name, begun, total)

        try:
            get = HTTPDownloader(chunk_size=CHUNK, headers=headers, hooks={"response": look})
            get(download.url, _Sink(file, listener.moved), None)
        except requests.HTTPError as error:
            if error.response is None:
                raise
            code = error.response.status_code
            if code == 416:  # The file there is shorter than what is here.
                file.truncate(0)
                _tag(part).unlink(missing_ok=True)
            raise _Cut(f"answers {code} {error.response.reason}", may_go_on=code in (416, 503)) from None
        except requests.RequestException as error:
            if answered:
                here, of = part.stat().st_size, f" of {total:,}" if total else ""
                told = f"broke off after {here:,}{of} bytes; the same command goes on from there"
                raise _Cut(told, may_go_on=True) from error
            raise _Cut("cannot be reached: is there a network?", may_go_on=False) from error


def _version(headers: Mapping[str, str]) -> str:
    """What tells one version of a file from others (RFC 9110, If-Range); "" where the server says nothing."""
    strong = headers.get("ETag", "")
    return strong if strong and not strong.startswith("W/") else headers.get("Last-Modified", "")


def _tag(part: Path) -> Path:
    """Where it is kept which version of a file a part is of."""
    return part.with_name(f"{part.name}.tag")


def _checked(download: Download, path: Path, *, keep: bool) -> dict[str, Any]:
    """What is said of a file whose digest is right, or is not known."""
    from pooch import file_hash

    if not path.is_file():
        raise UserError(f"There is no {path}; it is what {download.url} gives.")
    algorithm, _, expected = download.digest.partition(":")
    if expected and (found := file_hash(str(path), alg=algorithm)) != expected:
        if not keep:
            path.unlink()
        raise UserError(
            f"{download.url} has the {algorithm} {found} and not {expected}: it is damaged or not "
            "the published one, and none of it is used. Fetch it again, or take it from elsewhere: --from."
        )
    return {
        "url": download.url,
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
        "checked": bool(expected),
    }


def _unpack(download: Download, path: Path, out: Path) -> None:
    """Put what is kept of a download into `out`; nothing but that is ever unpacked."""
    if "" in download.keep:
        out.mkdir(exist_ok=True)
        shutil.copyfile(path, out / download.keep[""])
        return
    try:
        found = dict.fromkeys(download.keep, 0)
        for member, stream in _members(path):
            wanted = next((each for each in found if _is_of(member, each)), None)
            if wanted is None:
                continue
            target = out / f"{download.keep[wanted]}{member.removeprefix(wanted)}"
            if not target.resolve().is_relative_to(out.resolve()):
                raise UserError(f"{path} names {quoted(member)}, which leads out of its folder.")
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(stream, file)
            found[wanted] += 1
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise UserError(f"{path} is damaged, or no archive ({error}): fetch it again.") from None
    if missing := [wanted for wanted, count in found.items() if not count]:
        raise UserError(f"{download.url} has no {missing[0]}: it is another file than the published one.")


def _is_of(member: str, wanted: str) -> bool:
    return member == wanted or (wanted.endswith("/") and member.startswith(wanted))


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The name of each file in an archive, and its bytes."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        yield info.filename.removeprefix("./"), stream
        return
    with tarfile.open(path) as packed:
        for entry in packed:
            if entry.isfile() and (content := packed.extractfile(entry)) is not None:
                yield entry.name.removeprefix("./"), content


def _made(maker: str, work: Path) -> dict[str, Path]:
    """The files and folders to put in place, by name: as kept, or the tables that are made of them."""
    kept = work / KEPT
    if maker:
        made = work / MADE
        made.mkdir(exist_ok=True)
        for name, lines in MAKERS[maker](kept).items():
            with (made / name).open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in lines)
        kept = made
    found: dict[str, Path] = {}
    for path in sorted(kept.rglob("*")):
        # A folder of texts moves as one.
        parent = next((each for each in path.parents if each in found.values()), None)
        if parent is None and (path.is_file() or not any(each.is_dir() for each in path.iterdir())):
            found[str(path.relative_to(kept)).replace(os.sep, "/")] = path
    return found
