from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bertkit.data.shards import Documents, Shards, manifest_text, open_shards, write_shard
from bertkit.data.steps import SHARDS_AT_ONCE, Masks, Windows, take
from bertkit.errors import UserError
from bertkit.recipe import ObjectiveRecipe
from bertkit.recipe.pretrain import Pairs
from bertkit.text.tokenizer import SPECIALS, Tokenizer

PLAIN = ObjectiveRecipe(pairs="none", short_share=0.0)
# Every token of the corpus is another one, so that where it came from shows.
TOKENS = 2_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Shards]:
    """A function: that many shards, the tokens numbered through, with documents of 3 sentences of 1 to 9."""

    def make(count: int) -> Shards:
        folder = tmp_path_factory.mktemp("shards")
        tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *(f"w{i}" for i in range(TOKENS))])
        random = np.random.default_rng(0)
        entries, first = [], len(SPECIALS)
        for number in range(count):
            ends = np.cumsum([0, *random.integers(1, 10, size=3 * (2 + number % 3))])
            documents = Documents(first + np.arange(ends[-1]), ends, np.arange(0, len(ends), 3))
            first += int(ends[-1])
            path = folder / f"train-{number:05d}.safetensors"
            entries.append(write_shard(path, "train", documents, tokenizer.size))
        np.save(folder / "counts.npy", np.ones(tokenizer.size, dtype=np.int64))
        tokenizer.save(folder)
        (folder / "manifest.json").write_text(manifest_text(entries, tokenizer, {}))
        return open_shards(folder)

    return make


def windows(shards: Shards, objective: ObjectiveRecipe = PLAIN, seed: int = 3) -> Windows:
    return Windows(shards, "train", objective, tokens=60, length=16, seed=seed)


def words(masks: Masks) -> list[int]:
    return [token for token in masks.sequences.ids.tolist() if token >= len(SPECIALS)]


@pytest.mark.parametrize("count", [1, 5, 2 * SHARDS_AT_ONCE + 1])
def test_an_epoch_has_every_token_once(corpus: Callable[[int], Shards], count: int) -> None:
    shards = corpus(count)
    made = windows(shards)
    seen = [token for step in range(made.steps_per_epoch) for token in words(made.masks(step))]
    total = sum(entry.tokens for entry in shards.entries)
    assert len(seen) == len(set(seen))
    # What is left over is the ends of documents with a single token.
    assert total - 3 * count * 4 <= len(seen) <= total


def test_a_step_is_the_same_whatever_was_asked_before(corpus: Callable[[int], Shards]) -> None:
    shards = corpus(2 * SHARDS_AT_ONCE + 1)
    late = 2 * windows(shards).steps_per_epoch + 3
    alone, after = windows(shards), windows(shards)
    for step in range(late):
        after.masks(step)
    for one, other in [(alone.masks(late), after.masks(late))]:
        assert np.array_equal(one.sequences.ids, other.sequences.ids)
        assert np.array_equal(one.masked.ids_T, other.masked.ids_T)
        assert np.array_equal(one.masked.masked_M, other.masked.masked_M)
    assert alone.identity(late) == after.identity(late)


def test_epochs_and_seeds_differ(corpus: Callable[[int], Shards]) -> None:
    shards = corpus(3)
    made = windows(shards)
    first = words(made.masks(0))
    assert words(made.masks(made.steps_per_epoch)) != first
    assert words(windows(shards, seed=4).masks(0)) != first


def test_fixed_masks_come_back(corpus: Callable[[int], Shards]) -> None:
    made = windows(corpus(3), ObjectiveRecipe(pairs="none", fixed_masks=2))
    epoch = made.steps_per_epoch
    again, other = made.masks(1 + 2 * epoch), made.masks(1 + epoch)
    first = made.masks(1)
    assert np.array_equal(first.masked.ids_T, again.masked.ids_T)
    assert not np.array_equal(first.masked.ids_T, other.masked.ids_T)


@pytest.mark.parametrize("pairs", ["none", "sop", "nsp"])
def test_steps_have_about_as_many_tokens(corpus: Callable[[int], Shards], pairs: Pairs) -> None:
    made = windows(corpus(12), ObjectiveRecipe(pairs=pairs))
    sizes = [len(made.masks(step).sequences.ids) for step in range(made.steps_per_epoch)]
    assert np.mean(sizes) == pytest.approx(60, rel=0.15)
    assert max(sizes) <= 60 + 2 * 16


def test_a_text_shorter_than_a_step_is_used_again(corpus: Callable[[int], Shards]) -> None:
    made = Windows(corpus(1), "train", PLAIN, tokens=100_000, length=16, seed=0)
    assert made.steps_per_epoch == 1
    assert made.place(7) == (7, 0, 0)
    assert words(made.masks(7))


def test_a_document_alone_in_its_window_joins_another(corpus: Callable[[int], Shards]) -> None:
    made = windows(corpus(SHARDS_AT_ONCE + 1), ObjectiveRecipe(pairs="nsp"))
    for step in range(made.steps_per_epoch):
        assert set(made.masks(step).labels.tolist()) <= {0, 1}


def test_the_sequences_that_are_taken_keep_their_masks(corpus: Callable[[int], Shards]) -> None:
    masks = windows(corpus(4)).masks(0)
    rows = [3, 1]
    part = take(masks, rows)
    starts = masks.sequences.starts
    expected = np.concatenate([masks.masked.ids_T[starts[row] : starts[row + 1]] for row in rows])
    assert np.array_equal(part.masked.ids_T, expected)
    assert part.sequences.lengths.tolist() == masks.sequences.lengths[rows].tolist()
    restored = part.masked.ids_T.copy()
    restored[part.masked.masked_M] = part.masked.targets_M
    assert np.array_equal(restored, part.sequences.ids)
    assert np.all(np.diff(part.masked.masked_M) > 0)


def test_all_rows_dealt_out_have_all_masks(corpus: Callable[[int], Shards]) -> None:
    masks = windows(corpus(4)).masks(0)
    count = len(masks.sequences)
    parts = [take(masks, np.arange(count)[rank::3]) for rank in range(3)]
    assert sum(len(part.masked.targets_M) for part in parts) == len(masks.masked.targets_M)
    assert sorted(t for part in parts for t in part.masked.targets_M) == sorted(masks.masked.targets_M)


def test_a_split_without_text_is_refused(corpus: Callable[[int], Shards]) -> None:
    with pytest.raises(UserError, match="has no heldout text"):
        Windows(corpus(1), "heldout", PLAIN, tokens=60, length=16, seed=0)


def test_one_document_has_no_other_for_pairs(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, "a", "b"])
    documents = Documents(np.array([5, 6, 5]), np.array([0, 2, 3]), np.array([0, 2]))
    path = tmp_path / "train-00000.safetensors"
    entry = write_shard(path, "train", documents, tokenizer.size)
    tokenizer.save(tmp_path)
    (tmp_path / "manifest.json").write_text(manifest_text([entry], tokenizer, {}))
    with pytest.raises(UserError, match="--pairs none"):
        windows(open_shards(tmp_path), ObjectiveRecipe(pairs="nsp"))
