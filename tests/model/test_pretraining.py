"""The heads of pretraining, and the encoder under them."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model.encoder import Encoder
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer, PretrainingBatch

CONFIG = ModelConfig(
    vocabulary_size=99,
    layers=2,
    hidden_size=28,
    heads=7,
    feedforward_size=44,
    max_positions=13,
    hidden_dropout=0.0,
    initialiser_range=0.2,
)
MASKED = torch.tensor([1, 4, 6, 9, 22])


def pretrainer(config: ModelConfig = CONFIG, *, pair: bool = True) -> Pretrainer:
    model = Pretrainer(Encoder(config), MaskedHead(config), PairHead(config) if pair else None)
    torch.nn.init.normal_(model.masked.bias)
    return model


@pytest.fixture
def batch(random_sequences) -> PretrainingBatch:
    inputs = pack(random_sequences([7, 3, 13]), range(3))
    return PretrainingBatch(inputs, MASKED, inputs.ids_T[MASKED], torch.tensor([0, 1, 1]))


@pytest.mark.parametrize("options", [{}, {"norm": "pre", "positions": "rotary"}, {"activation": "relu"}])
def test_logits_are_those_of_the_whole_sequences(options, batch):
    config = replace(CONFIG, **options)
    model = pretrainer(config)
    logits_MV, pairs_B2 = model(batch)
    hidden_TH = model.encoder(batch.inputs)
    activation = F.relu if config.activation == "relu" else F.gelu
    raised = activation(F.linear(hidden_TH, model.masked.transform.weight, model.masked.transform.bias))
    normed = F.layer_norm(raised, [28], model.masked.norm.weight, model.masked.norm.bias, config.norm_eps)
    expected = normed @ model.encoder.embeddings.tokens.weight.T + model.masked.bias
    torch.testing.assert_close(logits_MV, expected[MASKED])
    torch.testing.assert_close(pairs_B2, model.pair(model.encoder.pool(hidden_TH[[0, 7, 10]])))
    assert pairs_B2.shape == (3, 2)


def test_no_pairs_need_no_pooler(batch):
    model = pretrainer(replace(CONFIG, pooler=False), pair=False)
    logits_MV, pairs_B2 = model(batch)
    assert logits_MV.shape == (5, 99)
    assert pairs_B2 is None
    with pytest.raises(AssertionError, match="needs the pooler"):
        pretrainer(replace(CONFIG, pooler=False))


def test_the_table_of_tokens_is_one_parameter(batch):
    model = pretrainer()
    assert sum(parameter.numel() == 99 * 28 for parameter in model.parameters()) == 1
    F.cross_entropy(model(batch)[0], batch.targets_M).backward()
    table = model.encoder.embeddings.tokens.weight
    # Tokens that are not in the batch are reached through the output alone.
    absent = sorted(set(range(99)) - set(batch.inputs.ids_T.tolist()))
    assert (table.grad[absent].abs().sum(1) > 0).all()


def test_fresh_weights_know_nothing(batch):
    model = Pretrainer(Encoder(replace(CONFIG, initialiser_range=0.02)), MaskedHead(CONFIG))
    loss = F.cross_entropy(model(batch)[0], batch.targets_M)
    assert abs(loss - math.log(99)) < 0.2
    assert not model.masked.bias.any()
