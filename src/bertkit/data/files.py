"""Files: the one place that opens, decompresses and decodes them, and where those of a named data set are."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from bertkit.errors import UserError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS = (".gz", ".zst")
STANDARD_INPUT = Path("<stdin>")
"""The path that means standard input, to `open_bytes` and in messages."""
# What the decoder leaves in the place of a byte that is not UTF-8 (PEP 383).
_UNDECODED = re.compile("[\udc80-\udcff]")


def open_bytes(path: str | Path, watch: Callable[[BinaryIO], BinaryIO] | None = None) -> BinaryIO:
    """The bytes of a file, or of `STANDARD_INPUT`; decompressed where its name ends in .gz or .zst.

    Args:
        path: the file.
        watch: put around the file's own bytes, before they are decompressed.

    Raises:
        UserError: the file is missing, is a folder, or may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it.")
    try:
        # Standard input stays open: it belongs to the process.
        raw: BinaryIO = os.fdopen(0, "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb")
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    raw = watch(raw) if watch else raw
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(raw))
    if path.suffix == ".zst":
        return cast(BinaryIO, io.BufferedReader(_ZstdReader(raw)))
    return raw


def read_lines(stream: BinaryIO, name: str) -> Generator[tuple[int, str], None, None]:
    """Yield (line number from 1, line without its ending) of any binary stream, in constant memory.

    Lines end with LF, CRLF or CR; a byte order mark at the start is dropped. Bytes that are not UTF-8 stay
    recognisable: `undecoded` finds them. `name` is what error messages call the stream; it is not closed.

    Raises:
        UserError: the compressed data is damaged or incomplete.
    """
    import zstandard

    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=None)
    number = 0
    try:
        for number, line in enumerate(text, 1):
            yield number, line.removesuffix("\n")
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise UserError(
            f"{name}: the compressed data breaks off or is damaged after line {number} ({error}); "
            "make or fetch the file again."
        ) from None
    finally:
        # Else the wrapper would close a stream that is the caller's, standard input for one.
        text.detach()


def undecoded(line: str) -> str | None:
    """The end of a sentence about a byte of a line that is not UTF-8; None where all are."""
    found = None if line.isascii() else _UNDECODED.search(line)
    if found is None:
        return None
    return (
        f"the byte 0x{ord(found[0]) - 0xDC00:02x} is not UTF-8 text; convert the file first, "
        f"for example with `iconv -f LATIN1 -t UTF-8`."
    )


def open_text(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its ending) of a UTF-8 file, plain, .gz or .zst.

    Raises:
        UserError: at once where the file cannot be opened; at its line where bytes are not UTF-8.
    """
    stream = open_bytes(path)

    def lines() -> Iterator[tuple[int, str]]:
        with stream:
            for number, line in read_lines(stream, str(path)):
                if problem := undecoded(line):
                    raise UserError(f"{path}, line {number}: {problem}")
                yield number, line

    return lines()


class _ZstdReader(io.RawIOBase):
    """The frames of a zstd file, one after the other.

    The reader of `zstandard` ends in silence where a file breaks off; this one raises `EOFError`, as the
    standard library's gzip does.
    """

    # Small, because a chunk of well compressed text grows by orders of magnitude.
    CHUNK = 16 * 1024

    def __init__(self, raw: BinaryIO) -> None:
        import zstandard

        self._raw = raw
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while not self._ready:
            self._compressed = self._compressed or self._raw.read(self.CHUNK)
            if not self._compressed:
                if self._frame is not None:
                    raise EOFError("the last zstd frame has no end")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._ready = memoryview(self._frame.decompress(self._compressed))
            self._compressed = b""
            if self._frame.eof:
                self._compressed, self._frame = self._frame.unused_data, None
        target = memoryview(buffer)
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


def sha256(path: Path) -> str:
    """Of a file's bytes, in hexadecimal; of no file, the empty text."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prefix_sha256(path: Path, count: int) -> str:
    """SHA-256 of the first `count` bytes of a file, in hexadecimal; of all where it has fewer."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while count > 0 and (content := file.read(min(count, 2**17))):
            digest.update(content)
            count -= len(content)
    return digest.hexdigest()


def cache_folder() -> Path:
    """The folder of what bertkit keeps for later: `$XDG_CACHE_HOME/bertkit`, or `~/.cache/bertkit`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "bertkit"


def locate(name: str, files: Sequence[str], how_to_get: str, folder: str | Path | None = None) -> Path:
    """The folder with all `files` of the data set `name`.

    Looked at in this order: `folder` and nothing else where it is given; `$BERTKIT_DATA/<name>`; the cache.

    Args:
        name: of the data set, and of its folder.
        files: what must be in the folder.
        how_to_get: the steps that put it there, for a person to follow; `{folder}` is where.
        folder: an explicit place.

    Raises:
        UserError: not all files are there; it tells where was looked and how to get them.
    """
    data = os.environ.get("BERTKIT_DATA")
    places = [Path(data) / name] if data else []
    places = [Path(folder)] if folder else [*places, cache_folder() / name]
    missing = {place: [file for file in files if not (place / file).is_file()] for place in places}
    for place in places:
        if not missing[place]:
            return place
    looked = "; ".join(f"{place} (without {', '.join(missing[place])})" for place in places)
    hint = "" if data or folder else " BERTKIT_DATA is not set."
    raise UserError(
        f"The data set {name!r} was not found. Looked in: {looked}.{hint} "
        f"To get it: {how_to_get.format(folder=places[0])}"
    )
