from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bertkit.data.masking import (
    LONGEST_SPAN,
    POLICIES,
    Candidates,
    Masked,
    Masker,
    Realised,
    _span_lengths,
    realised,
)
from bertkit.errors import UserError
from bertkit.recipe.pretrain import MaskingPolicy, ObjectiveRecipe
from bertkit.text.tokenizer import SPECIALS, Tokenizer

PAD, UNK, CLS, SEP, MASK = range(5)
tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *"abcdefg", "##x", "##y", "##z"])
A, B, C, D, E, F, G, X, Y, Z = range(5, 15)
BEGINS = {UNK, A, B, C, D, E, F, G}

policies = pytest.mark.parametrize("policy", POLICIES)
segments = st.lists(st.integers(5, 14) | st.just(UNK), max_size=40)
batches = st.lists(
    st.builds(lambda a, b: [CLS, *a, SEP, *([*b, SEP] if b else [])], segments, segments),
    min_size=1,
    max_size=5,
)
rates = st.floats(0.01, 1)
seeds = st.integers(0, 2**32)


def budget(sequence: list[int], rate: float) -> int:
    wanted = max(1, round(len(sequence) * rate))
    return min(wanted, sum(token not in (CLS, SEP) for token in sequence))


def words_of(ids: list[int], begins: list[bool] | None = None) -> list[list[int]]:
    """The loop of google-research/bert, but that a special token ends a word; indices of tokens."""
    words: list[list[int]] = []
    for at, token in enumerate(ids):
        if token in (CLS, SEP):
            continue
        start = token in BEGINS if begins is None else begins[at]
        if not start and words and words[-1][-1] == at - 1:
            words[-1].append(at)
        else:
            words.append([at])
    return words


def mask(
    policy: MaskingPolicy, batch: list[list[int]], rate: float = 0.15, seed: int = 0, words=None, **shares
) -> Masked:
    masker = Masker(tokenizer, ObjectiveRecipe(masking=policy, rate=rate, **shares))
    ids = np.array([token for sequence in batch for token in sequence], dtype=np.int32)
    flags = None if words is None else np.array([flag for sequence in words for flag in sequence])
    return masker(ids, [len(sequence) for sequence in batch], np.random.default_rng(seed), flags)


def chosen_of(masked: Masked, batch: list[list[int]]) -> list[list[int]]:
    """The places of the chosen tokens of each sequence, counted in the sequence."""
    chosen, start = [], 0
    for sequence in batch:
        inside = (masked.masked_M >= start) & (masked.masked_M < start + len(sequence))
        chosen.append((masked.masked_M[inside] - start).tolist())
        start += len(sequence)
    return chosen


def test_the_table_has_every_policy_of_the_recipe() -> None:
    assert set(POLICIES) == set(get_args(MaskingPolicy))


@policies
@given(batch=batches, rate=rates, seed=seeds)
def test_what_holds_for_every_policy(
    policy: MaskingPolicy, batch: list[list[int]], rate: float, seed: int
) -> None:
    before = np.array([token for sequence in batch for token in sequence])
    masked = mask(policy, batch, rate, seed)
    assert masked.ids_T.dtype == masked.masked_M.dtype == masked.targets_M.dtype == np.int64
    assert (np.diff(masked.masked_M) > 0).all()
    assert masked.targets_M.tolist() == before[masked.masked_M].tolist()
    assert not np.isin(masked.targets_M, [PAD, CLS, SEP, MASK]).any()
    others = np.setdiff1d(np.arange(len(before)), masked.masked_M)
    assert (masked.ids_T[others] == before[others]).all()
    now = masked.ids_T[masked.masked_M]
    assert ((now == MASK) | (now == masked.targets_M) | (now > MASK)).all()
    for sequence, chosen in zip(batch, chosen_of(masked, batch), strict=True):
        assert len(chosen) <= budget(sequence, rate)
    again = mask(policy, batch, rate, seed)
    assert (again.ids_T == masked.ids_T).all()
    assert (again.masked_M == masked.masked_M).all()


