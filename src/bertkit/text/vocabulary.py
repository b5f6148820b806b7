"""Learning a WordPiece vocabulary: words are counted once, and a learner sees nothing but the counts.

Two learners: the trainer of `tokenizers`, and that of tensorflow-text: whole words first, then the rests of
words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, repeat
from typing import Any

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from bertkit.errors import UserError, nearest
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary_files import MAX_WORD_CHARACTERS, SPECIALS, UNK, vowel_signs
from bertkit.text.words import MOST_WORDS, WordCounter, fold_case

CONTINUATION = "##"

LONGEST_WORD = 50
ROUNDS = 4
HIGHEST_THRESHOLD = 10_000_000
SLACK = 0.05


def select(counts: Mapping[str, int], options: VocabularyOptions, *, longest: int) -> list[tuple[str, int]]:
    """The words to learn from with their counts, the most frequent first.

    Left out are words of more than `longest` characters, those spelled like a reserved token, and those with
    a character that the alphabet does not keep.
    """
    allowed = choose_alphabet(counts, options, longest=longest).kept
    words = [(w, n) for w, n in _candidates(counts, options, longest) if allowed.issuperset(w)]
    return sorted(words, key=lambda item: item[1], reverse=True)[:MOST_WORDS]


def _candidates(counts: Mapping[str, int], options: VocabularyOptions, longest: int) -> list[tuple[str, int]]:
    reserved = frozenset(options.reserved)
    return [(word, n) for word, n in counts.items() if len(word) <= longest and word not in reserved]


@dataclass(frozen=True)
class Alphabet:
    """The single characters that words may have.

    Attributes:
        kept: the characters.
        found: how many the text has.
        covered: share of the text's characters that the kept ones are.
    """

    kept: frozenset[str]
    found: int
    covered: float


def choose_alphabet(counts: Mapping[str, int], options: VocabularyOptions, *, longest: int) -> Alphabet:
    """The most frequent characters of the words that may be learned from.

    As many as `options.alphabet` says; or, where it says nothing, `ALPHABET`, and more until they are the
    share `options.alphabet_coverage` of the text, while the vocabulary has room for them.
    """
    characters: Counter[str] = Counter()
    inside: set[str] = set()
    for word, count in _candidates(counts, options, longest):
        inside.update(word[1:])
        for character in word:
            characters[character] += count
    ordered = sorted(characters, key=lambda character: (-characters[character], character))
    total = max(1, characters.total())
    most, covered, tokens = 0, 0, len(options.reserved)
    for character in ordered:
        tokens += 1 + (character in inside)
        if options.alphabet is not None:
            full = most == options.alphabet
        else:
            full = most >= ALPHABET and (
                covered >= options.alphabet_coverage * total or tokens > options.size
            )
        if full:
            break
        most, covered = most + 1, covered + characters[character]
    return Alphabet(frozenset(ordered[:most]), len(ordered), covered / total)


def check_room(size: int, needed: int) -> None:
    """Raise `UserError` if the tokens that every word may need are more than the size asked for."""
    if needed > size:
        raise UserError(
            f"A vocabulary of {size} tokens has no room for the reserved tokens and the single characters of "
            f"this text, which are {needed}; ask for more tokens or for a smaller alphabet."
        )


def learn_topdown(counts: Mapping[str, int], options: VocabularyOptions, min_frequency: int) -> list[str]:
    """Search the frequency threshold whose vocabulary is at most `size` tokens, and at most 5 % fewer.

    The result is that of `learn` in tensorflow_text/tools/wordpiece_vocab/wordpiece_tokenizer_learner_lib.py
    with its defaults, which is what `keras_nlp.tokenizers.compute_word_piece_vocabulary` runs. The size falls
    in jumps where the threshold rises, and the search ends at `min_frequency`: on little text the result is
    far smaller than asked for. A result that is still too large is cut at `size`, as keras_nlp does.

    Args:
        counts: how often each word occurs.
        options: tokens at most, those to put first, and characters at most.
        min_frequency: the lowest threshold.

    Raises:
        UserError: the characters alone are more than `size` tokens.
    """
    size, reserved = options.size, options.reserved
    words = select(counts, options, longest=LONGEST_WORD)
    characters = sorted({character for word, _ in words for character in word})
    check_room(size, len(reserved) + len(characters))
    low = max(min(counts.values()), min_frequency)
    high = min(max(counts.values()), HIGHEST_THRESHOLD)
    while True:
        threshold = (low + high) // 2
        by_count = _learn_with_threshold(words, characters, threshold)
        tokens = list(dict.fromkeys([*reserved, *characters, *by_count]))
        fits = 0 <= size - len(tokens) <= SLACK * size
        if fits or low >= high or threshold <= 1:
            return tokens[:size]
        if len(tokens) > size:
            low = threshold + 1
        else:
            high = threshold - 1


def _learn_with_threshold(
    words: Sequence[tuple[str, int]], characters: Sequence[str], threshold: int
) -> list[str]:
    """All tokens that occur at least `threshold` times and all single ones, the most frequent first.

    The published procedure counts every substring from every place where a word may be cut, then goes from
    the longest to the shortest and takes the count of each from all its prefixes. Of a prefix that leaves
    exactly the number of words that end with it, so only the rests of words are counted here: as many steps
    a word as it has cuts, where substrings would take the square of its length.
    """
    singles = dict.fromkeys([*characters, *(CONTINUATION + character for character in characters)], 1)
    tokens: dict[str, int] = {}
    for turn in range(ROUNDS):
        rests: Counter[str] = Counter()
        for word, count in words:
            rests[word] += count
            for cut in _cuts(word, tokens) if turn else range(1, len(word)):
                rests[CONTINUATION + word[cut:]] += count
        tokens = singles | {rest: count for rest, count in rests.items() if count >= threshold}
    return sorted(tokens, key=lambda token: (-tokens[token], token))


def _cuts(word: str, tokens: Mapping[str, int]) -> list[int]:
    """Where greedy longest-match WordPiece cuts inside `word`; every single character is a token."""
    cuts: list[int] = []
    start, prefix = 0, ""
    while True:
        end = len(word)
        while prefix + word[start:end] not in tokens:
            end -= 1
        if end == len(word):
            return cuts
        cuts.append(end)
        start, prefix = end, CONTINUATION


RESERVED = ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")
"""What stands first in a vocabulary, in the order of keras_nlp."""

ALPHABET = 1_000
"""Single characters at least, where a text has so many; tensorflow-text never takes more."""

COVERAGE = 0.9995
"""Share of a text's characters that the alphabet keeps, as SentencePiece has it for Chinese and Japanese."""

