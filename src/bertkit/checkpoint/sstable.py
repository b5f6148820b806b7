"""Sorted tables of bytes: the file format of LevelDB, which TensorFlow keeps the index of a bundle in.

A table is a row of blocks. Entries in a block are sorted, and each says how much of its key it shares with
the one before. The last block but one is the index: for each data block its place; the last 48 bytes say
where that is. Every block ends with its kind and a masked CRC32C.

Source: doc/table_format.md of google/leveldb; tensorflow/core/lib/io/format.cc and block.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import google_crc32c

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
    if len(block) < 4:
        raise Damaged("a block of it is too short")
    restarts = struct.unpack("<I", block[-4:])[0]
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
