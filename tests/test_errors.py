"""How texts of strangers stand in sentences."""

from pathlib import Path

import pytest

from bertkit.errors import LONGEST_MESSAGE, LONGEST_SHOWN, LONGEST_VALUE, damaged, listed, one_line, shown


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


def test_a_message_is_one_line_that_harms_no_terminal() -> None:
    assert one_line("There is no file a\x1b[31m\n\x9bb\u202e東京 é.") == (
        r"There is no file a\x1b[31m\n\x9bb\u202e東京 é."
    )
    assert one_line("It's 'a b' and can't be.") == "It's 'a b' and can't be."


def test_a_value_that_nobody_cut_loses_its_middle() -> None:
    long = one_line(f"There is no column 'a{' b' * 5_000}c'. Known: text.")
    assert long.startswith("There is no column 'a b")
    assert long.endswith(" bc'. Known: text.")
    assert len(long) == LONGEST_VALUE + len("There is no column . Known: text.")
    assert len(one_line(f"There is no file {'x' * 5_000}.")) == LONGEST_VALUE + len("There is no file ")
    assert len(one_line("a b " * 5_000)) == LONGEST_MESSAGE
