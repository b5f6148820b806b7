"""Losses of heads that have no counterpart in a padded batch, by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from bertkit.config.head import HEAD_KINDS, HeadConfig
from bertkit.data.packed import PackedBatch
from bertkit.errors import UserError
from bertkit.model.losses import LAST_LAYERS, PLAIN, Losses, Softening
from bertkit.tasks.encoded import IGNORED


def batch_of(*lengths: int) -> PackedBatch:
    ids_T = torch.zeros(sum(lengths), dtype=torch.int64)
    return PackedBatch(ids_T, ids_T, ids_T, lengths)


def test_there_is_a_loss_for_every_kind() -> None:
    assert LAST_LAYERS.keys() == HEAD_KINDS.keys()


def test_an_answer_is_sought_in_its_own_sequence() -> None:
    # Two tokens and four: with equal logits a start is found with probability 1/2 and 1/4.
    head = HeadConfig(kind="answer", pooling="none")
    places_B2 = torch.tensor([[1, 1], [0, 3]])
    losses = LAST_LAYERS["answer"].losses(head, torch.zeros(6, 2), places_B2, batch_of(2, 4))
    expected = torch.tensor([[2.0, 2.0], [4.0, 4.0]]).log()
    torch.testing.assert_close(losses.losses_NK, expected)
    # The second row's end is beyond its sequence: its start counts alone.
    losses = LAST_LAYERS["answer"].losses(
        head, torch.zeros(6, 2), torch.tensor([[1, 2], [0, 3]]), batch_of(2, 4)
    )
    assert losses.counted_NK.tolist() == [[True, False], [True, True]]
    assert losses.mean().item() == pytest.approx((math.log(8) / 2 + math.log(4)) / 2)


def test_nothing_that_counts_is_no_loss_and_has_no_gradient() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    tags = torch.full((3,), IGNORED)
    head = HeadConfig(kind="tag", labels=("a", "b"), pooling="none")
    losses = LAST_LAYERS["tag"].losses(head, logits, tags, batch_of(3))
    assert losses.mean().item() == 0
    losses.mean().backward()
    assert not logits.grad.any()


def test_what_does_not_count_may_be_anything() -> None:
    losses = Losses(torch.tensor([[2.0], [torch.inf], [4.0]]), torch.tensor([[True], [False], [True]]))
    assert losses.mean().item() == 3


WRONG = {
    "labels of an answer": ({"kind": "answer", "pooling": "none", "labels": ("a", "b")}, "has no labels"),
    "no labels": ({"kind": "multilabel", "loss": "sigmoid"}, "has at least 1 labels"),
    "one tag": ({"kind": "tag", "pooling": "none", "labels": ("a",)}, "has at least 2 labels"),
    "pooled tags": ({"kind": "tag", "labels": ("a", "b")}, "cannot have the pooling 'pooler'"),
    "no vector": ({"labels": ("a", "b"), "pooling": "none"}, "cannot have the pooling 'none'"),
    "loss": ({"kind": "regress", "labels": ("a",), "loss": "softmax"}, "is squared, not softmax"),
    "kind": ({"kind": "rank"}, "kind cannot be 'rank'"),
    "two layers": ({"labels": ("a", "b"), "transform": True, "hidden_size": 3}, "transform"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_heads_that_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        HeadConfig(**options)


def test_a_weighted_mean_is_that_of_torchs_cross_entropy() -> None:
    logits_BC, labels_B = torch.randn(7, 3, generator=torch.Generator().manual_seed(0)), torch.arange(7) % 3
    weight_C = torch.tensor([0.5, 1.0, 4.0])
    losses = LAST_LAYERS["classify"].losses(
        HeadConfig(labels=("a", "b", "c")), logits_BC, labels_B, batch_of()
    )
    expected = F.cross_entropy(logits_BC, labels_B, weight=weight_C)
    torch.testing.assert_close(losses.mean(weight_C[labels_B]), expected)
    torch.testing.assert_close(losses.mean(), F.cross_entropy(logits_BC, labels_B))


def test_rows_may_have_different_numbers_of_choices() -> None:
    head = HeadConfig(kind="choose")
    logits_M1, best_N = torch.tensor([[1.0], [3.0], [0.0], [0.0], [2.0]]), torch.tensor([1, 2])
    batch = replace(batch_of(1, 1, 1, 1, 1), windows=(2, 3))
    parts = [logits_M1[:2, 0].log_softmax(0), logits_M1[2:, 0].log_softmax(0)]
    torch.testing.assert_close(LAST_LAYERS["choose"].outputs(head, logits_M1, batch)[:, 0], torch.cat(parts))
    losses = LAST_LAYERS["choose"].losses(head, logits_M1, best_N, batch)
    torch.testing.assert_close(losses.losses_NK[:, 0], torch.stack([-parts[0][1], -parts[1][2]]))


CLASSES = HeadConfig(labels=("a", "b", "c"))
LOGITS = torch.tensor([[1.0, -0.5, 0.3], [0.0, 2.0, -1.0]])


def test_label_smoothing_is_that_of_torch() -> None:
    labels = torch.tensor([2, 1])
    found = LAST_LAYERS["classify"].losses(CLASSES, LOGITS, labels, batch_of(1, 1), Softening(smoothing=0.3))
    expected = F.cross_entropy(LOGITS, labels, label_smoothing=0.3)
    torch.testing.assert_close(found.mean(), expected)


def test_focal_loss_by_hand() -> None:
    labels = torch.tensor([2, 1])
    found = LAST_LAYERS["classify"].losses(CLASSES, LOGITS, labels, batch_of(1, 1), Softening(focal=2.0))
    right = LOGITS.softmax(-1)[[0, 1], labels]
    torch.testing.assert_close(found.losses_NK[:, 0], -((1 - right) ** 2) * right.log())


def test_softened_choices_are_spread_over_those_that_a_row_has() -> None:
    batch = replace(batch_of(1, 1, 1, 1, 1), windows=(2, 3))
    head, logits = HeadConfig(kind="choose"), torch.tensor([[0.5], [1.0], [0.2], [-1.0], [2.0]])
    logits.requires_grad_()
    best, how = torch.tensor([1, 0]), Softening(smoothing=0.2)
    found = LAST_LAYERS["choose"].losses(head, logits, best, batch, how).losses_NK[:, 0]
    rows = logits.detach()[:, 0].split([2, 3])
    expected = [
        F.cross_entropy(row[None], best[index : index + 1], label_smoothing=0.2)
        for index, row in enumerate(rows)
    ]
    torch.testing.assert_close(found, torch.stack(expected))
    found.sum().backward()
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


def test_softened_tags_that_are_not_due_do_not_count() -> None:
    tags = torch.tensor([2, IGNORED])
    head = HeadConfig(kind="tag", labels=("a", "b", "c"), pooling="none")
    found = LAST_LAYERS["tag"].losses(head, LOGITS, tags, batch_of(2), Softening(smoothing=0.3))
    torch.testing.assert_close(found.mean(), F.cross_entropy(LOGITS[:1], tags[:1], label_smoothing=0.3))
    assert [kind for kind, layer in LAST_LAYERS.items() if layer.softens] == ["classify", "tag", "choose"]
    assert Softening() == PLAIN
