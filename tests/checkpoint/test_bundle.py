"""TensorFlow's bundles: there and back, and what must be refused before memory is taken."""

import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bertkit.checkpoint.bundle import (
    BLOCK,
    FOOTER,
    LONGEST_KEY,
    MAGIC,
    TRAILER,
    TYPES,
    Damaged,
    checksum,
    open_bundle,
    read_table,
    read_varint,
    write_bundle,
    write_table,
    write_varint,
)
from bertkit.errors import UserError

TENSORS = {
    "b/kernel": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(2**40),
    "a": torch.tensor([[0.25]], dtype=torch.float16),
}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Type, shape and every bit."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and torch.equal(*(tensor.reshape(-1).contiguous().view(torch.uint8) for tensor in (one, other)))
    )


def test_there_and_back(tmp_path: Path) -> None:
    write_bundle(tmp_path / "x.ckpt", TENSORS)
    assert {path.name for path in tmp_path.iterdir()} == {"x.ckpt.index", "x.ckpt.data-00000-of-00001"}
    bundle = open_bundle(tmp_path / "x.ckpt")
    assert list(bundle.entries) == ["a", "b", "b/kernel", "count"]
    assert bundle.entries["b/kernel"].shape == (2, 3)
    read = bundle.read(["count", "b/kernel", "a", "b"])
    assert all(same(read[name], TENSORS[name]) for name in TENSORS)
    assert set(bundle.read(["a"])) == {"a"}


@pytest.mark.parametrize("dtype", TYPES.values(), ids=str)
@settings(max_examples=10)
@given(data=st.data())
def test_any_bytes_of_any_type_come_back(dtype, tmp_path_factory, data) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), max_size=3))
    numbers = torch.Size(shape).numel()
    raw = data.draw(st.binary(min_size=numbers * dtype.itemsize, max_size=numbers * dtype.itemsize))
    tensor = torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
    prefix = tmp_path_factory.mktemp("bundle") / "x"
    write_bundle(prefix, {"x": tensor.t() if len(shape) == 2 else tensor})
    read = open_bundle(prefix).read(["x"])["x"]
    assert same(read.t().contiguous() if len(shape) == 2 else read, tensor)


@settings(max_examples=40)
@given(rows=st.dictionaries(st.binary(max_size=40), st.binary(max_size=300), max_size=60))
def test_a_table_of_many_blocks_comes_back(rows: dict[bytes, bytes]) -> None:
    ordered = sorted(rows.items())
    table = write_table(ordered)
    assert list(read_table(table)) == ordered
    if sum(map(len, [*rows, *rows.values()])) > 2 * BLOCK:
        assert table.count(struct.pack("<II", 0, 1)) > 3  # Several blocks, the index and the metaindex.


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back(value: int) -> None:
    written = write_varint(value)
    assert read_varint(b"\x80" + written, 1) == (value, 1 + len(written))


def test_the_masked_checksum_is_that_of_leveldb() -> None:
    # 0xe3069283 is the CRC32C of these digits (RFC 3720's polynomial); its mask, by hand of crc32c.h.
    crc = 0xE3069283
    assert checksum(b"123456789") == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32


def block(content: bytes, kind: int = 0) -> bytes:
    return content + TRAILER.pack(kind, checksum(content + bytes([kind])))


def entry(shared: int, key: bytes, value: bytes) -> bytes:
    return write_varint(shared) + write_varint(len(key)) + write_varint(len(value)) + key + value


def table(content: bytes, *, kind: int = 0, twice: bool = False) -> bytes:
    """A table of one data block, with right checksums; `twice` points at it two times."""
    data = block(content, kind)
    handle = write_varint(0) + write_varint(len(content))
    index = entry(0, b"y", handle) + (entry(0, b"z", handle) if twice else b"") + struct.pack("<I", 0)
    at = write_varint(len(data)) + write_varint(len(index))
    return data + block(index) + (at + at).ljust(FOOTER - 8, b"\0") + struct.pack("<Q", MAGIC)


NO_RESTARTS = struct.pack("<I", 0)
WRONG_TABLES = {
    "nothing": (b"", "does not end as a table"),
    "another file": (b"x" * 99, "does not end as a table"),
    "twice": (table(entry(0, b"a", b"") + NO_RESTARTS, twice=True), "blocks overlap"),
    "order": (table(entry(0, b"b", b"") + entry(0, b"a", b"") + NO_RESTARTS), "not in order"),
    "same": (table(entry(0, b"", b"") + entry(0, b"", b"") + NO_RESTARTS), "not in order"),
    "shares too much": (table(entry(1, b"a", b"") + NO_RESTARTS), "beyond its block"),
    "long key": (table(entry(0, b"a" * (LONGEST_KEY + 1), b"") + NO_RESTARTS), "beyond its block"),
    "restarts": (table(struct.pack("<I", 9)), "too short"),
    "snappy": (table(entry(0, b"a", b"") + NO_RESTARTS, kind=1), "snappy"),
    "kind": (table(entry(0, b"a", b"") + NO_RESTARTS, kind=7), "of the kind 7"),
}


