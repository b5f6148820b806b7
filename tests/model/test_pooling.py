"""From tokens to one vector a sequence, over chosen layers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig, layer_numbers
from bertkit.data.packed import WindowIndex, pack
from bertkit.errors import UserError
from bertkit.model.bulk import head_outputs, pooled
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.pooling import pool

CONFIG = ModelConfig(
    vocabulary_size=99, layers=3, hidden_size=28, heads=7, feedforward_size=44, max_positions=13
)
SEQUENCES = [7, 1, 13, 4]


@pytest.fixture
def batch(random_sequences):
    return pack(random_sequences(SEQUENCES), range(len(SEQUENCES)))


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("combine", ["sum", "concat"])
@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_layers_are_combined_token_by_token_and_then_pooled(norm, combine, pooling, batch):
    encoder = Encoder(replace(CONFIG, norm=norm)).eval()
    layers = (-1, 0, 2)
    states = [encoder.states(batch, (layer,))[0] for layer in layers]
    joined_TW = sum(states) if combine == "sum" else torch.cat(states, 1)
    rows = joined_TW.split(batch.lengths)
    how = {"cls": lambda row: row[0], "mean": lambda row: row.mean(0), "max": lambda row: row.max(0).values}
    expected = torch.stack([how[pooling](row) for row in rows])
    torch.testing.assert_close(pool(encoder, batch, pooling, layers, combine), expected)


def test_the_last_layer_is_what_the_encoder_returns_and_higher_layers_are_not_computed(batch):
    encoder = Encoder(replace(CONFIG, norm="pre")).eval()
    assert torch.equal(encoder.states(batch, (-1,))[0], encoder(batch))
    encoder.blocks[2].register_forward_hook(lambda *_: pytest.fail("the third layer was computed"))
    assert encoder.states(batch, (1, 2))[1].shape == (25, 28)


def test_the_greatest_of_a_channel_gets_the_gradient(batch):
    encoder = Encoder(CONFIG).eval()
    pool(encoder, batch, "max", (-1,), "sum").sum().backward()
    assert encoder.embeddings.tokens.weight.grad.abs().sum() > 0


def test_a_head_is_as_wide_as_what_it_reads(batch):
    head = HeadConfig(labels=("a", "b"), pooling="mean", layers=(-1, -2), combine="concat")
    model = Classifier(Encoder(CONFIG), ClassificationHead(head, CONFIG)).eval()
    assert model.head.output.in_features == 2 * 28
    assert model(batch).shape == (4, 2)


@pytest.mark.parametrize(("layers", "numbers"), [((-1,), [3]), ((0, -4, 3, -2), [0, 0, 3, 2])], ids=str)
def test_layers_by_number(layers, numbers):
    assert layer_numbers(layers, 3) == numbers


@pytest.mark.parametrize("layers", [(4,), (-5,), (1, True), (1.0,), ("1",), ()], ids=str)
def test_layers_that_are_not_there(layers):
    with pytest.raises(UserError, match="layer"):
        layer_numbers(layers, 3)


def test_the_pooler_reads_the_last_layer_alone():
    with pytest.raises(UserError, match=r"the pooler reads the last layer, \[-1\], and not \[-2\]"):
        HeadConfig(labels=("a", "b"), layers=(-2,))


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean", "max"])
def test_windows_of_a_row_are_pooled_again(pooling, random_sequences):
    apart = random_sequences([7, 3, 13, 5, 4])
    rows = replace(apart, windows=WindowIndex(np.array([0, 1, 4, 5]), np.zeros(5, dtype=np.int64)))
    head = HeadConfig(labels=("a", "b", "c"), pooling=pooling)
    model = Classifier(Encoder(CONFIG), ClassificationHead(head, CONFIG)).eval()
    single_MW = model.pool(apart.batch(range(5)))
    middle = single_MW[1:4].max(0).values if pooling == "max" else single_MW[1:4].mean(0)
    expected = torch.stack([single_MW[4], middle, single_MW[0]])
    torch.testing.assert_close(model.pool(rows.batch([2, 1, 0])), expected)
    torch.testing.assert_close(model(rows.batch([2, 1, 0])), model.head(expected))
    # Many rows at once, however they fall into batches, and with the windows of a row apart.
    for tokens in (1, 16, 4096):
        found = pooled(model, rows, tokens=tokens)
        np.testing.assert_allclose(found[[2, 1, 0]], expected.detach(), atol=1e-6)
        logs = head_outputs(model, rows, tokens=tokens)
        np.testing.assert_allclose(logs[[2, 1, 0]], model.head(expected).log_softmax(1).detach(), atol=1e-6)
