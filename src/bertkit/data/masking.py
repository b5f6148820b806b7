"""Masked tokens: which tokens of a batch are to be guessed, and what the model sees in their place.

Choosing (a function of `POLICIES`) knows nothing of what the chosen tokens become, and `Masker` nothing of
how they were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError
from bertkit.recipe.pretrain import MaskingPolicy, ObjectiveRecipe
from bertkit.text.tokenizer import Tokenizer

Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SPAN_STOPS = 0.2
"""Chance that a span ends after each of its words (SpanBERT, section 3.1)."""
LONGEST_SPAN = 10
"""Words of a span at most (the same)."""


@dataclass(frozen=True)
class Masked:
    """A packed batch with some tokens replaced.

    Attributes:
        ids_T: what the model sees, int64 [T].
        masked_M: packed indices of the chosen tokens, rising, int64 [M].
        targets_M: the tokens that stood there, int64 [M].
    """

    ids_T: Indices
    masked_M: Indices
    targets_M: Indices


@dataclass(frozen=True)
class Candidates:
    """The C tokens of a packed batch that may be chosen: all but the special ones.

    Attributes:
        places_C: packed index of each, rising, int64 [C].
        sequences_C: the sequence of each, 0 to B - 1, rising, int64 [C].
        words_C: the word of each, 0 to W - 1, rising, int64 [C]. No word goes over a special token.
        budgets_B: how many tokens of each sequence are to be chosen, never more than it has, int64 [B].
    """

    places_C: Indices
    sequences_C: Indices
    words_C: Indices
    budgets_B: Indices


@dataclass(frozen=True)
class Choice:
    """What a policy chose.

    Attributes:
        chosen_M: indices into the candidates, rising, int64 [M].
        groups_M: chosen tokens of the same group share one fate (all masked, all random or all kept), any
            integers that rise, int64 [M].
    """

    chosen_M: Indices
    groups_M: Indices


Policy = Callable[[Candidates, np.random.Generator], Choice]


class Masker:
    """Chooses tokens and corrupts them, a packed batch at a time.

    The number chosen in a sequence is that of `create_masked_lm_predictions` in google-research/bert's
    create_pretraining_data.py: `rate` times the length, rounded, and at least one. (The original's limit
    `max_predictions_per_seq` is not there: it exists because its tensors have a fixed size.) A random token
    is any but the special ones, which the original takes as well.
    """

    def __init__(self, tokenizer: Tokenizer, objective: ObjectiveRecipe) -> None:
        """Make the tables of the vocabulary.

        Args:
            tokenizer: that cut the text.
            objective: says how many tokens are chosen, and what they become.

        Raises:
            UserError: random tokens are wanted, and the vocabulary has none but the special ones.
        """
        self.objective = objective
        self.policy = POLICIES[objective.masking]
        self.mask_id = tokenizer.mask_id
        never = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
        self.choosable_V = np.ones(tokenizer.size, dtype=np.bool_)
        self.choosable_V[never] = False
        self.begins_V = ~tokenizer.continues_V
        self.ordinary = np.setdiff1d(np.arange(tokenizer.size), [*never, tokenizer.unk_id])
        if not len(self.ordinary) and objective.random_share > 0:
            raise UserError(
                "The vocabulary has special tokens only, so none can take the place of a masked one; learn a "
                "vocabulary from text with `bertkit vocab`."
            )

    def __call__(
        self,
        ids_T: npt.NDArray[Any],
        lengths: Sequence[int] | Indices,
        random: np.random.Generator,
        words_T: Flags | None = None,
    ) -> Masked:
        """Choose and corrupt.

        Args:
            ids_T: whole sequences `[CLS] a [SEP] (b [SEP])`, packed, [T].
            lengths: tokens of each sequence, B integers whose sum is T.
            random: decides everything; the same state and the same batch give the same result.
            words_T: True where a token begins a word, [T]; None: where it does not begin with `##`.

        Returns:
            The batch; `ids_T` itself is not changed. With `whole-word` and `span` a sequence all of whose
            words are longer than its budget has no masked token, as in the original.
        """
        ids_T = np.asarray(ids_T, dtype=np.int64)
        lengths_B = np.asarray(lengths, dtype=np.int64)
        if lengths_B.sum() != len(ids_T):
            raise ValueError(f"lengths add up to {lengths_B.sum()}, and there are {len(ids_T)} tokens")
        begins_T = self.begins_V[ids_T] if words_T is None else words_T
        candidates = _candidates(self.choosable_V[ids_T], begins_T, lengths_B, self.objective.rate)
        choice = self.policy(candidates, random)
        masked_M, groups_M = candidates.places_C[choice.chosen_M], choice.groups_M
        # One throw for each group, at the index of its first token.
        throws_M = random.random(len(groups_M))[np.searchsorted(groups_M, groups_M)]
        mask_share, random_share = self.objective.mask_share, self.objective.random_share
        corrupted_T = ids_T.copy()
        corrupted_T[masked_M[throws_M < mask_share]] = self.mask_id
        at = masked_M[(throws_M >= mask_share) & (throws_M < mask_share + random_share)]
        if len(at):
            corrupted_T[at] = self.ordinary[random.integers(len(self.ordinary), size=len(at))]
        return Masked(ids_T=corrupted_T, masked_M=masked_M, targets_M=ids_T[masked_M])


def _candidates(choosable_T: Flags, begins_T: Flags, lengths_B: Indices, rate: float) -> Candidates:
    places_C = np.flatnonzero(choosable_T)
    sequences_C = np.repeat(np.arange(len(lengths_B)), lengths_B)[places_C]
    # After a special token, and in a new sequence, a word begins whatever the token says: a truncated
    # segment may begin inside a word.
    begins_C = begins_T[places_C] | ~_next_to_the_one_before(places_C, sequences_C)
    words_C = np.cumsum(begins_C) - 1
    present_B = np.bincount(sequences_C, minlength=len(lengths_B))
    # rint and Python's round, which the original uses, both take a half to the even number.
    wanted_B = np.maximum(1, np.rint(lengths_B * rate).astype(np.int64))
    return Candidates(places_C, sequences_C, words_C, np.minimum(wanted_B, present_B))


def _next_to_the_one_before(places: Indices, sequences: Indices) -> Flags:
    """Whether the entry before is the packed neighbour, in the same sequence; the first has none before."""
    joined: Flags = (np.diff(places, prepend=-2) == 1) & (np.diff(sequences, prepend=-1) == 0)
    return joined


def choose_tokens(candidates: Candidates, random: np.random.Generator) -> Choice:
    """Each token alone, all equally likely, exactly as many as the budget says (Devlin et al. 2018)."""
    sequences_C = candidates.sequences_C
    order_C = _shuffled_within(sequences_C, random)
    # `order_C` goes through the sequences in their order, so these are also the sequences of its entries.
    first_B = np.searchsorted(sequences_C, np.arange(len(candidates.budgets_B)))
    rank_C = np.arange(len(order_C)) - first_B[sequences_C]
    chosen_M = np.sort(order_C[rank_C < candidates.budgets_B[sequences_C]])
    return Choice(chosen_M, chosen_M)


def choose_words(candidates: Candidates, random: np.random.Generator) -> Choice:
    """All tokens of some words, in random order; a word that would exceed the budget is passed over.

    `do_whole_word_mask` of google-research/bert's create_pretraining_data.py. There a segment that was cut
    inside a word lends its first tokens to the last word before the `[SEP]`; here they are a word.
    """
    words_C = candidates.words_C
    firsts_W = _first_of_each(words_C)
    sizes_W = np.diff(firsts_W, append=len(words_C))
    sequences_W = candidates.sequences_C[firsts_W]
    order_W = _shuffled_within(sequences_W, random)
    sizes, order = sizes_W[order_W].tolist(), order_W.tolist()
    ends = np.searchsorted(sequences_W, np.arange(len(candidates.budgets_B)), side="right").tolist()
    chosen_W = np.zeros(len(firsts_W), dtype=np.bool_)
    chosen: list[int] = []
    begin = 0
    for left, end in zip(candidates.budgets_B.tolist(), ends, strict=True):
        for at in range(begin, end):
            if not left:
                break
            if sizes[at] <= left:
                left -= sizes[at]
                chosen.append(order[at])
        begin = end
    chosen_W[chosen] = True
    chosen_M = np.flatnonzero(chosen_W[words_C])
    return Choice(chosen_M, chosen_M)


def choose_spans(candidates: Candidates, random: np.random.Generator) -> Choice:
    """Spans of whole words, until the budget is filled or no word fits any more.

    SpanBERT (Joshi et al. 2019, arXiv:1907.10529), section 3.1. A span starts at the word of a random token;
    the number of its words is geometric, of at most `LONGEST_SPAN`. It ends early before a special token, a
    word that is chosen already, and a word that would exceed the budget (the authors' program cuts that
    word). All tokens of a span share one fate.
    """
    words_C = candidates.words_C
    firsts_W = _first_of_each(words_C)
    sizes = np.diff(firsts_W, append=len(words_C)).tolist()
    order_C = _shuffled_within(candidates.sequences_C, random)
    words, wanted = words_C[order_C].tolist(), _span_lengths(len(order_C), random).tolist()
    ends = np.searchsorted(candidates.sequences_C, np.arange(len(candidates.budgets_B)), "right").tolist()
    joined_C = _next_to_the_one_before(candidates.places_C, candidates.sequences_C)
    goes_on = np.append(joined_C[firsts_W[1:]], False).tolist()  # is the next word right behind this one?
    owner: dict[int, int] = {}
    begin = 0
    for left, end in zip(candidates.budgets_B.tolist(), ends, strict=True):
        for at in range(begin, end):
            if not left:
                break
            word = anchor = words[at]
            for _ in range(wanted[at]):
                if word in owner or sizes[word] > left:
                    break
                owner[word] = anchor
                left -= sizes[word]
                if not goes_on[word]:
                    break
                word += 1
        begin = end
    span_W = np.full(len(firsts_W), -1, dtype=np.int64)
    span_W[list(owner.keys())] = list(owner.values())
    groups_C = span_W[words_C]
    chosen_M = np.flatnonzero(groups_C >= 0)
    return Choice(chosen_M, groups_C[chosen_M])


POLICIES: dict[MaskingPolicy, Policy] = {
    "token": choose_tokens,
    "whole-word": choose_words,
    "span": choose_spans,
}
"""Masking policy -> function of the candidates that says which of them are chosen."""


def _shuffled_within(sequences: Indices, random: np.random.Generator) -> Indices:
    """Indices in random order, but all of sequence 0 first, then those of sequence 1, ...; they rise."""
    return np.argsort((sequences << 32) | random.integers(2**32, size=len(sequences)))


def _first_of_each(rising: Indices) -> Indices:
    """Index of the first of each run of equal numbers."""
    return np.flatnonzero(np.diff(rising, prepend=-1))


def _span_lengths(count: int, random: np.random.Generator) -> Indices:
    """Lengths of spans in words: geometric, those over the longest left out, so that the mean is 3.8."""
    chances = SPAN_STOPS * (1 - SPAN_STOPS) ** np.arange(LONGEST_SPAN)
    steps = np.cumsum(chances / chances.sum())[:-1]
    return np.searchsorted(steps, random.random(count), side="right") + 1


@dataclass(frozen=True)
class Realised:
    """What masking did, counted; add the counts of many batches, then take `shares`.

    Attributes:
        tokens: all tokens, the special ones too.
        chosen: those that are to be guessed.
        masked: of these, `[MASK]` now.
        random: of these, another token now.
        kept: of these, what they were, a random token that happened to be the same included.
    """

    tokens: int = 0
    chosen: int = 0
    masked: int = 0
    random: int = 0
    kept: int = 0

    def __add__(self, other: Realised) -> Realised:
        return Realised(*map(add, astuple(self), astuple(other)))

    def shares(self) -> dict[str, float]:
        """`chosen` as a share of all tokens; `masked`, `random` and `kept` as shares of the chosen."""
        of_chosen = {name: getattr(self, name) / max(1, self.chosen) for name in ("masked", "random", "kept")}
        return {"chosen": self.chosen / max(1, self.tokens), **of_chosen}


def realised(masked: Masked, mask_id: int) -> Realised:
    """Count what became of a batch's chosen tokens."""
    now_M = masked.ids_T[masked.masked_M]
    hidden, kept = int((now_M == mask_id).sum()), int((now_M == masked.targets_M).sum())
    chosen = len(now_M)
    return Realised(len(masked.ids_T), chosen, hidden, chosen - hidden - kept, kept)
