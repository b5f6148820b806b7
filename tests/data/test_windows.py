"""Texts in windows: nothing is lost, every window is full, and neighbours overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.config.reading import Reading
from bertkit.data.packing import encode_texts, window_starts, windows
from bertkit.errors import UserError
from bertkit.text.tokenizer import SPECIALS, Tokenizer

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *LETTERS])
CLS, SEP = tokenizer.cls_id, tokenizer.sep_id


def ids(text: str) -> list[int]:
    return [5 + LETTERS.index(letter) for letter in text]


def spaced(text: str) -> str:
    return " ".join(text)


@given(st.integers(0, 3000), st.integers(1, 200), st.data())
def test_windows_read_everything_are_full_and_not_far_apart(tokens: int, width: int, data) -> None:
    stride = data.draw(st.integers(1, width))
    starts = window_starts(tokens, width, stride)
    assert starts[0] == 0
    assert starts[-1] == max(0, tokens - width)
    gaps = np.diff(starts)
    assert (gaps >= 1).all()
    assert (gaps <= stride).all()
    # No window more than it takes.
    assert len(starts) == 1 or (len(starts) - 2) * stride < tokens - width


@given(st.integers(0, 400), st.integers(0, 400), st.integers(5, 90), st.data())
def test_of_two_texts_the_longer_is_in_windows_beside_the_shorter(first, second, room, data) -> None:
    cuts = windows(room, data.draw(st.integers(1, room)))(first, second)
    for part in cuts:
        assert sum(end - start for start, end in (part.first, part.second)) <= room
    longer = [part.first if first > second else part.second for part in cuts]
    shorter = {part.second if first > second else part.first for part in cuts}
    assert shorter == {(0, min(first, second, room // 2))}
    assert set().union(*(range(*span) for span in longer)) == set(range(max(first, second)))
    assert [part.offset for part in cuts] == [start for start, _ in longer]


@given(st.integers(0, 400), st.integers(0, 400), st.integers(5, 90), st.data())
def test_the_second_of_two_texts_can_be_in_windows_always(first, second, room, data) -> None:
    cuts = windows(room, data.draw(st.integers(1, room)), of_second=True)(first, second)
    assert {part.first for part in cuts} == {(0, min(first, max(room // 2, room - second)))}
    assert set().union(*(range(*part.second) for part in cuts)) == set(range(second))
    assert all(part.ends[0] + part.second[1] - part.second[0] <= room for part in cuts)
    assert [part.offset for part in cuts] == [part.second[0] for part in cuts]


def test_one_text_in_windows() -> None:
    texts = [spaced("abcdefghijklm"), "a", spaced("abcdef"), ""]
    found = encode_texts(tokenizer, texts, max_length=3, window=8, stride=4)
    # 13 tokens in windows of 6, at most 4 apart: 0 to 7 in two steps.
    rows = ["abcdef", "defghi", "hijklm", "a", "abcdef", ""]
    assert found.ids.tolist() == [token for row in rows for token in (CLS, *ids(row), SEP)]
    assert len(found) == 4
    assert found.lengths.tolist() == [24, 3, 8, 2]
    assert found.sizes.tolist() == [8, 8, 8, 3, 8, 2]
    assert found.windows is not None
    assert found.windows.firsts.tolist() == [0, 3, 4, 5, 6]
    assert found.windows.offsets.tolist() == [0, 3, 7, 0, 0, 0]
    assert found.windows.counts.tolist() == [3, 1, 1, 1]
    assert found.truncated == 0
    first = found.beginnings()
    assert first.ids.tolist() == [p for row in ("abcdef", "a", "abcdef", "") for p in (CLS, *ids(row), SEP)]
    assert (first.lengths.tolist(), first.windows) == ([8, 3, 8, 2], None)
    batch = found.batch([2, 0])
    assert batch.windows == (1, 3)
    assert batch.lengths == (8, 8, 8, 8)
    assert batch.ids_T.tolist() == [p for row in ("abcdef", *rows[:3]) for p in (CLS, *ids(row), SEP)]


def test_two_texts_in_windows_and_what_is_lost_all_the_same() -> None:
    found = encode_texts(tokenizer, [spaced("xyz"), spaced("uvwxyz")], [spaced("abcde"), spaced("abcdefgh")],
                         max_length=3, window=9, stride=6)  # fmt: skip
    # A room of 6: half of it for the shorter text. The stride is to the width as 6 to 6.
    rows = [("xyz", "abc"), ("xyz", "cde"), ("uvw", "abc"), ("uvw", "cde"), ("uvw", "fgh")]
    assert found.ids.tolist() == [p for a, b in rows for p in (CLS, *ids(a), SEP, *ids(b), SEP)]
    assert found.second.tolist() == [5] * 5
    assert found.truncated == 1


def test_a_long_first_text_beside_windows_of_the_second() -> None:
    found = encode_texts(tokenizer, [spaced("uvwxyz")] * 2, [spaced("ab"), spaced("abcd")],
                         max_length=9, window=9, windows_of_second=True)  # fmt: skip
    rows = [("uvwx", "ab"), ("uvw", "abc"), ("uvw", "bcd")]
    assert found.ids.tolist() == [p for a, b in rows for p in (CLS, *ids(a), SEP, *ids(b), SEP)]
    assert found.truncated == 2
    assert found.windows is not None
    assert found.windows.offsets.tolist() == [0, 0, 1]


def test_without_long_texts_windows_change_nothing() -> None:
    texts = [spaced("abc"), "z", ""]
    usual, found = (encode_texts(tokenizer, texts, max_length=12, window=window) for window in (0, 12))
    assert found.ids.tolist() == usual.ids.tolist()
    assert found.lengths.tolist() == usual.lengths.tolist()
    assert (usual.windows, usual.batch([1]).windows) == (None, None)


def test_no_texts_in_windows() -> None:
    found = encode_texts(tokenizer, [], max_length=9, window=9)
    assert len(found) == 0
    assert found.lengths.tolist() == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window": 7}, "holds 8 tokens or more, not 7"),
        ({"window": -1}, "window must be a number of at least 0"),
        ({"window": 8, "stride": 6}, "leave gaps with a stride of 6; take one of 5 or less"),
        ({"stride": 3}, "say with window how long they are"),
        ({"window": 16, "pad_to": 9}, "windows are not padded"),
        ({"max_length": 2}, "max_length must be a number of at least 3"),
    ],
)
def test_readings_that_cannot_be(options, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        Reading(**{"max_length": 12, **options})
