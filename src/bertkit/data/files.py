"""Files: the one place that opens, decompresses and decodes them, and where those of a named data set are."""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import io
import lzma
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from bertkit.errors import UserError, quoted

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

COMPRESSIONS = (".gz", ".zst", ".bz2", ".xz")
STANDARD_INPUT = Path("<stdin>")
"""The path that means standard input, to `open_bytes` and in messages."""
DAMAGES: tuple[type[Exception], ...] = (EOFError, zlib.error, lzma.LZMAError, OSError)
"""What decompression raises at damaged data; zstd's own error is a `_ZstdReader`'s `OSError`."""
_HEAD = 1024
# What the decoder leaves in the place of a byte that is not UTF-8 (PEP 383).
_UNDECODED = re.compile("[\udc80-\udcff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Encodings that are named for bytes that are not UTF-8, and the letters and signs beyond ASCII that make a
# text likely to be in one: of China, of Western Europe.
_LIKELY = {
    "gb18030": re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u2014\u2018-\u201d\u2026\xb7]+"),
    "cp1252": re.compile(
        "[\xa0\xa1\xa3\xa7\xa9-\xab\xae\xb0\xb2-\xb4\xb7\xba-\xff\u0152\u0153\u0160\u0161\u0178\u017d\u017e"
        "\u2013\u2014\u2018-\u201e\u2022\u2026\u20ac\u2122]+"
    ),
}


def open_bytes(path: str | Path, watch: Callable[[BinaryIO], BinaryIO] | None = None) -> BinaryIO:
    """The bytes of a file, or of `STANDARD_INPUT`; decompressed where they are compressed.

    The first bytes tell so, whatever the name; a name that ends in one of `COMPRESSIONS` promises it.

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
    head = cast(io.BufferedReader, raw).peek(_HEAD)
    for ending, (mark, unpack) in _UNPACKERS.items():
        if re.match(mark, head) or path.suffix.lower() == ending:
            return unpack(raw)
    return raw


def first_bytes(path: Path) -> bytes:
    """The first bytes of a file, decompressed; fewer, or none, where its compressed data is damaged.

    Raises:
        UserError: as `open_bytes`.
    """
    with open_bytes(path) as stream:
        try:
            return stream.read(_HEAD)
        except DAMAGES:
            return b""


def mark_of(head: bytes) -> str:
    """The encoding that the byte-order mark at the start of a text tells; "" where there is none."""
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), "")


def check_encoding(name: str) -> None:
    """Raise `UserError` unless `name` is empty or an encoding of text that Python knows."""
    try:
        "".encode(name or "utf-8")
    except LookupError:
        known = ", ".join(("utf-8", "utf-16", *_LIKELY))
        raise UserError(f"There is no encoding {quoted(name)}; some that are: {known}.") from None


def read_lines(stream: BinaryIO, name: str, encoding: str = "") -> Generator[tuple[int, str], None, None]:
    """Yield (line number from 1, line without its ending) of any binary stream, in constant memory.

    Lines end with LF or CRLF; with CR where the stream has no LF. A byte-order mark at the start is dropped,
    and tells UTF-16 and UTF-32. Bytes that are not UTF-8 stay recognisable: `undecoded` finds them.

    Args:
        stream: it is not closed.
        name: what error messages call it.
        encoding: of its text; "" for UTF-8 or what the byte-order mark tells.

    Raises:
        UserError: the compressed data is damaged or incomplete, or the bytes are not of an encoding that was
            named or marked.
    """
    check_encoding(encoding)
    lent = hasattr(stream, "peek")
    buffered = cast(io.BufferedReader, stream if lent else io.BufferedReader(cast(io.RawIOBase, stream)))
    number = 0
    text: io.TextIOWrapper | None = None
    try:
        head = buffered.peek(_HEAD)[:_HEAD]
        told = mark_of(head) or encoding
        if not told and (wide := _wide(head)):
            raise UserError(f"{name} looks like UTF-16 without its byte-order mark; say --encoding {wide}.")
        errors = "strict" if told and codecs.lookup(told).name not in ("utf-8", "utf-8-sig") else _ESCAPE
        decoder = "utf-8-sig" if errors == _ESCAPE else told
        text = io.TextIOWrapper(buffered, encoding=decoder, errors=errors, newline="\n")
        lines: Iterable[str] = text
        first = next(text, "")
        if first.endswith("\n") or "\r" not in first:
            lines = chain([first] if first else [], text)
        else:
            lines = first.removesuffix("\r").split("\r")
        for number, line in enumerate(lines, 1):
            yield number, line.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}, behind line {number}: the text is not {error.encoding} ({error.reason}); "
            "say another --encoding."
        ) from None
    except DAMAGES as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(
            f"{name}: the compressed data breaks off or is damaged after line {number} ({error}); "
            "make or fetch the file again."
        ) from None
    finally:
        # Else the wrapper would close a stream that is the caller's, standard input for one.
        if text is not None:
            text.detach()
        if not lent:
            buffered.detach()


_ESCAPE = "surrogateescape"


def _wide(head: bytes) -> str:
    """The encoding of two bytes a character that text without a mark has where every other byte is NUL."""
    for name, (nuls, letters) in {"utf-16-le": (1, 0), "utf-16-be": (0, 1)}.items():
        if len(head) > 7 and not any(head[nuls::2]) and all(head[letters::2]):
            return name
    return ""


def undecoded(line: str) -> str | None:
    """The end of a sentence about a byte of a line that is not UTF-8; None where all are."""
    found = None if line.isascii() else _UNDECODED.search(line)
    if found is None:
        return None
    near = line[: found.end() + _HEAD].encode("utf-8", _ESCAPE)
    readings = [
        f"as {name} it reads {quoted(text)} (--encoding {name})"
        for name in _LIKELY
        if (text := _as_read(near, name))
    ]
    way = " or ".join(readings) or f"say --encoding and its name, such as {' or '.join(_LIKELY)}"
    return f"the byte 0x{ord(found[0]) - 0xDC00:02x} is not UTF-8 text; {way}."


def _as_read(near: bytes, encoding: str) -> str:
    """The words around the first letter beyond ASCII as an encoding has them; "" where it is unlikely."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(near)
    except UnicodeDecodeError:
        return ""
    foreign = [index for index, letter in enumerate(text) if not letter.isascii()]
    if not foreign or not _LIKELY[encoding].fullmatch("".join(text[index] for index in foreign)):
        return ""
    return text[max(0, foreign[0] - 10) : foreign[0] + 10].strip()