@given(batch=batches, rate=rates, seed=seeds)
def test_tokens_fill_the_budget_exactly(batch: list[list[int]], rate: float, seed: int) -> None:
    masked = mask("token", batch, rate, seed)
    for sequence, chosen in zip(batch, chosen_of(masked, batch), strict=True):
        assert len(chosen) == budget(sequence, rate)


@pytest.mark.parametrize("policy", ["whole-word", "span"])
@given(batch=batches, rate=rates, seed=seeds, data=st.data())
def test_whole_words_and_as_many_as_fit(
    policy: MaskingPolicy, batch: list[list[int]], rate: float, seed: int, data: st.DataObject
) -> None:
    flags = None
    if data.draw(st.booleans()):
        flags = [data.draw(st.lists(st.booleans(), min_size=len(s), max_size=len(s))) for s in batch]
    masked = mask(policy, batch, rate, seed, flags)
    for row, (sequence, chosen) in enumerate(zip(batch, chosen_of(masked, batch), strict=True)):
        words = words_of(sequence, flags[row] if flags else None)
        taken = [word for word in words if word[0] in chosen]
        assert chosen == [at for word in taken for at in word]
        left = budget(sequence, rate) - len(chosen)
        assert all(len(word) > left for word in words if word not in taken)


def test_the_number_is_that_of_the_original_at_halves() -> None:
    # 10 * 0.15 = 1.5 and 30 * 0.15 = 4.5 go to the even number, as Python's round does.
    for length, number in [(3, 1), (10, 2), (16, 2), (17, 3), (30, 4), (128, 19), (512, 77)]:
        assert max(1, round(length * 0.15)) == number
        batch = [[CLS, *[A] * (length - 2), SEP]]
        assert len(mask("token", batch).masked_M) == number


@policies
def test_sequences_without_text_and_no_sequences(policy: MaskingPolicy) -> None:
    empty = mask(policy, [[CLS, SEP], [CLS, A, SEP], [CLS, SEP, SEP]], mask_share=1, random_share=0)
    assert empty.masked_M.tolist() == [3]
    assert empty.targets_M.tolist() == [A]
    assert empty.ids_T.tolist() == [CLS, SEP, CLS, MASK, SEP, CLS, SEP, SEP]
    assert mask(policy, []).ids_T.tolist() == []
    assert mask(policy, [[CLS, SEP]]).masked_M.tolist() == []


@pytest.mark.parametrize("policy", ["whole-word", "span"])
def test_a_word_longer_than_the_budget_is_never_chosen(policy: MaskingPolicy) -> None:
    assert mask(policy, [[CLS, A, X, Y, SEP]]).masked_M.tolist() == []


@pytest.mark.parametrize("policy", ["whole-word", "span"])
def test_a_segment_that_begins_inside_a_word_has_a_word_of_its_own(policy: MaskingPolicy) -> None:
    batch = [[CLS, X, SEP, Y, Z, SEP]]
    words = {tuple(mask(policy, batch, 0.3, seed).masked_M.tolist()) for seed in range(40)}
    assert (1,) in words  # Of the two tokens of the budget, `[CLS] ##x [SEP]` one
    assert words <= {(1,), (3, 4)}


def test_words_of_a_segmenter() -> None:
    # Four characters, each a word to the vocabulary; a segmenter says they are two words.
    batch, flags = [[CLS, A, B, C, D, SEP]], [[True, True, False, True, False, True]]
    for seed in range(30):
        chosen = mask("whole-word", batch, 0.34, seed, flags).masked_M.tolist()
        assert chosen in ([1, 2], [3, 4])
    free = {tuple(mask("whole-word", batch, 0.34, seed).masked_M.tolist()) for seed in range(30)}
    assert len(free) == 6
    # And the other way round: a word boundary where the vocabulary sees none.
    chosen = {
        tuple(mask("whole-word", [[CLS, A, X, SEP]], 0.25, s, [[True] * 4]).masked_M) for s in range(20)
    }
    assert chosen == {(1,), (2,)}


def test_lengths_that_are_not_those_of_the_batch() -> None:
    masker = Masker(tokenizer, ObjectiveRecipe())
    with pytest.raises(ValueError, match="lengths add up to 3, and there are 4 tokens"):
        masker(np.array([CLS, A, B, SEP]), [3], np.random.default_rng(0))


