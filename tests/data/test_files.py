"""Opening, decompressing and decoding text."""

import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.files import open_bytes, open_text, read_lines, undecoded
from bertkit.errors import UserError

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "txt": lambda data: data,
    "txt.gz": gzip.compress,
    "txt.zst": zstandard.compress,
}


@pytest.mark.parametrize("ending", PACKERS)
def test_every_compression_gives_the_same_lines(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(PACKERS[ending]("\ufeffone\r\ntwo \ttoo\rthree\n\nBücher\u2028lesen".encode()))
    lines = [(1, "one"), (2, "two \ttoo\rthree"), (3, ""), (4, "Bücher\u2028lesen")]
    assert list(open_text(path)) == lines


def test_lines_end_with_carriage_returns_where_there_is_nothing_else() -> None:
    assert list(read_lines(io.BytesIO(b"one\rtwo\r"), "x")) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    stream = io.BytesIO("Bücher\r\n三\n".encode(encoding))
    assert list(read_lines(stream, "x", "cp1252")) == [(1, "Bücher"), (2, "三")]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("很好。".encode("gb18030"), "as gb18030 it reads '很好。' (--encoding gb18030)"),
        ("un café noir".encode("cp1252"), "as cp1252 it reads 'un café noir' (--encoding cp1252)."),
        (b"\x81", "say --encoding and its name"),
    ],
)
def test_encodings_that_fit_are_named(content: bytes, told: str) -> None:
    ((_, line),) = read_lines(io.BytesIO(content), "x")
    assert told in str(undecoded(line))


@given(st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"])))
def test_a_line_comes_back_as_it_is(line: str) -> None:
    stream = io.BytesIO(f"{line}\nend".encode())
    assert list(read_lines(stream, "x")) == [(1, line), (2, "end")]
    assert undecoded(line) is None
    assert not stream.closed


@pytest.mark.parametrize(
    ("data", "line", "byte"),
    [
        (b"fine\ncaf\xe9\n", 2, "0xe9"),
        (b"a\nb\nc \xed\xa0\x80", 3, "0xed"),
    ],
)
def test_bytes_that_are_not_utf8_name_file_and_line(
    tmp_path: Path, data: bytes, line: int, byte: str
) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"latin\.txt, line {line}: the byte {byte} is not UTF-8"):
        list(open_text(path))


def test_a_byte_is_found_when_asked_for() -> None:
    good, bad = (undecoded(line) for _, line in read_lines(io.BytesIO(b"caf\xc3\xa9\ncaf\xe9\n"), "x"))
    assert good is None
    assert bad is not None
    assert bad.startswith("the byte 0xe9 is not UTF-8 text")


def test_what_is_no_file_is_refused_before_the_first_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no file .*gone"):
        open_text(tmp_path / "gone.txt")
    with pytest.raises(UserError, match="is a folder"):
        open_text(tmp_path)


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    for ending, packer in PACKERS.items():
        path = tmp_path / f"empty.{ending}"
        path.write_bytes(packer(b""))
        assert list(open_text(path)) == []


def test_a_zstd_file_may_have_several_frames(tmp_path: Path) -> None:
    path = tmp_path / "two.zst"
    path.write_bytes(zstandard.compress(b"one\ntw") + zstandard.compress(b"o\n"))
    assert list(open_text(path)) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize("ending", ["txt.gz", "txt.zst"])
@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"no such thing"])
def test_damaged_compression_is_said(tmp_path: Path, ending: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"broken.{ending}"
    path.write_bytes(damage(PACKERS[ending](b"".join(b"line %d\n" % n for n in range(9_999)))))
    with pytest.raises(UserError, match=r"broken\.txt.*breaks off or is damaged after line \d+"):
        list(open_text(path))


@pytest.mark.parametrize("ending", PACKERS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"long.{ending}"
    path.write_bytes(PACKERS[ending](b"".join(b"%d few words %d\n" % (n, n * n) for n in range(99_999))))
    tracemalloc.start()
    count = sum(1 for _ in open_text(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 99_999
    assert peak < 700_000


def test_a_stream_of_bytes_can_be_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.zst"
    path.write_bytes(zstandard.compress(bytes(range(256)) * 777))
    with open_bytes(path) as stream:
        assert stream.read() == bytes(range(256)) * 777
