"""How texts of strangers stand in sentences."""

from pathlib import Path

import pytest

from bertkit.errors import LONGEST_SHOWN, damaged, listed, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bert.pooler", "bert.pooler"),
        ("Zürich 東京", "Zürich 東京"),
        ("", "''"),
        (" ", "' '"),
        ("\x1b[31m\n", r"'\x1b[31m\n'"),
        ("\ud800", r"'\ud800'"),
        (3, "3"),
        ([["a"]], "[['a']]"),
        ({"a": "\n"}, r"{'a': '\n'}"),
    ],
)
def test_shown(value: object, text: str) -> None:
    assert shown(value) == text


def test_what_is_long_is_cut() -> None:
    for value in ("x" * 81, "\n" * 10_000, ["x"] * 10_000):
        assert len(shown(value)) == LONGEST_SHOWN
        assert shown(value).endswith("...")
    assert shown("x" * 80) == "x" * 80
    assert listed(["\n", "a", "b"], most=2) == r"'\n', a and 1 more"


def test_what_is_damaged_is_told_with_what_tells_so() -> None:
    assert str(damaged(Path("a/b"))) == "a/b is damaged or cut short: copy it again from its source."
    assert str(damaged(Path("b"), "it is empty")) == (
        "b is damaged or cut short (it is empty): copy it again from its source."
    )
