"""Layers have names, gradients and spreads."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch, Sequences, pack
from bertkit.health.look import (
    cls_spread_by_layer,
    gradient_norms,
    layer_of,
    parameters_by_layer,
    spread,
)
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer

CONFIG = ModelConfig(
    vocabulary_size=99,
    layers=3,
    hidden_size=12,
    heads=3,
    feedforward_size=20,
    max_positions=16,
    norm="pre",
    initialiser_range=0.3,
)


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(Encoder(CONFIG), ClassificationHead(HeadConfig(labels=("a", "b")), CONFIG))


@pytest.fixture
def batch(random_sequences: Callable[..., Sequences]) -> PackedBatch:
    packed = pack(random_sequences([5, 3, 7]), np.arange(3))
    packed.ids_T[packed.starts_B] = 2  # [CLS]
    return packed


def test_every_trained_parameter_has_one_layer(classifier: Classifier) -> None:
    layers = parameters_by_layer(classifier)
    assert list(layers) == ["embeddings", "layer 1", "layer 2", "layer 3", "pooler", "head"]
    counted = sum(len(parameters) for parameters in layers.values())
    assert counted == len(list(classifier.parameters()))
    assert layer_of("encoder.norm.weight", 3) == "layer 3"


def test_a_pretrainers_heads_are_the_head_and_its_tied_table_is_of_the_embeddings() -> None:
    encoder = Encoder(CONFIG)
    assert encoder.pooler is not None
    encoder.pooler.requires_grad_(False)
    model = Pretrainer(encoder, MaskedHead(CONFIG), PairHead(CONFIG))
    layers = parameters_by_layer(model)
    assert list(layers) == ["embeddings", "layer 1", "layer 2", "layer 3", "head"]
    assert {id(p) for p in layers["head"]} == {
        id(p) for head in (model.masked, model.pair) for p in head.parameters()
    }


def test_the_norms_of_layers_are_those_of_their_parts(classifier: Classifier, batch: PackedBatch) -> None:
    classifier.losses(classifier(batch), torch.tensor([0, 1, 1]), batch).mean().backward()
    norms = gradient_norms(classifier)
    whole = torch.cat([p.grad.flatten() for p in classifier.parameters() if p.grad is not None]).norm()
    assert math.hypot(*norms.values()) == pytest.approx(whole.item(), rel=1e-5)
    block = torch.cat([p.grad.flatten() for p in classifier.encoder.blocks[1].parameters()]).norm()
    assert norms["layer 2"] == pytest.approx(block.item(), rel=1e-5)
    classifier.zero_grad()
    assert set(gradient_norms(classifier).values()) == {0.0}


def test_spread_is_none_for_the_same_and_one_for_the_opposite() -> None:
    assert spread(torch.ones(4, 7)) == 0
    assert spread(torch.tensor([[1.0, 2.0], [-1.0, -2.0]])) == pytest.approx(1)
    assert spread(torch.zeros(4, 7)) == 0
    # Of (3, 4) and (5, 4) each stands 1 from the middle; their squared lengths are 25 and 41.
    assert spread(torch.tensor([[3.0, 4.0], [5.0, 4.0]])) == pytest.approx(math.sqrt(2 / 66))


def test_spread_by_layer_sees_what_tells_inputs_apart(classifier: Classifier, batch: PackedBatch) -> None:
    classifier.train()
    state = torch.get_rng_state()
    found = cls_spread_by_layer(classifier, batch)
    assert list(found) == ["layer 1", "layer 2", "layer 3"]
    assert all(0 < value < 1 for value in found.values())
    assert classifier.training
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():  # No value of another token ever reaches [CLS].
        for block in classifier.encoder.blocks:
            block.attention.output.weight.zero_()
    assert max(cls_spread_by_layer(classifier, batch).values()) < 1e-6
