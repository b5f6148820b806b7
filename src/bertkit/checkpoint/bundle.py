"""TensorFlow's bundles of tensors, `PREFIX.index` and `PREFIX.data-...`, read and written without it.

The index is a sorted table of bytes, the file format of LevelDB: under the empty key what the bundle is,
under each name a tensor's type, shape, place and checksum. The data files hold the bytes of the tensors and
nothing else.

A table is a row of blocks. Entries in a block are sorted, and each says how much of its key it shares with
the one before. The last block but one is the index: for each data block its place; the last 48 bytes say
where that is. Every block ends with its kind and a masked CRC32C.

Source: doc/table_format.md of google/leveldb; tensorflow/core/lib/io/format.cc and block.cc;
tensorflow/core/protobuf/tensor_bundle.proto and util/tensor_bundle/tensor_bundle.cc. Nothing is known here of
what the tensors are for.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import torch

from bertkit.errors import UserError, damaged

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TRAILER = struct.Struct("<BI")
"""After each block: how it is compressed, and its checksum."""

PLAIN, SNAPPY = 0, 1
LONGEST_KEY = 1_024
"""Bytes. A key may be spelled by pointing at the one before, so a small file could ask for any memory."""

BLOCK = 1 << 12
"""Bytes of a block that is written, about."""


class Damaged(ValueError):
    """The bytes are not a table, or not the ones that were written; the message is a clause."""


def checksum(data: bytes) -> int:
    """The masked CRC32C of LevelDB and TensorFlow (crc32c.h): rotated and shifted by a constant."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, of at most 64 bits, seven to a byte; and where it ends.

    Raises:
        Damaged: there is none.
    """
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise Damaged("it ends within a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise Damaged("a number in it does not end")


def write_varint(value: int) -> bytes:
    """`value`, which is not negative, seven bits to a byte."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def read_table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of the table that is all of `data`, each checked before it is given out.

    Raises:
        Damaged: a checksum is wrong, or anything else than it must be.
    """
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        raise Damaged("it does not end as a table does")
    footer = data[-FOOTER:]
    at = 0
    for _ in range(3):  # Over the two numbers of the metaindex, to the first of the index.
        index_at, at = read_varint(footer, at)
    index_size, _ = read_varint(footer, at)
    end = 0
    previous: bytes | None = None
    for _, handle in _entries(_block(data, index_at, index_size)):
        start, at = read_varint(handle, 0)
        size, _ = read_varint(handle, at)
        if start < end:  # Two that overlap would let a small file unfold into a large one.
            raise Damaged("its blocks overlap")
        end = start + size
        for key, value in _entries(_block(data, start, size)):
            if previous is not None and key <= previous:
                raise Damaged("its keys are not in order")
            previous = key
            yield key, value


def write_table(rows: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A table with these keys, which ascend, and values. Nothing is compressed and no key is shortened."""
    written, last = bytearray(), b""
    index: list[tuple[bytes, bytes]] = []
    block: list[tuple[bytes, bytes]] = []

    def finish(entries: list[tuple[bytes, bytes]]) -> bytes:
        content = b"".join(
            b"\0" + write_varint(len(key)) + write_varint(len(value)) + key + value for key, value in entries
        )
        content += struct.pack("<II", 0, 1)  # Where keys are spelled out, from which a reader may search.
        handle = write_varint(len(written)) + write_varint(len(content))
        written.extend(content)
        written.extend(TRAILER.pack(PLAIN, checksum(content + bytes([PLAIN]))))
        return handle

    for key, value in rows:
        assert not block or last < key, "keys ascend"
        block.append((key, value))
        last = key
        if sum(len(key) + len(value) for key, value in block) >= BLOCK:
            index.append((last, finish(block)))
            block = []
    if block:
        index.append((last, finish(block)))
    handles = finish([]) + finish(index)
    return bytes(written + handles.ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC))


