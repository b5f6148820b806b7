"""The top-down WordPiece learner of tensorflow-text: whole words first, then the rests of words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bertkit.text.words import check_room, select

CONTINUATION = "##"

LONGEST_WORD = 50
ROUNDS = 4
HIGHEST_THRESHOLD = 10_000_000
SLACK = 0.05


def learn_topdown(
    counts: Mapping[str, int], *, size: int, reserved: Sequence[str], alphabet: int, min_frequency: int
) -> list[str]:
    """Search the frequency threshold whose vocabulary is at most `size` pieces, and at most 5 % fewer.

    The result is that of `learn` in tensorflow_text/tools/wordpiece_vocab/wordpiece_tokenizer_learner_lib.py
    with its defaults, which is what `keras_nlp.tokenizers.compute_word_piece_vocabulary` runs. The size falls
    in jumps where the threshold rises, and the search ends at `min_frequency`: on little text the result is
    far smaller than asked for. A result that is still too large is cut at `size`, as keras_nlp does.

    Args:
        counts: how often each word occurs.
        size: pieces at most.
        reserved: pieces to put first.
        alphabet: characters at most.
        min_frequency: the lowest threshold.

    Raises:
        UserError: the characters alone are more than `size` pieces.
    """
    words = select(counts, longest=LONGEST_WORD, reserved=reserved, alphabet=alphabet)
    characters = sorted({character for word, _ in words for character in word})
    check_room(size, len(reserved) + len(characters))
    low = max(min(counts.values()), min_frequency)
    high = min(max(counts.values()), HIGHEST_THRESHOLD)
    while True:
        threshold = (low + high) // 2
        by_count = _learn_with_threshold(words, characters, threshold)
        pieces = list(dict.fromkeys([*reserved, *characters, *by_count]))
        fits = 0 <= size - len(pieces) <= SLACK * size
        if fits or low >= high or threshold <= 1:
            return pieces[:size]
        if len(pieces) > size:
            low = threshold + 1
        else:
            high = threshold - 1


def _learn_with_threshold(
    words: Sequence[tuple[str, int]], characters: Sequence[str], threshold: int
) -> list[str]:
    """All pieces that occur at least `threshold` times and all single ones, the most frequent first.

    The published procedure counts every substring from every place where a word may be cut, then goes from
    the longest to the shortest and takes the count of each from all its prefixes. Of a prefix that leaves
    exactly the number of words that end with it, so only the rests of words are counted here: as many steps
    a word as it has cuts, where substrings would take the square of its length.
    """
    singles = dict.fromkeys([*characters, *(CONTINUATION + character for character in characters)], 1)
    pieces: dict[str, int] = {}
    for turn in range(ROUNDS):
        rests: Counter[str] = Counter()
        for word, count in words:
            rests[word] += count
            for cut in _cuts(word, pieces) if turn else range(1, len(word)):
                rests[CONTINUATION + word[cut:]] += count
        pieces = singles | {rest: count for rest, count in rests.items() if count >= threshold}
    return sorted(pieces, key=lambda piece: (-pieces[piece], piece))


def _cuts(word: str, pieces: Mapping[str, int]) -> list[int]:
    """Where greedy longest-match WordPiece cuts inside `word`; every single character is a piece."""
    cuts: list[int] = []
    start, prefix = 0, ""
    while True:
        end = len(word)
        while prefix + word[start:end] not in pieces:
            end -= 1
        if end == len(word):
            return cuts
        cuts.append(end)
        start, prefix = end, CONTINUATION
