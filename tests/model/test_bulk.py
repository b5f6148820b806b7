"""Many sequences at once: any batches, the same answers in the order given."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
import torch

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import WindowIndex, pack
from bertkit.model.bulk import head_outputs
from bertkit.model.compute import Compute
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier

LENGTHS = [7, 3, 13, 7, 1, 5, 19, 4, 4, 4]


def classifier(**options) -> Classifier:
    config = ModelConfig(vocabulary_size=99, layers=1, hidden_size=28, heads=7, feedforward_size=44)
    return Classifier(Encoder(config), ClassificationHead(HeadConfig(**options), config))


@pytest.mark.parametrize("tokens", [1, 20, 4096])
@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_order_and_batches_change_nothing(loss, tokens, random_sequences):
    model = classifier(labels=("a", "b"), loss=loss).train()
    sequences = random_sequences(LENGTHS)
    found = head_outputs(model, sequences, tokens=tokens)
    assert model.training
    assert found.dtype == np.float32
    with torch.no_grad():
        batch = pack(sequences, range(len(LENGTHS)))
        expected = model.eval().outputs(model(batch), batch)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-6)
    head_outputs(model, sequences)
    assert not model.training


@pytest.mark.parametrize("tokens", [1, 20, 4096])
@pytest.mark.parametrize(
    "options",
    [
        {"kind": "tag", "labels": ("O", "B", "I"), "pooling": "none"},
        {"kind": "answer", "pooling": "none"},
        {"kind": "choose", "pooling": "cls"},
    ],
    ids=lambda options: options["kind"],
)
def test_what_tokens_and_choices_get_stands_end_to_end(options, tokens, random_sequences):
    """Each sequence alone gives the same as all together, and each choice is read as a text of its own."""
    model = classifier(**options).eval()
    index = WindowIndex(np.array([0, 2, 5, 10]), np.zeros(10, dtype=np.int64))
    sequences = replace(random_sequences(LENGTHS), windows=index)
    seen: list[int] = []
    found = head_outputs(model, sequences, tokens=tokens, after=lambda rows: seen.extend(rows.tolist()))
    assert sorted(seen) == [*range(10)]
    rows = (
        [[0, 1], [2, 3, 4], [5, 6, 7, 8, 9]] if options["kind"] == "choose" else [[row] for row in range(10)]
    )
    with torch.no_grad():
        batches = [pack(replace(sequences, windows=None), row) for row in rows]
        parts = [model.outputs(model(batch), batch) for batch in batches]
    np.testing.assert_allclose(found, torch.cat(parts), atol=1e-6)


def test_bf16_is_close(random_sequences):
    model = classifier(labels=("a", "b", "c"))
    found = [
        head_outputs(model, random_sequences(LENGTHS), compute=Compute(kind)) for kind in ("fp32", "bf16")
    ]
    np.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_none(random_sequences):
    sequences = random_sequences([])
    assert head_outputs(classifier(labels=("a", "b", "c")), sequences).shape == (0, 3)


class Sharing:
    """One of the processes, here threads, that share the rows."""

    def __init__(self, rank: int, parts: list[np.ndarray | None], barrier: Barrier) -> None:
        self.rank, self.count, self.parts, self.barrier = rank, len(parts), parts, barrier
        self.left_some = False

    def together(self, numbers: np.ndarray) -> np.ndarray:
        self.left_some |= bool((numbers == 0).all(1).any())
        self.parts[self.rank] = numbers
        self.barrier.wait(60)
        total = sum(self.parts)
        self.barrier.wait(60)
        return total


@pytest.mark.parametrize(
    "options",
    [
        {"labels": ("a", "b"), "pooling": "mean"},
        {"kind": "tag", "labels": ("O", "B", "I"), "pooling": "none"},
        {"kind": "choose", "pooling": "cls"},
    ],
    ids=str,
)
def test_processes_that_share_the_rows_all_get_what_one_alone_gets(options, random_sequences):
    index = WindowIndex(np.array([0, 2, 5, 10]), np.zeros(10, dtype=np.int64))
    sequences = replace(random_sequences(LENGTHS), windows=index)
    model = classifier(**options).eval()
    whole = head_outputs(model, sequences, tokens=12)
    parts, barrier = [None, None], Barrier(2)
    both = [Sharing(rank, parts, barrier) for rank in range(2)]
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda one: head_outputs(model, sequences, tokens=12, sharing=one), both)
    assert all(np.array_equal(each, whole) for each in found)
    assert all(one.left_some for one in both)
