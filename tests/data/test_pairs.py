from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bertkit.data.packed import pack
from bertkit.data.pairs import PAIRS, Spans, build_spans, lay_out
from bertkit.data.shards import Documents
from bertkit.errors import UserError
from bertkit.recipe.pretrain import Pairs
from bertkit.text.tokenizer import SPECIALS, Tokenizer

PAD, UNK, CLS, SEP, MASK = range(5)
tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *(f"w{i}" for i in range(95))])

every = pytest.mark.parametrize("pairs", PAIRS)
sizes = st.lists(st.lists(st.integers(1, 30) | st.just(700), min_size=1, max_size=12), max_size=6)
lengths = st.integers(5, 40) | st.sampled_from([64, 128, 512])
seeds = st.integers(0, 2**32)


def corpus(sizes: list[list[int]], words: bool = False) -> Documents:
    """Documents from the tokens of each of their sentences; every token's id is its own number and 5."""
    sentences = np.cumsum([0, *(size for document in sizes for size in document)])
    documents = np.cumsum([0, *map(len, sizes)])
    ids = np.arange(5, 5 + sentences[-1]).astype(np.uint16)
    flags = np.arange(len(ids)) % 3 == 0 if words else None
    return Documents(ids, sentences.astype(np.int64), documents.astype(np.int64), flags)


def build(documents: Documents, pairs: Pairs, length: int, short_share: float = 0.0, seed: int = 0) -> Spans:
    random = np.random.default_rng(seed)
    return build_spans(documents, pairs, length=length, short_share=short_share, random=random)


def owners(documents: Documents, at: np.ndarray) -> np.ndarray:
    return np.searchsorted(documents.sentences[documents.documents], at, side="right") - 1


def test_the_table_has_every_objective_of_the_recipe() -> None:
    assert set(PAIRS) == set(get_args(Pairs))


@every
@given(sizes=sizes, length=lengths, short=st.sampled_from([0.0, 0.1, 1.0]), seed=seeds)
def test_what_holds_for_every_objective(
    pairs: Pairs, sizes: list[list[int]], length: int, short: float, seed: int
) -> None:
    documents = corpus(sizes)
    if pairs == "nsp" and len(sizes) < 2:
        with pytest.raises(UserError, match="--pairs none"):
            build(documents, pairs, length, short, seed)
        return
    spans = build(documents, pairs, length, short, seed)
    a, b = np.diff(spans.first)[:, 0], np.diff(spans.second)[:, 0]
    assert spans.first.dtype == spans.second.dtype == spans.document.dtype == np.int64
    assert spans.labels.dtype == np.int8
    assert spans.first.shape == spans.second.shape == (len(spans), 2)
    assert (a >= 1).all()
    assert (np.diff(spans.document) >= 0).all()
    # No segment goes over the end of its document.
    assert (owners(documents, spans.first[:, 0]) == spans.document).all()
    assert (owners(documents, spans.first[:, 1] - 1) == spans.document).all()
    if pairs == "none":
        assert (b == 0).all()
        assert (spans.labels == -1).all()
        assert (a >= 2).all()
        assert (a + 2 <= length).all()
        return
    assert (b >= 1).all()
    assert np.isin(spans.labels, [0, 1]).all()
    assert (a + b + 3 <= length).all()
    partner = owners(documents, spans.second[:, 0])
    assert (partner == owners(documents, spans.second[:, 1] - 1)).all()
    follows = spans.first[:, 1] <= spans.second[:, 0]
    before = spans.second[:, 1] <= spans.first[:, 0]
    other = spans.labels == 1
    assert follows[~other].all()
    assert (partner == spans.document)[~other].all()
    if pairs == "sop":
        assert before[other].all()
        assert (partner == spans.document).all()
    else:
        assert (partner != spans.document)[other].all()


@every
def test_the_same_state_gives_the_same_spans(pairs: Pairs) -> None:
    documents = corpus([[3, 5, 2, 8, 4]] * 4)
    one, same, other = (build(documents, pairs, 16, 0.5, seed) for seed in (1, 1, 2))
    assert one.first.tolist() == same.first.tolist()
    assert one.second.tolist() == same.second.tolist()
    assert one.first.tolist() != other.first.tolist()