def _block(data: bytes, start: int, size: int) -> bytes:
    end = start + size
    if end + TRAILER.size > len(data) - FOOTER:
        raise Damaged("a block of it lies beyond its end")
    kind, crc = TRAILER.unpack_from(data, end)
    if checksum(data[start : end + 1]) != crc:
        raise Damaged("the checksum of a block is wrong")
    if kind == SNAPPY:
        raise Damaged(
            "it is compressed with snappy, as TensorFlow did before 1.2, older than any BERT: save it anew"
        )
    if kind != PLAIN:
        raise Damaged(f"a block of it is of the kind {kind}")
    return data[start:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    restarts = struct.unpack("<I", block[-4:])[0] if len(block) >= 4 else 0
    end = len(block) - 4 - 4 * restarts
    at, key = 0, b""
    if end < 0:
        raise Damaged("a block of it is too short")
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or shared + fresh > LONGEST_KEY or at + fresh + length > end:
            raise Damaged("an entry of it lies beyond its block")
        key = key[:shared] + block[at : at + fresh]
        at += fresh + length
        yield key, block[at - length : at]


TYPES: dict[int, torch.dtype] = {
    1: torch.float32,
    2: torch.float64,
    3: torch.int32,
    4: torch.uint8,
    5: torch.int16,
    6: torch.int8,
    9: torch.int64,
    14: torch.bfloat16,
    19: torch.float16,
}
"""Numbers of tensorflow/core/framework/types.proto that are read and written."""

INDEX = ".index"
SLICE = b"\0"
"""First byte of the keys of slices, which the entry of the whole tensor tells of too."""

VERSION = 1
LONGEST_INDEX = 1 << 24
"""Bytes. BERT large with the moments of its training has a thousandth of it."""

MOST_SHARDS = 99_999
MOST_DIMENSIONS = 8


@dataclass(frozen=True)
class Entry:
    """What the index says of one tensor: where its bytes are, and their masked checksum.

    The `dtype` is None for types that are not read, such as texts; a `sliced` tensor is kept in tokens under
    other names.
    """

    dtype: torch.dtype | None
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    sliced: bool


@dataclass(frozen=True)
class Bundle:
    """A bundle whose index was read and checked; none of its tensors was.

    The names of all its files begin with `prefix`; `shards` is how many data files it has.
    """

    prefix: Path
    shards: int
    entries: dict[str, Entry]

    def read(self, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """The tensors of these names. Sizes are compared with the files before any memory is taken.

        Raises:
            UserError: a data file is missing, too short or damaged, or a tensor is of a kind not read.
        """
        found = {}
        for path, own in self.check(names).items():
            with path.open("rb") as file:
                for name in own:
                    entry = self.entries[name]
                    file.seek(entry.offset)
                    data = file.read(entry.size)
                    if checksum(data) != entry.crc:
                        raise damaged(path, f"the checksum of {name} is wrong")
                    assert entry.dtype is not None
                    found[name] = torch.frombuffer(bytearray(data), dtype=entry.dtype).reshape(entry.shape)
        return found

    def check(self, names: Iterable[str]) -> dict[Path, list[str]]:
        """See that the data files are there and long enough for these tensors.

        Returns:
            The names by data file, in the order of their places in it.

        Raises:
            UserError: as `read` does, but for damage that only the checksums tell.
        """
        index, wanted = _beside(self.prefix, INDEX), dict[Path, list[str]]()
        for name in names:
            entry = self.entries[name]
            if entry.sliced:
                raise UserError(
                    f"{index}: {name} is a partitioned variable, kept in slices, which bertkit does not put "
                    "together: save the checkpoint without a partitioner."
                )
            if entry.dtype is None:
                raise UserError(f"{index}: {name} holds no numbers of a kind that bertkit reads.")
            if not entry.size:
                raise damaged(index, f"{name} is empty")
            path = _beside(self.prefix, f".data-{entry.shard:05d}-of-{self.shards:05d}")
            wanted.setdefault(path, []).append(name)
        for path, own in wanted.items():
            if not path.is_file():
                raise UserError(
                    f"{path} is missing, where {len(own)} of the model's tensors are: copy it there from "
                    "where the checkpoint came from."
                )
            own.sort(key=lambda name: self.entries[name].offset)
            length, end = path.stat().st_size, 0
            for name in own:
                entry = self.entries[name]
                if entry.offset < end:  # Overlaps would let a small file fill any memory.
                    raise damaged(index, f"{name} overlaps another tensor")
                end = entry.offset + entry.size
                if end > length:
                    raise damaged(path, f"{name} lies beyond its end, so the file is cut short")
        return wanted


def open_bundle(prefix: Path) -> Bundle:
    """Read the index of the bundle at `prefix`.

    Raises:
        UserError: the index is missing, damaged or of a kind that is not read.
    """
    path = _beside(prefix, INDEX)
    try:
        if path.stat().st_size > LONGEST_INDEX:
            raise damaged(path, f"it has {path.stat().st_size:,} bytes, and an index has few")
        rows = read_table(path.read_bytes())
        first, header = next(rows, (b"", b""))
        if first:
            raise Damaged("it does not begin with a header")
        shards = _read_header(header)
        entries = {
            key.decode(): _read_entry(key.decode(), value, shards)
            for key, value in rows
            if not key.startswith(SLICE)
        }
    except FileNotFoundError:
        raise UserError(f"There is no {path}, the index of a TensorFlow checkpoint.") from None
    except ValueError as error:  # `Damaged`, or a name that is no UTF-8.
        raise damaged(path, str(error)) from None
    return Bundle(prefix, shards, entries)


def write_bundle(prefix: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write `tensors`, none of them empty, as a bundle of one data file."""
    entries = {}
    with _beside(prefix, ".data-00000-of-00001").open("wb") as file:
        for name, tensor in sorted(tensors.items(), key=lambda item: item[0].encode()):
            assert tensor.numel(), "a tensor without numbers is not read back"
            data = tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
            kind = next(number for number, dtype in TYPES.items() if dtype == tensor.dtype)
            shape = b"".join(_field(2, _field(1, size)) for size in tensor.shape)
            crc = write_varint(6 << 3 | 5) + struct.pack("<I", checksum(data))
            place = _field(4, file.tell()) + _field(5, len(data))
            entries[name.encode()] = _field(1, kind) + _field(2, shape) + place + crc
            file.write(data)
    header = _field(1, 1) + _field(3, _field(1, VERSION))
    _beside(prefix, INDEX).write_bytes(write_table([(b"", header), *entries.items()]))


def _read_header(data: bytes) -> int:
    """How many data files there are."""
    header = dict(_fields(data))
    shards, version = header.get(1, 0), header.get(3, b"")
    if header.get(2, 0) != 0:
        raise Damaged("it is of a big-endian machine, whose numbers are not read")
    if not isinstance(shards, int) or not 1 <= shards <= MOST_SHARDS:
        raise Damaged(f"it tells of {shards!r} data files")
    needs = dict(_fields(version)).get(2, 0) if isinstance(version, bytes) else None
    if not isinstance(needs, int) or needs > VERSION:
        raise Damaged(f"it is of a later version of the format than {VERSION}")
    return shards


def _read_entry(name: str, data: bytes, shards: int) -> Entry:
    numbers: dict[int, int] = {}
    shape: list[int] = []
    sliced = False
    for number, value in _fields(data):
        if isinstance(value, int):
            numbers[number] = value
            continue
        sliced |= number == 7
        for part, dimension in _fields(value) if number == 2 else ():
            if part == 2 and isinstance(dimension, bytes):
                size = dict(_fields(dimension)).get(1, 0)
                if not isinstance(size, int) or size >= 1 << 63:  # A negative one, as protobuf writes it.
                    raise Damaged(f"{name} has an impossible shape")
                shape.append(size)
    if len(shape) > MOST_DIMENSIONS:
        raise Damaged(f"{name} has {len(shape)} dimensions")
    kind, shard, offset, size = (numbers.get(number, 0) for number in (1, 3, 4, 5))
    dtype = TYPES.get(kind)
    if shard >= shards or offset >= 1 << 63 or size >= 1 << 63:
        raise Damaged(f"{name} has an impossible place")
    if dtype is not None and not sliced and size != math.prod(shape) * dtype.itemsize:
        raise Damaged(f"{name} of the shape {shape} cannot have {size:,} bytes")
    return Entry(dtype, tuple(shape), shard, offset, size, numbers.get(6, 0), sliced)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message: whole numbers, or bytes where it has a length."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = read_varint(data, at)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire)
        if wire == 2:
            length, at = read_varint(data, at)
        if length is None or at + length > len(data):
            raise Damaged("a message in it is cut short")
        content = data[at : at + length]
        at += length
        yield number, content if wire == 2 else int.from_bytes(content, "little")


def _field(number: int, value: int | bytes) -> bytes:
    """A field of a protobuf message; without one it is 0 or empty."""
    if isinstance(value, int):
        return write_varint(number << 3) + write_varint(value)
    return write_varint(number << 3 | 2) + write_varint(len(value)) + value


def _beside(prefix: Path, ending: str) -> Path:
    return prefix.with_name(prefix.name + ending)
