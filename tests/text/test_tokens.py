import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bertkit.text import tokens
from bertkit.text.tokenizer import SPECIALS, Tokenizer
from bertkit.text.tokens import ChineseCutter, ChunkCutter, cutter_of, is_chinese
from bertkit.text.vocabulary_files import Added

WORDS = [
    "a",
    "cat",
    "##s",
    "##t",
    "s",
    "don",
    "'",
    "t",
    ",",
    "-",
    "i",
    "é",
    "e",
    "##x",
    "猫",
    "狗",
    "很",
    "好",
    ".",
]
UNCASED = Tokenizer.from_vocabulary([*SPECIALS, *WORDS])
CASED = Tokenizer.from_vocabulary([*SPECIALS, *WORDS], lowercase=False)
ADDED = Tokenizer(UNCASED.vocabulary, added=[Added("cat", single_word=True), Added("猫s", normalized=False)])
ODD = Tokenizer(UNCASED.vocabulary, added=[Added("t,s"), Added("a c"), Added("don", lstrip=True)])

# No line ends: a sentence has none.
alphabet = "acatsdoni ' ,-\t\xa0\u3000\x00\x0b\x85\u2028\u200d\u0301\u0323é猫狗İΣß\ufb01\ud800\r."
sentences = st.lists(
    st.text(alphabet=alphabet, max_size=20) | st.text(max_size=8).map(lambda t: t.replace("\n", ""))
)


def reference(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [tokenizer.encode(text).ids for text in texts]


def cut(cutter, texts: list[str]) -> list[list[int]]:
    found = cutter(texts)
    return [part.tolist() for part in np.split(found.ids, np.cumsum(found.lengths))[:-1]]


@given(sentences)
@example(["", " ", "a,\u0301cat", "cats-,'", "  a  "])
@example([])
def test_it_cuts_as_the_tokenizer_does(texts: list[str]) -> None:
    for tokenizer in (UNCASED, CASED, ADDED, ODD):
        cutter = cutter_of(tokenizer)
        assert isinstance(cutter, ChunkCutter) == (tokenizer is not ODD)
        assert cut(cutter, texts) == reference(tokenizer, texts)
        # And again, out of its memory.
        assert cut(cutter, texts[::-1]) == reference(tokenizer, texts[::-1])


def test_it_forgets_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_CHUNKS_KNOWN", 2)
    monkeypatch.setattr(tokens, "CHUNKS_AT_ONCE", 2)
    cutter = ChunkCutter(UNCASED)
    for texts in (["a cat don't"], ["cats, a"], ["a cat", "猫"]):
        assert cut(cutter, texts) == reference(UNCASED, texts)


def test_chinese_words_span_characters() -> None:
    pytest.importorskip("jieba")
    words = ["东", "西", "很", "贵", "play", "##ing", ",", "的"]
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *words])
    found = ChineseCutter(tokenizer)(["东西很贵,playing", "", "贵的"])
    assert [tokenizer.vocabulary[i] for i in found.ids] == [
        "东",
        "西",
        "很",
        "贵",
        ",",
        "play",
        "##ing",
        "贵",
        "的",
    ]
    assert found.lengths.tolist() == [7, 0, 2]
    assert found.words is not None
    # 东西 (thing) is one word of two characters.
    assert found.words.tolist() == [True, False, True, True, True, True, False, True, True]


def test_what_a_chinese_character_is() -> None:
    assert is_chinese("猫")
    assert is_chinese("\U00020000")
    assert not any(map(is_chinese, "aé。かハ한"))