@every
@pytest.mark.parametrize("length", [5, 6, 7, 8, 127, 128, 511, 512])
def test_all_lengths_are_reached_and_none_is_passed(pairs: Pairs, length: int) -> None:
    documents = corpus([[9, 4, 17, 1, 30] * 40, [7, 2, 11] * 40, [700]])
    spans = build(documents, pairs, length)
    sizes = np.diff(spans.first)[:, 0] + np.diff(spans.second)[:, 0] + (2 if pairs == "none" else 3)
    assert sizes.max() == length


@every
def test_a_length_without_room(pairs: Pairs) -> None:
    with pytest.raises(UserError, match="length of 5 or more"):
        build(corpus([[3, 3], [2]]), pairs, 4)


# --- nsp --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sizes", "said"), [([[3, 4, 5]], "is 1 document only"), ([], "are no documents")])
def test_nsp_without_another_document(sizes: list[list[int]], said: str) -> None:
    with pytest.raises(UserError, match=f"{said}; say `--pairs none`"):
        build(corpus(sizes), "nsp", 32)


def test_nsp_of_single_sentences_is_always_random() -> None:
    spans = build(corpus([[4], [6], [3]]), "nsp", 32)
    assert spans.labels.tolist() == [1, 1, 1]
    assert spans.first.tolist() == [[0, 4], [4, 10], [10, 13]]
    assert all(b in ([0, 4], [4, 10], [10, 13]) for b in spans.second.tolist())


def test_nsp_puts_unused_sentences_back() -> None:
    # All fits into one sequence. A false pair leaves the rest to the next, a true one takes all.
    documents = corpus([[2, 2, 2, 2], [2]])
    for seed in range(50):
        spans = build(documents, "nsp", 64, seed=seed)
        at = 0
        for a, b, label in zip(
            spans.first[spans.document == 0].tolist(),
            spans.second[spans.document == 0].tolist(),
            spans.labels[spans.document == 0].tolist(),
            strict=True,
        ):
            assert a[0] == at
            if label:
                assert b == [8, 10]
                at = a[1]
            else:
                assert b == [a[1], 8]
                at = 8
        assert at == 8