def test_a_vocabulary_of_special_tokens() -> None:
    bare = Tokenizer.from_vocabulary(SPECIALS)
    with pytest.raises(UserError, match="`bertkit vocab`"):
        Masker(bare, ObjectiveRecipe())
    ids = np.array([CLS, UNK, SEP])
    masked = Masker(bare, ObjectiveRecipe(mask_share=0.9, random_share=0))(ids, [3], np.random.default_rng(0))
    assert masked.targets_M.tolist() == [UNK]


# --- statistics, with fixed seeds -------------------------------------------------------------------------


def words_and_tokens(sequences: int, length: int, seed: int) -> tuple[np.ndarray, list[int]]:
    """Random sequences with words of one to some tokens."""
    random = np.random.default_rng(seed)
    ids = random.integers(5, 15, (sequences, length))
    ids[:, 0], ids[:, -1] = CLS, SEP
    ids[:, length // 3] = SEP
    return ids.reshape(-1), [length] * sequences


def total(policy: MaskingPolicy, masking: ObjectiveRecipe, vocabulary: Tokenizer = tokenizer) -> Realised:
    masker, random = Masker(vocabulary, masking), np.random.default_rng(5)
    counts = Realised()
    for seed in range(20):
        counts += realised(masker(*words_and_tokens(100, 60, seed), random), MASK)
    return counts


@policies
@pytest.mark.parametrize("shares", [(0.8, 0.1), (0.5, 0.5), (1.0, 0.0), (0.0, 1.0), (0.3, 0.2)])
def test_shares_of_the_chosen(policy: MaskingPolicy, shares: tuple[float, float]) -> None:
    counts = total(policy, ObjectiveRecipe(masking=policy, mask_share=shares[0], random_share=shares[1]))
    assert counts.tokens == 120_000
    assert counts.chosen == counts.masked + counts.random + counts.kept
    # One in ten random tokens is by chance the one that was there.
    masked, random = shares
    expected = np.array([masked, random * 0.9, 1 - masked - random * 0.9])
    observed = np.array([counts.masked, counts.random, counts.kept])
    assert (observed[expected < 1e-9] == 0).all()
    used = expected > 1e-9
    # Tokens of a span share their fate: as many throws as there are spans, of two tokens in the mean or so.
    throws = 3 if policy == "span" else 1
    if used.sum() > 1:
        result = stats.chisquare(observed[used] / throws, expected[used] * counts.chosen / throws)
        assert result.pvalue > 1e-3


@policies
def test_the_share_that_is_chosen(policy: MaskingPolicy) -> None:
    # 60 * 0.15 = 9 tokens; words are almost always short enough to fill it.
    chosen = total(policy, ObjectiveRecipe(masking=policy)).chosen
    assert chosen <= 20 * 100 * 9
    assert chosen >= 20 * 100 * 9 * 0.999
    assert total(policy, ObjectiveRecipe(masking=policy, rate=0.4)).shares()["chosen"] == pytest.approx(
        0.4, abs=1e-3
    )


def test_realised_counts_by_hand() -> None:
    masked = Masked(np.array([CLS, MASK, B, C, MASK, SEP]), np.array([1, 2, 3, 4]), np.array([A, B, D, E]))
    counts = realised(masked, MASK)
    assert counts == Realised(tokens=6, chosen=4, masked=2, random=1, kept=1)
    both = (counts + Realised(tokens=2)).shares()
    assert both == {"chosen": 0.5, "masked": 0.5, "random": 0.25, "kept": 0.25}
    assert Realised().shares() == {"chosen": 0, "masked": 0, "random": 0, "kept": 0}


@policies
def test_random_tokens_are_all_the_ordinary_ones_alike(policy: MaskingPolicy) -> None:
    masker, random = (
        Masker(tokenizer, ObjectiveRecipe(masking=policy, rate=0.5, mask_share=0, random_share=1)),
        np.random.default_rng(1),
    )
    masked = masker(*words_and_tokens(200, 60, 1), random)
    counts = np.bincount(masked.ids_T[masked.masked_M], minlength=15)
    assert (counts[:5] == 0).all()
    assert stats.chisquare(counts[5:]).pvalue > 1e-3


def test_every_token_is_chosen_alike() -> None:
    counts = places("token", [CLS, *[A] * 12, SEP, *[B] * 6, SEP], 2_000, 0.15).sum(axis=0)
    assert counts[[0, 13, 20]].sum() == 0
    assert stats.chisquare(counts[[*range(1, 13), *range(14, 20)]]).pvalue > 1e-3


def test_every_pair_of_tokens_is_chosen_alike() -> None:
    _, counts = np.unique(places("token", [CLS, A, B, C, D, SEP], 3_000, 0.34), axis=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_what_is_chosen_in_one_sequence_says_nothing_about_the_next() -> None:
    chosen = places("token", [CLS, A, B, C, SEP], 4_000, 0.15).argmax(axis=1)
    table = np.zeros((3, 3))
    np.add.at(table, (chosen[::2] - 1, chosen[1::2] - 1), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-3


def test_every_word_of_one_length_is_chosen_alike() -> None:
    chosen = places("whole-word", [CLS, A, X, B, Y, C, Z, SEP], 1_500, 0.25)
    values, counts = np.unique(chosen, axis=0, return_counts=True)
    assert [np.flatnonzero(value).tolist() for value in values] == [[5, 6], [3, 4], [1, 2]]
    assert stats.chisquare(counts).pvalue > 1e-3


def places(policy: MaskingPolicy, sequence: list[int], times: int, rate: float) -> np.ndarray:
    """Whether each token is chosen, in each of a batch of equal sequences, [times, tokens]."""
    masked = mask(policy, [sequence] * times, rate)
    chosen = np.zeros(times * len(sequence), dtype=np.int64)
    chosen[masked.masked_M] = 1
    return chosen.reshape(times, -1)


def test_spans_lie_together_and_have_the_lengths_of_the_paper() -> None:
    lengths = _span_lengths(100_000, np.random.default_rng(3))
    chances = 0.2 * 0.8 ** np.arange(LONGEST_SPAN)
    expected = chances / chances.sum()
    assert stats.chisquare(np.bincount(lengths)[1:], expected * 100_000).pvalue > 1e-3
    assert lengths.mean() == pytest.approx(3.8, abs=0.02)  # the paper's figure 2
    # In a long text with a small budget spans rarely meet: runs of chosen tokens have nearly those lengths.
    masked = mask("span", [[CLS, *[A] * 50_000, SEP]] * 4, 0.01).masked_M
    ends = np.flatnonzero(np.diff(masked, prepend=-5, append=10**6) > 1)
    assert np.diff(ends).mean() == pytest.approx(3.8, abs=0.25)
    assert 9 <= np.diff(ends).max() <= 20


def test_the_tokens_of_a_span_share_one_fate() -> None:
    for seed in range(200):
        places = np.arange(1, 21)
        candidates = Candidates(places, np.zeros(20, np.int64), np.arange(20), np.array([6]))
        choice = POLICIES["span"](candidates, np.random.default_rng(seed))
        assert (np.diff(choice.groups_M) >= 0).all()
        # A group is a run without a gap.
        for group in np.unique(choice.groups_M):
            inside = choice.chosen_M[choice.groups_M == group]
            assert (np.diff(inside) == 1).all()
            assert inside[0] == group
    masked = mask("span", [[CLS, *[A] * 500, SEP]], 0.1, 4, mask_share=0.5, random_share=0)
    hidden = masked.ids_T[masked.masked_M] == MASK
    together = hidden[1:][np.diff(masked.masked_M) == 1] == hidden[:-1][np.diff(masked.masked_M) == 1]
    assert together.mean() > 0.9


@pytest.mark.parametrize("policy", ["token", "whole-word"])
def test_each_token_has_a_fate_of_its_own(policy: MaskingPolicy) -> None:
    masked = mask(policy, [[CLS, *[A, X] * 1_000, SEP]], 0.5, mask_share=0.5, random_share=0)
    hidden = masked.ids_T[masked.masked_M] == MASK
    near = np.diff(masked.masked_M) == 1
    assert (hidden[1:][near] == hidden[:-1][near]).mean() == pytest.approx(0.5, abs=0.06)
