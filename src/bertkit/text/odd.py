"""What is odd about a text: signs of a wrong decoding or of markup, and the scripts that it is written in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

# How Windows shows the bytes 0x80 to 0xbf, which continue a sign of UTF-8.
_REST = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_TAGS = (
    "a|abbr|article|b|big|blockquote|body|br|button|center|code|dd|div|dl|dt|em|font|footer|form|h[1-6]|head|"
    "header|hr|html|i|iframe|img|input|label|li|link|main|meta|nav|ol|option|p|pre|s|script|section|select|"
    "small|span|strike|strong|style|sub|sup|svg|table|tbody|td|textarea|th|thead|title|tr|tt|u|ul|video"
)
_PATTERNS = {
    # Tabs and line ends are no oddity of a text.
    "control": r"[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]",
    "replacement": "\ufffd",
    # Not the joiners of Persian, Hindi and emoji.
    "invisible": "[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]",
    # é, the no-break space, quotes and dashes, emoji; two letters of Cyrillic; two ideographs.
    "mojibake": rf"Ã[{_REST}]|Â[\xa0-\xbf]|â[€\x80][{_REST}]|ðŸ[{_REST}]{{2}}|(?:[ÐÑ][{_REST}]){{2}}|"
    rf"(?:[ä-é][{_REST}]{{2}}){{2}}",
    "html": rf"</?(?:{_TAGS})(?:\s[^<>]*)?/?>|<!--|&(?:amp|lt|gt|quot|apos|nbsp|#\d+|#x[0-9a-f]+);|"
    r"(?<![\w&])#\d{2,4};",
    "escapes": r"\\(?:[nrt](?![a-z])|u[0-9a-f]{4}|x[0-9a-f]{2})",
    "quoted": r'\A\s*"(?=[^"]*"")(?:[^"]|"")*"\s*\Z',
    "wordless": r"\A[\W_]*\Z",
}
_FOUND = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _PATTERNS.items()}
_FOUND["mojibake"] = re.compile(_PATTERNS["mojibake"])


@dataclass(frozen=True)
class Oddity:
    """Something that a text may have and hardly anybody wants.

    Attributes:
        name: of it.
        words: what it is: "N texts with ...".
        means: what comes of it, a sentence.
        way: what to do about it.
        find: where it stands in a text, or None.
    """

    name: str
    words: str
    means: str
    way: str
    find: Callable[[str], re.Match[str] | None]


ODDITIES: tuple[Oddity, ...] = tuple(
    Oddity(name, words, means, way, _FOUND[name].search)
    for name, words, means, way in (
        (
            "control",
            "control characters",
            "BERT drops them; bytes 0x80 to 0x9f tell of text in cp1252 that was read as latin-1.",
            "read the source again in its own encoding (--encoding)",
        ),
        (
            "replacement",
            "the replacement character U+FFFD",
            "What stood there was lost when somebody read the text in a wrong encoding.",
            "get the text again from its source",
        ),
        (
            "invisible",
            "invisible characters (soft hyphens, zero-width spaces, direction marks)",
            "They cut words in two, or hide that two texts differ.",
            "remove them",
        ),
        (
            "mojibake",
            "UTF-8 that was read as another encoding (Ã© for é)",
            "Its words are others than those that a model has learned.",
            "decode the source as UTF-8, or mend it with ftfy",
        ),
        (
            "html",
            "HTML tags or entities",
            "They take the place of text, and may tell where a row comes from.",
            "extract the text (html.unescape, an HTML parser)",
        ),
        (
            "escapes",
            "escapes that nobody resolved (\\n, \\u00e9)",
            "They become backslashes and letters.",
            "read the source with a parser of its format",
        ),
        (
            "quoted",
            "quotes around the whole text, and doubled ones in it",
            "They tell of a file whose quoting was not read, as of CSV that is named .tsv.",
            "name the file .csv, or remove them",
        ),
        (
            "wordless",
            "no letter and no digit",
            "There is next to nothing to read.",
            "leave such rows out, unless signs such as :) are meant",
        ),
    )
)
"""In the order in which they are told. None of them is in plain text of any language."""


# By the first word of a sign's name in Unicode.
_SCRIPTS = {"CJK": "Han", "HIRAGANA": "Kana", "KATAKANA": "Kana", "HANGUL": "Hangul"}
_NAMED = (
    "Latin Greek Cyrillic Armenian Hebrew Arabic Syriac Thaana Devanagari Bengali Gurmukhi Gujarati Oriya "
    "Tamil Telugu Kannada Malayalam Sinhala Thai Lao Tibetan Myanmar Georgian Ethiopic Khmer Mongolian"
)
_SCRIPTS |= {script.upper(): script for script in _NAMED.split(" ")}


def scripts(text: str) -> Counter[str]:
    """How many letters of a text are of each script, by its name, the commonest first."""
    if text.isascii():
        letters = sum(map(str.isalpha, text))
        return Counter({"Latin": letters} if letters else {})
    found: Counter[str] = Counter()
    for letter, count in Counter(text).items():
        if script := _script(letter):
            found[script] += count
    return Counter(dict(found.most_common()))


@lru_cache(maxsize=65_536)
def _script(letter: str) -> str:
    """The script of a letter; "" of any other sign, and of letters of rarer scripts."""
    if not letter.isalpha():
        return ""
    return _SCRIPTS.get(unicodedata.name(letter, "").partition(" ")[0], "")


def main_script(text: str) -> str:
    """The script of most of a text's letters; of Japanese it is Kana, whatever share is Han; "" of none."""
    return next(iter(_as_languages(scripts(text))), "")


KANA = 0.1
"""Share of the signs of Chinese and Japanese from which they are Japanese."""
MIXED = 0.25
"""Share of a text's letters in scripts that are not its own from which it counts as mixed: a judgement. A
name or two in Latin letters are below it in most texts."""


def is_mixed(text: str) -> bool:
    """Whether a text is written in more than one script by more than a name or two; Japanese is one."""
    found = _as_languages(scripts(text))
    return found.total() - max(found.values(), default=0) > MIXED * found.total()


def _as_languages(found: Counter[str]) -> Counter[str]:
    """The commonest first, where Japanese counts as one."""
    both = found["Han"] + found["Kana"]
    if found["Kana"] and found["Kana"] >= KANA * both:
        rest = {script: count for script, count in found.items() if script not in ("Han", "Kana")}
        return Counter(dict(Counter(rest | {"Kana": both}).most_common()))
    return found