def test_nsp_halves_and_middles() -> None:
    # Chunks of four sentences: three places for the middle, and half of the pairs true.
    documents = corpus([[5] * 4] * 3_000)
    spans = build(documents, "nsp", 23)
    fresh = spans.first[:, 0] % 20 == 0
    assert stats.binomtest(int(spans.labels[fresh].sum()), 3_000).pvalue > 1e-3
    middles = np.bincount(np.diff(spans.first)[fresh, 0] // 5)
    assert middles.tolist()[0] == 0
    assert len(middles) == 4
    assert stats.chisquare(middles[1:]).pvalue > 1e-3


def test_nsp_fills_false_pairs_from_a_random_sentence_of_a_random_document() -> None:
    # Target 10: a has 4 tokens, so b takes sentences until there are 6, or its document ends.
    documents = corpus([[4]] * 2_000 + [[3, 3, 3, 3]] * 2_000)
    spans = build(documents, "nsp", 13)
    other = spans.document < 2_000
    partner = owners(documents, spans.second[other, 0])
    assert stats.kstest(partner, stats.randint(0, 4_000).cdf).pvalue > 1e-3
    begins = (spans.second[other, 0] - 8_000) % 12 // 3
    sizes = np.diff(spans.second)[other, 0]
    long = partner >= 2_000
    assert stats.chisquare(np.bincount(begins[long])).pvalue > 1e-3
    assert sizes[long].tolist() == [3 if begin == 3 else 6 for begin in begins[long]]


def test_short_targets_are_drawn_once_a_document() -> None:
    # Sentences of one token: a true pair's size is exactly the target, 2 to 17 alike.
    documents = corpus([[1] * 200] * 1_500)
    spans = build(documents, "nsp", 20, short_share=1.0)
    counts = np.bincount(usual_sizes(spans), minlength=18)
    assert counts[:2].tolist() == [0, 0]
    assert len(counts) == 18
    assert stats.chisquare(counts[2:]).pvalue > 1e-3
    short = (usual_sizes(build(documents, "nsp", 20, short_share=0.1)) < 17).sum()
    assert stats.binomtest(int(short), 1_500, 0.1 * 15 / 16).pvalue > 1e-3


def usual_sizes(spans: Spans) -> np.ndarray:
    """The commonest number of tokens in the true pairs of each document."""
    true = spans.labels == 0
    sizes = (np.diff(spans.first) + np.diff(spans.second))[true, 0]
    table = np.zeros((spans.document.max() + 1, sizes.max() + 1))
    np.add.at(table, (spans.document[true], sizes), 1)
    return table.argmax(axis=1)


def test_truncation_takes_from_both_ends_by_coin() -> None:
    # a has 20 tokens and b 20; of room for 17, a keeps 9 and b 8: 11 and 12 throws of a coin.
    documents = corpus([[20]] * 3_000)
    spans = build(documents, "nsp", 20)
    for span, lost in ((spans.first, 11), (spans.second, 12)):
        assert (np.diff(span)[:, 0] == 20 - lost).all()
        front = np.bincount(span[:, 0] % 20, minlength=lost + 1)
        expected = stats.binom(lost, 0.5).pmf(np.arange(lost + 1)) * 3_000
        middle = expected > 20
        assert (
            stats.chisquare(
                front[middle], expected[middle] * front[middle].sum() / expected[middle].sum()
            ).pvalue
            > 1e-3
        )
        assert len(front) == lost + 1


# --- sop --------------------------------------------------------------------------------------------------


def test_sop_swaps_half_and_divides_single_sentences() -> None:
    documents = corpus([[5]] * 2_000)
    spans = build(documents, "sop", 20)
    assert len(spans) == 2_000
    low = np.minimum(spans.first, spans.second)
    high = np.maximum(spans.first, spans.second)
    assert (low[:, 1] == high[:, 0]).all()
    assert (low[:, 0] % 5 == 0).all()
    assert (high[:, 1] % 5 == 0).all()
    assert stats.binomtest(int(spans.labels.sum()), 2_000).pvalue > 1e-3
    assert ((spans.first[:, 0] > spans.second[:, 0]) == (spans.labels == 1)).all()
    middles = np.bincount(low[:, 1] % 5)
    assert middles[0] == 0
    assert stats.chisquare(middles[1:]).pvalue > 1e-3


def test_sop_uses_every_sentence_once() -> None:
    documents = corpus([[3, 4, 5, 3, 4, 5, 3], [6, 1, 2]])
    for seed in range(20):
        spans = build(documents, "sop", 13, seed=seed)
        chunks = np.stack(
            [
                np.minimum(spans.first[:, 0], spans.second[:, 0]),
                np.maximum(spans.first[:, 1], spans.second[:, 1]),
            ],
            axis=1,
        )
        # Ten tokens are aimed at: 3 + 4 + 5 twice, cut to ten; 3; and 6 + 1 + 2.
        assert len(spans) == 4
        assert (np.diff(chunks)[2:, 0] == [3, 9]).all()
        assert (np.diff(spans.first) + np.diff(spans.second))[:2].tolist() == [[10], [10]]


def test_sop_leaves_out_what_has_no_two_parts() -> None:
    assert len(build(corpus([[1]]), "sop", 8)) == 0
    spans = build(corpus([[1], [2], [1, 1]]), "sop", 8)
    assert spans.document.tolist() == [1, 2]


# --- none -------------------------------------------------------------------------------------------------


def test_none_packs_whole_sentences_until_the_next_does_not_fit() -> None:
    spans = build(corpus([[3, 4, 2, 5, 5], [6], [2, 6]]), "none", 10)
    assert spans.first.tolist() == [[0, 7], [7, 14], [14, 19], [19, 25], [25, 33]]
    assert spans.second.tolist() == [[end, end] for _, end in spans.first.tolist()]
    assert spans.document.tolist() == [0, 0, 0, 1, 2]


def test_none_cuts_a_long_sentence_and_fills_up_its_rest() -> None:
    spans = build(corpus([[3, 20, 4, 3]]), "none", 10)
    assert spans.first.tolist() == [[0, 3], [3, 11], [11, 19], [19, 27], [27, 30]]


def test_none_leaves_out_single_tokens_only() -> None:
    assert build(corpus([[1], [9], [17], [8, 1]]), "none", 10).first.tolist() == [
        *[[1, 9]],
        *[[10, 18], [18, 26]],
        *[[27, 35]],
    ]


@given(sizes=sizes, length=lengths, seed=seeds, short=st.sampled_from([0.0, 0.3]))
def test_none_uses_every_token_once_in_order(
    sizes: list[list[int]], length: int, seed: int, short: float
) -> None:
    spans = build(corpus(sizes), "none", length, short, seed)
    used = np.zeros(sum(map(sum, sizes)), dtype=np.int64)
    for begin, end in spans.first.tolist():
        used[begin:end] += 1
    assert (used <= 1).all()
    left = np.flatnonzero(used == 0)
    # What is left out are single tokens: no two of a document lie together.
    neighbours = np.diff(left) == 1
    assert (np.diff(owners(corpus(sizes), left))[neighbours] > 0).all()
    assert (np.diff(spans.first[:, 0]) > 0).all()


def test_none_makes_the_share_of_short_ones() -> None:
    # Sentences of one token, so that a sequence's size is its target: 18 of room, or 2 to 18 alike.
    spans = build(corpus([[1] * 60_000]), "none", 20, short_share=0.3)
    counts = np.bincount(np.diff(spans.first)[:-1, 0])
    expected = np.array([0.3 / 17] * 16 + [0.7 + 0.3 / 17]) * counts.sum()
    assert counts[:2].tolist() == [0, 0]
    assert stats.chisquare(counts[2:], expected).pvalue > 1e-3


# --- laying out -------------------------------------------------------------------------------------------


def spans_of(rows: list[tuple[int, int, int, int]]) -> Spans:
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    zeros = np.zeros(len(rows))
    return Spans(table[:, :2], table[:, 2:], zeros.astype(np.int8), zeros.astype(np.int64))


def test_lay_out_by_hand() -> None:
    documents = corpus([[4, 3, 5]], words=True)
    spans = spans_of([(0, 4, 4, 7), (2, 3, 3, 3), (8, 12, 0, 1)])
    sequences, words = lay_out(documents, spans, [2, 0, 1], tokenizer)
    assert sequences.ids.dtype == np.int32
    assert sequences.ids.tolist() == [
        *[CLS, 13, 14, 15, 16, SEP, 5, SEP],
        *[CLS, 5, 6, 7, 8, SEP, 9, 10, 11, SEP],
        *[CLS, 7, SEP],
    ]
    assert sequences.starts.tolist() == [0, 8, 18, 21]
    assert sequences.second.tolist() == [6, 6, 3]
    assert pack(sequences, [0, 2]).segments_T.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0]
    assert words is not None
    assert words.astype(int).tolist() == [
        *[1, 0, 1, 0, 0, 1, 1, 1],
        *[1, 1, 0, 0, 1, 1, 0, 0, 1, 1],
        *[1, 0, 1],
    ]
    assert lay_out(corpus([[4, 3, 5]]), spans, [0], tokenizer)[1] is None


def test_lay_out_of_nothing() -> None:
    sequences, _ = lay_out(corpus([[3]]), spans_of([]), [], tokenizer)
    assert len(sequences) == 0
    assert sequences.starts.tolist() == [0]


@every
@given(sizes=sizes.filter(lambda sizes: len(sizes) > 1), length=lengths, seed=seeds)
def test_lay_out_is_the_plain_loop(pairs: Pairs, sizes: list[list[int]], length: int, seed: int) -> None:
    documents = corpus(sizes)
    spans = build(documents, pairs, length, 0.1, seed)
    rows = np.random.default_rng(seed).permutation(len(spans))[:20]
    sequences, _ = lay_out(documents, spans, rows, tokenizer)
    for row, begin, end, second in zip(
        rows, sequences.starts, sequences.starts[1:], sequences.second, strict=False
    ):
        a, b = (documents.ids[slice(*span[row])].tolist() for span in (spans.first, spans.second))
        assert sequences.ids[begin:end].tolist() == [CLS, *a, SEP, *([*b, SEP] if b else [])]
        assert second == len(a) + 2
