import pytest

from bertkit.errors import UserError
from bertkit.text.sentences import Splitting


def split(how: str, text: str) -> list[str]:
    return [sentence.strip() for sentence in Splitting.parse(how).splitter()(text)]


def test_sentences_of_many_scripts_without_a_word_about_the_language() -> None:
    text = "Mr. Cat sat. Did he? 他来了。他走了。\nNo stop here"
    assert split("auto", text) == ["Mr. Cat sat.", "Did he?", "他来了。", "他走了。", "No stop here"]


def test_a_language_brings_its_abbreviations() -> None:
    text = "Er kam am 3. Mai. Sie ging."
    assert split("de", text) == ["Er kam am 3. Mai.", "Sie ging."]
    assert split("auto", text) != split("de", text)


def test_lines_are_sentences_as_they_are() -> None:
    assert split("lines", "One. Two.\nThree") == ["One. Two.", "Three"]


def test_text_split_by_length_is_one_for_now() -> None:
    assert split("length:7", "One. Two.\nThree") == ["One. Two. Three"]
    assert Splitting.parse("length:7").length == 7


def test_half_a_character_does_no_harm() -> None:
    assert split("auto", "a \ud800. B.") == ["a \ufffd.", "B."]


def test_only_a_language_depends_on_a_library() -> None:
    assert Splitting.parse("auto").rules.startswith("sentencex ")
    assert Splitting.parse("lines").rules == Splitting.parse("length:7").rules == ""


@pytest.mark.parametrize(
    "how", ["", "english!", "length", "length:", "length:0", "length:-1", "lines:3", "e"]
)
def test_what_cannot_be_meant(how: str) -> None:
    with pytest.raises(UserError, match="cannot be split by"):
        Splitting.parse(how)
