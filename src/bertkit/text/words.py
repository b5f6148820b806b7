"""The words of a text, cut as BERT cuts them: where each stands, and how often it occurs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from unicodedata import normalize

from tokenizers import pre_tokenizers

from bertkit.text.parts import encodable
from bertkit.text.tokens import is_chinese
from bertkit.text.vocabulary_files import make_normaliser

MOST_CHUNKS = 1_000_000
MOST_WORDS = 5_000_000


class WordCounter:
    """Counts the words of a text as BERT cuts them, in memory that the length of the text does not set.

    What stands between two spaces is counted as it is, and each different such chunk is cleaned and cut
    once: ten times as fast as cleaning the text, and the same, for no rule of BERT's looks across a space.
    Of more than five million words the rarest are forgotten.
    """

    def __init__(
        self, *, lowercase: bool = True, strip_accents: bool | None = None, split_cjk: bool = True
    ) -> None:
        self._normaliser = make_normaliser(
            lowercase=lowercase, strip_accents=strip_accents, split_cjk=split_cjk
        )
        self._splitter = pre_tokenizers.BertPreTokenizer()
        self._chunks: Counter[str] = Counter()
        self._words: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count the words of one text."""
        self._chunks.update(text.replace("\n", " ").split(" "))
        if len(self._chunks) > MOST_CHUNKS:
            self._cut()

    def counts(self) -> Counter[str]:
        """How often each word occurred so far."""
        self._cut()
        return Counter(self._words)

    def _cut(self) -> None:
        """Turn the chunks counted since the last time into words."""
        for chunk, count in self._chunks.items():
            clean = self._normaliser.normalize_str(encodable(chunk))
            for word, _ in self._splitter.pre_tokenize_str(clean):
                self._words[word] += count
        self._chunks.clear()
        rare = 0
        while len(self._words) > MOST_WORDS:
            rare += 1
            self._words = Counter({word: count for word, count in self._words.items() if count > rare})


def fold_case(counts: Mapping[str, int]) -> Counter[str]:
    """The counts of words after NFKC case folding, which is how keras_nlp lower-cases.

    It goes further than BERT's lower-casing: an ellipsis character becomes three periods and ß two letters.
    """
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        # Some signs fold to a space and an accent, and no token holds a space.
        for part in normalize("NFKC", normalize("NFKC", word).casefold()).split():
            folded[part] += count
    return folded


def word_spans(text: str) -> list[tuple[int, int]]:
    """From where to where the words of a text stand in it: what BERT cuts before it looks for tokens.

    Words stand between spaces; a punctuation mark and a Chinese character are words of their own.
    """
    found: list[tuple[int, int]] = []
    for _, (start, end) in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(encodable(text)):
        begin = start
        for place in range(start, end):
            if is_chinese(text[place]):
                found += [(begin, place)] * (begin < place) + [(place, place + 1)]
                begin = place + 1
        if begin < end:
            found.append((begin, end))
    return found