def open_text(path: str | Path, encoding: str = "") -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its ending) of a file of text, compressed or not.

    Args:
        path: the file.
        encoding: as in `read_lines`.

    Raises:
        UserError: at once where the file cannot be opened; at its line where bytes are not UTF-8.
    """
    stream = open_bytes(path)

    def lines() -> Iterator[tuple[int, str]]:
        with stream:
            for number, line in read_lines(stream, str(path), encoding):
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
        self._error = zstandard.ZstdError
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
            try:
                self._ready = memoryview(self._frame.decompress(self._compressed))
            except self._error as error:
                raise OSError(str(error)) from None
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


_UNPACKERS: dict[str, tuple[bytes, Callable[[BinaryIO], BinaryIO]]] = {
    ".gz": (rb"\x1f\x8b", lambda raw: cast(BinaryIO, gzip.GzipFile(fileobj=raw))),
    ".zst": (rb"\x28\xb5\x2f\xfd", lambda raw: cast(BinaryIO, io.BufferedReader(_ZstdReader(raw)))),
    ".bz2": (rb"BZh[1-9]1AY&SY", lambda raw: cast(BinaryIO, bz2.BZ2File(raw))),
    ".xz": (rb"\xfd7zXZ\0", lambda raw: cast(BinaryIO, lzma.LZMAFile(raw))),  # noqa: SIM115
}


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


def stored(folder: Path, name: str) -> Path | None:
    """The file, or folder, of that name in `folder`, or that file compressed; None where there is none."""
    places = (folder / f"{name}{ending}" for ending in ("", *COMPRESSIONS))
    return next((place for place in places if place.exists()), None)


def locate(name: str, files: Sequence[str], how_to_get: str, folder: str | Path | None = None) -> Path:
    """The folder with all `files` of the data set `name`, or with them compressed.

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
    missing = {place: [file for file in files if stored(place, file) is None] for place in places}
    for place in places:
        if not missing[place]:
            return place
    looked = "; ".join(f"{place} (without {', '.join(missing[place])})" for place in places)
    hint = "" if data or folder else " BERTKIT_DATA is not set."
    raise UserError(
        f"The data set {name!r} was not found. Looked in: {looked}.{hint} "
        f"To get it: {how_to_get.format(folder=places[0])}"
    )


def text_problem(value: Any) -> str | None:
    """Why `value` cannot be the text of an example, as the end of a sentence; None where it can."""
    if not isinstance(value, str):
        return f"is not a string but of type {type(value).__name__}"
    if "\0" in value:
        return "holds a NUL byte"
    if not value.isascii() and (found := _SURROGATE.search(value)):
        return f"holds half a character (the lone surrogate U+{ord(found[0]):04X})"
    return None
