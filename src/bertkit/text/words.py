"""Text to counted words: all that a vocabulary is learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from unicodedata import normalize

from tokenizers import pre_tokenizers

from bertkit.errors import UserError
from bertkit.text.tokenizer import encodable, make_normaliser

MOST_TOKENS = 1_000_000
MOST_WORDS = 5_000_000


class WordCounter:
    """Counts the words of a text as BERT cuts them, in memory that the length of the text does not set.

    What stands between two spaces is counted as it is, and each different such token is cleaned and cut
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
        self._tokens: Counter[str] = Counter()
        self._words: Counter[str] = Counter()

    def add(self, text: str) -> None:
        """Count the words of one text."""
        self._tokens.update(text.replace("\n", " ").split(" "))
        if len(self._tokens) > MOST_TOKENS:
            self._cut()

    def counts(self) -> Counter[str]:
        """How often each word occurred so far."""
        self._cut()
        return Counter(self._words)

    def _cut(self) -> None:
        """Turn the tokens counted since the last time into words."""
        for token, count in self._tokens.items():
            clean = self._normaliser.normalize_str(encodable(token))
            for word, _ in self._splitter.pre_tokenize_str(clean):
                self._words[word] += count
        self._tokens.clear()
        rare = 0
        while len(self._words) > MOST_WORDS:
            rare += 1
            self._words = Counter({word: count for word, count in self._words.items() if count > rare})


def select(
    counts: Mapping[str, int], *, longest: int, reserved: Sequence[str], alphabet: int
) -> list[tuple[str, int]]:
    """The words to learn from with their counts, the most frequent first.

    Args:
        counts: how often each word occurs.
        longest: characters of a word at most.
        reserved: words spelled like one of these are left out.
        alphabet: characters at most, the most frequent ones; words with another are left out.
    """
    known = frozenset(reserved)
    candidates = [(word, n) for word, n in counts.items() if len(word) <= longest and word not in known]
    characters: Counter[str] = Counter()
    for word, count in candidates:
        for character in word:
            characters[character] += count
    allowed = set(sorted(characters, key=lambda character: (-characters[character], character))[:alphabet])
    words = [(word, count) for word, count in candidates if allowed.issuperset(word)]
    return sorted(words, key=lambda item: item[1], reverse=True)[:MOST_WORDS]


def fold_case(counts: Mapping[str, int]) -> Counter[str]:
    """The counts of words after NFKC case folding, which is how keras_nlp lower-cases.

    It goes further than BERT's lower-casing: an ellipsis character becomes three periods and ß two letters.
    """
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        # Some signs fold to a space and an accent, and no piece holds a space.
        for part in normalize("NFKC", normalize("NFKC", word).casefold()).split():
            folded[part] += count
    return folded


def check_room(size: int, needed: int) -> None:
    """Raise `UserError` if the pieces that every word may need are more than the size asked for."""
    if needed > size:
        raise UserError(
            f"A vocabulary of {size} pieces has no room for the reserved pieces and the single characters of "
            f"this text, which are {needed}; ask for more pieces or for a smaller alphabet."
        )