_WORDS_A_LINE = 1_000


SIZES = ((3_000_000, 4_096), (30_000_000, 8_192), (300_000_000, 16_384))
"""Up to so many characters of text, so many tokens: more would each be seen too rarely to be learned."""
LARGEST_SIZE = 32_768


def size_for(characters: int) -> int:
    """Tokens of a vocabulary for so much text, where nobody says."""
    return next((size for most, size in SIZES if characters <= most), LARGEST_SIZE)


@dataclass(frozen=True)
class Algorithm:
    """A row of the table of learners.

    Attributes:
        learn: from counts of words, options and the least number of occurrences to tokens.
        min_frequency: how often a token must occur where nobody says.
        longest: characters of a word that is learned from, at most.
        folds_case: whether an uncased vocabulary is learned from `fold_case`d words.
    """

    learn: Callable[[Mapping[str, int], VocabularyOptions, int], list[str]]
    min_frequency: int
    longest: int
    folds_case: bool


@dataclass(frozen=True, kw_only=True)
class VocabularyOptions:
    """What is to be learned.

    Attributes:
        size: tokens asked for, the reserved ones counted; there may be fewer where the text has no more.
        algorithm: "wordpiece" joins the most frequent pair of tokens until the size is reached, with the
            trainer of the `tokenizers` library; "topdown" is tensorflow-text's, see `learn_topdown`, on words
            in lower case as keras_nlp makes it: it learns no ß, and other letters that folding replaces.
        lowercase: of the tokenizer that will use it, as the next two.
        strip_accents: likewise.
        split_cjk: likewise.
        reserved: tokens to put first, BERT's special tokens among them.
        min_frequency: how often a token must occur; None for the algorithm's own.
        alphabet: single characters at most, the most frequent ones; words with another are left out. None:
            as many as `alphabet_coverage` asks for, see `choose_alphabet`.
        alphabet_coverage: share of the text's characters that they are.

    Raises:
        UserError: the algorithm is unknown, or a special token is not reserved or one is twice.
    """

    size: int
    algorithm: str = "wordpiece"
    lowercase: bool = True
    strip_accents: bool | None = None
    split_cjk: bool = True
    reserved: Sequence[str] = RESERVED
    min_frequency: int | None = None
    alphabet: int | None = None
    alphabet_coverage: float = COVERAGE

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise UserError(
                f"There is no vocabulary algorithm {self.algorithm!r}."
                f"{nearest(self.algorithm, list(ALGORITHMS))}"
            )
        missing = [name for name in SPECIALS if name not in self.reserved]
        if missing:
            raise UserError(
                f"The reserved tokens lack {', '.join(missing)}, which BERT needs; reserve them too."
            )
        for name, count in Counter(self.reserved).items():
            if count > 1:
                raise UserError(f"The token {name!r} is reserved twice; an id has one token.")
            if name.split() != [name]:
                raise UserError(f"The reserved token {name!r} is empty or holds a space, which no token may.")

    @property
    def cleaning(self) -> dict[str, Any]:
        """What is done to a text before it is cut."""
        return {name: getattr(self, name) for name in ("lowercase", "strip_accents", "split_cjk")}


@dataclass(frozen=True)
class Learned:
    """A vocabulary, and what it was learned from.

    Attributes:
        tokens: of the vocabulary.
        texts: that were read.
        words: in all of them.
        distinct_words: different ones among them.
        alphabet: the characters that its words may have.
        vowel_signs: that are stripped with the accents.
        whole_words: different words of more than one character, which tokens can be learned from.
        held_out: `texts`, `words`, `fertility` and `unknown` of those that another vocabulary, learned in the
            same way, had not seen; None where none were held out.
    """

    tokens: list[str]
    texts: int
    words: int
    distinct_words: int
    alphabet: Alphabet
    vowel_signs: int
    whole_words: int
    held_out: dict[str, float] | None


