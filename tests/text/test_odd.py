"""What is odd about a text is found in it, and not in plain text of any language."""

import pytest

from bertkit.text.odd import ODDITIES, is_mixed, main_script, scripts

ODD = {
    "control": ["a\x08b", "caf\x92", "\x00"],
    "replacement": ["caf\ufffd"],
    "invisible": ["so\u00adft", "zero\u200bwidth", "\ufeffstart", "\u202eright"],
    "mojibake": [
        text.encode().decode("cp1252", "replace").replace("\ufffd", "\x81")
        for text in ("café", "naïve", "a\xa0b", "it’s – “so”", "grin 😀", "привет", "中文")
    ],
    "html": ["<b>bold</b>", "a<br />b", "AT&amp;T", "Wall Street #39;s", '<a href="x">y</a>', "a &#8217; b"],
    "escapes": ["one\\ntwo".replace("two", " two"), "caf\\u00e9", "\\x45\\x62ony"],
    "quoted": ['"the whole ""text"""', ' "a ""so-called"" text" '],
    "wordless": ["...", ":-(", "😀", ""],
}
PLAIN = [
    "Plain text, with signs: 1 < 2 & 3 > 2; #1 of 39;",
    "Ça va? État d'âme, naïveté; ÂGE, CRÈME, São NÃO.",
    "Ångström, Übermaß – „so“, “so”, ‘so’… © ® £5 ½",
    "Привет, мир! Ñandú.",
    "中文文本，没有问题。",
    "日本語のテキスト、カタカナ。",
    "می‌خواهم",
    "नमस्ते दुनिया",
    "👩‍👩‍👧 family",
    '"Yes," she said, "no."',
    '"All of it was said."',
    "tab\tand\r\nline",
    "C:\\new_folder\\temp",
]


def names(text: str) -> list[str]:
    return [oddity.name for oddity in ODDITIES if oddity.find(text)]


def test_every_oddity_has_its_cases() -> None:
    assert [oddity.name for oddity in ODDITIES] == list(ODD)


@pytest.mark.parametrize("name", ODD)
def test_an_oddity_is_found(name: str) -> None:
    assert [text for text in ODD[name] if name not in names(text)] == []


@pytest.mark.parametrize("text", PLAIN, ids=range(len(PLAIN)))
def test_plain_text_is_not_odd(text: str) -> None:
    assert names(text) == []


def test_scripts() -> None:
    assert scripts("two 1 ы!") == {"Latin": 3, "Cyrillic": 1}
    assert scripts("日本語の") == {"Han": 3, "Kana": 1}
    assert scripts("123 :)") == {}
    cases = {
        "abc ы": "Latin",
        "ы": "Cyrillic",
        "日本語の": "Kana",
        "中文": "Han",
        "한국어": "Hangul",
        "1": "",
    }
    assert {text: main_script(text) for text in cases} == cases
    assert main_script("¯\\_(ツ)_/¯ laugh") == "Latin"
    assert is_mixed("half по-русски half")
    assert not any(map(is_mixed, ("日本語の テキスト", "привет, это Python и всё такое прочее", "plain", "")))
