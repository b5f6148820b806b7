import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit.data.batches import epoch_batches
from bertkit.errors import UserError
from bertkit.recipe import Alike, BatchRecipe, Recipe

Rows = npt.NDArray[np.int64]


def some_lengths(count: int) -> Rows:
    return np.random.default_rng(5).integers(3, 40, count)


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=90),
    sequences=st.integers(1, 11),
    order=st.sampled_from([(True, True), (True, False), (False, False)]),
    alike=st.sampled_from(["sequences", "tokens"]),
    epoch=st.integers(0, 3),
)
def test_every_row_is_in_exactly_one_batch(
    lengths: list[int], sequences: int, order: tuple[bool, bool], alike: Alike, epoch: int
) -> None:
    recipe = BatchRecipe(sequences=sequences, shuffle=order[0], by_length=order[1], alike=alike)
    batches = epoch_batches(np.array(lengths), recipe, 7, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) for batch in batches)
    assert len(batches) == -(-len(lengths) // sequences)


def test_file_order_is_kept_where_asked() -> None:
    batches = epoch_batches(some_lengths(7), BatchRecipe(sequences=3, shuffle=False, by_length=False), 0, 4)
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    lengths, recipe = some_lengths(99), BatchRecipe(sequences=13)

    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(lengths, recipe, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_batches_of_like_length_have_as_many_sequences() -> None:
    lengths = some_lengths(1_300)
    batches = epoch_batches(lengths, BatchRecipe(sequences=13), 0, 0)
    assert {len(batch) for batch in batches} == {13}
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 3 < np.ptp(lengths)


def test_batches_of_like_length_have_about_as_many_tokens() -> None:
    lengths = some_lengths(1_300)
    batches = epoch_batches(lengths, BatchRecipe(sequences=13, alike="tokens"), 0, 0)
    tokens = np.array([lengths[batch].sum() for batch in batches])
    spread = np.mean([np.ptp(lengths[batch]) for batch in batches])
    assert len(batches) == 100
    assert tokens.min() > 0.75 * tokens.mean()
    assert tokens.max() < 1.25 * tokens.mean()
    assert spread < 3 < np.ptp(lengths)


def test_batches_by_length_are_still_random() -> None:
    lengths = some_lengths(1_300)
    batches = epoch_batches(lengths, BatchRecipe(sequences=13), 0, 0)
    means = [lengths[batch].mean() for batch in batches]
    assert abs(np.corrcoef(means, np.arange(100))[0, 1]) < 0.4


@pytest.mark.parametrize("longest_first", [True, False])
def test_one_very_long_row_leaves_no_batch_empty(longest_first: bool) -> None:
    lengths = np.array([5_000, *[3] * 20] if longest_first else [*[3] * 20, 5_000])
    batches = epoch_batches(lengths, BatchRecipe(sequences=4, alike="tokens"), 0, 0)
    assert len(batches) == 6
    assert all(len(batch) for batch in batches)


def test_balanced_batches_have_as_many_rows_of_each_class_and_as_many_in_all() -> None:
    classes = np.repeat([0, 1, 3], [70, 25, 4])
    recipe = BatchRecipe(sequences=8, sampling="balanced")
    epochs = [epoch_batches(some_lengths(99), recipe, 3, epoch, classes) for epoch in (0, 0, 1)]
    first, again, other = (np.concatenate(each) for each in epochs)
    assert np.bincount(classes[first]).tolist() == [33, 33, 0, 33]
    # All rows of a class come before one comes again; of a large class some wait.
    assert np.bincount(first, minlength=99)[70:95].min() == 1
    assert set(np.bincount(first, minlength=99)[95:].tolist()) == {8, 9}
    assert np.bincount(first, minlength=99)[:70].max() == 1
    assert [batch.tolist() for batch in epochs[0]] == [batch.tolist() for batch in epochs[1]]
    assert first.tolist() == again.tolist() != other.tolist()
    assert len(epochs[0]) == len(epoch_batches(some_lengths(99), BatchRecipe(sequences=8), 3, 0))
    with pytest.raises(UserError, match="needs shuffle = true"):
        BatchRecipe(sampling="balanced", shuffle=False, by_length=False)
    with pytest.raises(UserError, match="either class weights"):
        Recipe().with_changes({"batch": {"sampling": "balanced"}, "training": {"class_weights": "sqrt"}})