def learn(texts: Iterable[str], options: VocabularyOptions) -> list[str]:
    """Learn a vocabulary from texts of any length, read once; raises what `learn_from_counts` does."""
    return learn_and_judge(texts, options).tokens


def learn_and_judge(texts: Iterable[str], options: VocabularyOptions, every: int = 0) -> Learned:
    """Learn a vocabulary, and say how well it fits text that it has not seen.

    Args:
        texts: of any length, read once.
        options: what is to be learned.
        every: hold every so-maniest text out and judge on these: another vocabulary, of the others, for the
            one that is kept sees them all. 0: do not judge.

    Raises:
        UserError: see `learn_from_counts`.
    """
    counters = {held: WordCounter(**options.cleaning) for held in (False, True)}
    numbers: Counter[bool] = Counter()
    strips = options.lowercase if options.strip_accents is None else options.strip_accents
    signs = 0
    for number, text in enumerate(texts, start=1):
        held = every > 0 and number % every == 0
        counters[held].add(text)
        signs += vowel_signs(text) if strips else 0
        numbers[held] += 1
    others, kept_back = counters[False].counts(), counters[True].counts()
    judged = None
    if others and kept_back:
        tokenizer = Tokenizer.from_vocabulary(learn_from_counts(others, options), **options.cleaning)
        judged = {"texts": numbers[True], **asdict(measure(tokenizer, kept_back))}
    counts = others + kept_back
    tokens = learn_from_counts(counts, options)
    alphabet = choose_alphabet(counts, options, longest=ALGORITHMS[options.algorithm].longest)
    whole = sum(len(word) > 1 for word in counts)
    return Learned(tokens, numbers.total(), counts.total(), len(counts), alphabet, signs, whole, judged)


def learn_from_counts(counts: Mapping[str, int], options: VocabularyOptions) -> list[str]:
    """Learn a vocabulary from words that occur so often; equal counts give equal tokens in equal order.

    Raises:
        UserError: there are no words, or the single characters alone are more than `size` tokens.
    """
    row = ALGORITHMS[options.algorithm]
    words = fold_case(counts) if row.folds_case and options.lowercase else counts
    if not words:
        raise UserError("There is no word in the text to learn a vocabulary from.")
    least = row.min_frequency if options.min_frequency is None else options.min_frequency
    return row.learn(words, options, least)


def learn_wordpiece(counts: Mapping[str, int], options: VocabularyOptions, min_frequency: int) -> list[str]:
    """Join the most frequent pair of tokens until there are `size`, with the trainer of `tokenizers`.

    The trainer numbers the tokens inside words (`##a`) in the order of a hash table, which differs from run
    to run, and of equally frequent pairs takes the one with the lower numbers. So it is given all single
    characters in order, as if they were special tokens. It cannot be given counts, only words: each is
    repeated as often as it occurs, which is quick, for they need no cleaning any more.

    Raises:
        UserError: the characters alone are more than `size` tokens.
    """
    reserved = options.reserved
    words = select(counts, options, longest=MAX_WORD_CHARACTERS)
    characters = sorted({character for word, _ in words for character in word})
    inside = sorted({CONTINUATION + character for word, _ in words for character in word[1:]})
    singles = list(dict.fromkeys([*reserved, *characters, *inside]))
    check_room(options.size, len(singles))
    rust = tokenizers.Tokenizer(models.WordPiece(unk_token=UNK))
    rust.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=options.size,
        min_frequency=min_frequency,
        special_tokens=singles,
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    rust.train_from_iterator(_repeated(words), trainer=trainer)
    ids = rust.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _repeated(words: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Lines in which each word stands as often as it is counted."""
    for word, count in words:
        copies = repeat(word, count)
        while line := " ".join(islice(copies, _WORDS_A_LINE)):
            yield line


ALGORITHMS: dict[str, Algorithm] = {
    "wordpiece": Algorithm(learn_wordpiece, min_frequency=2, longest=MAX_WORD_CHARACTERS, folds_case=False),
    "topdown": Algorithm(learn_topdown, min_frequency=10, longest=LONGEST_WORD, folds_case=True),
}


@dataclass(frozen=True)
class Coverage:
    """How a vocabulary does on a text.

    Attributes:
        words: words of the text.
        fertility: tokens a word, an unknown word being one token.
        unknown: share of the words that become `[UNK]`.
    """

    words: int
    fertility: float
    unknown: float


def measure(tokenizer: Tokenizer, counts: Mapping[str, int]) -> Coverage:
    """What `tokenizer` makes of words that occur so often; there must be at least one."""
    total = sum(counts.values())
    tokens = unknown = 0
    for ids, count in zip(tokenizer.stream(list(counts)), counts.values(), strict=True):
        tokens += len(ids) * count
        unknown += (tokenizer.unk_id in ids) * count
    return Coverage(total, tokens / total, unknown / total)