@pytest.mark.parametrize(("content", "words"), WRONG_TABLES.values(), ids=WRONG_TABLES)
def test_wrong_tables(content: bytes, words: str) -> None:
    with pytest.raises(Damaged, match=words):
        list(read_table(content))


def shape(*sizes: int) -> bytes:
    dims = [b"\x12" + write_varint(len(size)) + size for size in (b"\x08" + write_varint(n) for n in sizes)]
    return b"\x12" + write_varint(len(b"".join(dims))) + b"".join(dims)


def number(field: int, value: int) -> bytes:
    return write_varint(field << 3) + write_varint(value)


HEADER = number(1, 1)
HUGE = 1 << 40
WRONG_ENTRIES = {
    "no header": ([(b"a", b"")], "does not begin with a header"),
    "shards": ([(b"", number(1, 10**6))], "tells of 1000000 data files"),
    "no shards": ([(b"", b"")], "tells of 0 data files"),
    "big endian": ([(b"", HEADER + number(2, 1))], "big-endian"),
    "future": ([(b"", HEADER + b"\x1a\x02" + number(2, 9))], "later version"),
    "cut": ([(b"", HEADER), (b"a", b"\x12\x7f")], "cut short"),
    "wire": ([(b"", HEADER), (b"a", b"\x0b")], "cut short"),
    "size": ([(b"", HEADER), (b"a", number(1, 1) + shape(HUGE, HUGE) + number(5, 4))], "cannot have 4 bytes"),
    "negative": ([(b"", HEADER), (b"a", number(1, 1) + shape(2**64 - 1))], "impossible shape"),
    "dimensions": ([(b"", HEADER), (b"a", number(1, 1) + shape(*[1] * 9))], "9 dimensions"),
    "shard": ([(b"", HEADER), (b"a", number(1, 1) + number(3, 1) + number(5, 4))], "impossible place"),
    "name": ([(b"", HEADER), (b"\xff", number(1, 1) + number(5, 4))], "utf-8"),
}


@pytest.mark.parametrize(("rows", "words"), WRONG_ENTRIES.values(), ids=WRONG_ENTRIES)
def test_wrong_indexes(rows, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(write_table(rows))
    with pytest.raises(UserError, match=rf"x.index is damaged or cut short \(.*{words}.*\): copy it again"):
        open_bundle(tmp_path / "x")


UNREADABLE = {
    "beyond the file": (number(1, 1) + shape(HUGE) + number(5, 4 * HUGE), "beyond its end"),
    "far": (number(1, 1) + shape(1) + number(4, HUGE) + number(5, 4), "beyond its end"),
    "text": (number(1, 7) + shape(1) + number(5, 4), "no numbers of a kind"),
    "slices": (number(1, 1) + shape(2) + b"\x3a\x00", "partitioned variable"),
    "empty": (number(1, 1) + shape(0, HUGE), "is empty"),
    "checksum": (number(1, 1) + shape(1) + number(5, 4), "the checksum of a is wrong"),
}


@pytest.mark.parametrize(("entry", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_tensors_that_cannot_be_read(entry: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(write_table([(b"", HEADER), (b"a", entry)]))
    (tmp_path / "x.data-00000-of-00001").write_bytes(b"12345678")
    with pytest.raises(UserError, match=words):
        open_bundle(tmp_path / "x").read(["a"])


def test_tensors_that_share_bytes_are_refused(tmp_path: Path) -> None:
    entry = number(1, 1) + shape(2) + number(5, 8)
    (tmp_path / "x.index").write_bytes(write_table([(b"", HEADER), (b"a", entry), (b"b", entry)]))
    (tmp_path / "x.data-00000-of-00001").write_bytes(b"12345678")
    with pytest.raises(UserError, match="b overlaps another"):
        open_bundle(tmp_path / "x").read(["a", "b"])


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no .*x.index"):
        open_bundle(tmp_path / "x")
    write_bundle(tmp_path / "x", TENSORS)
    (tmp_path / "x.data-00000-of-00001").unlink()
    bundle = open_bundle(tmp_path / "x")
    with pytest.raises(UserError, match=r"x.data-00000-of-00001 is missing, where 2 of"):
        bundle.read(["a", "b"])
