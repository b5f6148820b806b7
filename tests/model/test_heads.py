"""Pooling, outputs and losses of the classification head, and drawing weights and dropout."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import FeatureBatch, pack
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.layers import Dropout

CONFIG = ModelConfig(
    vocabulary_size=99, layers=1, hidden_size=28, heads=7, feedforward_size=44, max_positions=13
)


def classifier(head: HeadConfig, config: ModelConfig = CONFIG) -> Classifier:
    return Classifier(Encoder(config), ClassificationHead(head, config)).eval()


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_pooling(pooling, random_sequences):
    model = classifier(HeadConfig(labels=("a", "b", "c"), pooling=pooling))
    batch = pack(random_sequences([7, 1, 13]), range(3))
    hidden = model.encoder(batch).split(batch.lengths)
    expected = torch.stack([each.mean(0) if pooling == "mean" else each[0] for each in hidden])
    if pooling == "pooler":
        expected = torch.tanh(model.encoder.pooler(expected))
    torch.testing.assert_close(model(batch), model.head.output(expected))


def test_hidden_layer(random_sequences):
    model = classifier(HeadConfig(labels=("a", "b"), pooling="cls", hidden_size=9, loss="sigmoid"))
    batch = pack(random_sequences([7, 3]), range(2))
    first = model.encoder(batch)[batch.starts_B]
    expected = model.head.output(F.relu(model.head.hidden(first)))
    torch.testing.assert_close(model(batch), expected)
    assert expected.shape == (2, 1)


def test_losses_and_log_probabilities():
    softmax = classifier(HeadConfig(labels=("a", "b", "c")))
    logits_BC = torch.tensor([[0.0, 0.0, 0.0], [0.0, 40.0, 0.0]])
    batch = FeatureBatch(torch.zeros(0), ())
    loss_B = softmax.losses(logits_BC, torch.tensor([2, 0]), batch).losses_NK[:, 0]
    torch.testing.assert_close(loss_B, torch.tensor([1.0986123, 40.0]))
    torch.testing.assert_close(softmax.outputs(logits_BC, batch)[:, 0], torch.tensor([-1.0986123, -40.0]))

    sigmoid = classifier(HeadConfig(labels=("a", "b"), loss="sigmoid"))
    logits_B1 = torch.tensor([[0.0], [3.0], [-200.0]])
    labels_B = torch.tensor([1, 0, 1])
    logs_BC = sigmoid.outputs(logits_B1, batch)
    torch.testing.assert_close(logs_BC.exp().sum(1), torch.ones(3))
    losses = sigmoid.losses(logits_B1, labels_B, batch).losses_NK[:, 0]
    torch.testing.assert_close(losses, -logs_BC[torch.arange(3), labels_B])
    # The loss is float32 whatever the model computed in.
    assert sigmoid.losses(logits_B1.bfloat16(), labels_B, batch).losses_NK.dtype == torch.float32


def test_truncated_normal_weights():
    config = replace(CONFIG, vocabulary_size=999, hidden_size=98)
    parameters = dict(classifier(HeadConfig(labels=("a", "b")), config).named_parameters())
    for name, parameter in parameters.items():
        if name.endswith("bias"):
            assert not parameter.any()
        elif "norm" in name:
            assert (parameter == 1).all()
        else:
            assert 0.025 < parameter.abs().max() <= 0.04, name
    # A normal distribution cut at two standard deviations has 0.8796 of its deviation.
    assert abs(parameters["encoder.embeddings.tokens.weight"].std() - 0.02 * 0.8796) < 1e-4


def test_keras_weights():
    config = replace(CONFIG, vocabulary_size=999, hidden_size=98, initialisation="keras")
    head = HeadConfig(labels=("a", "b"), pooling="cls", hidden_size=9, loss="sigmoid")
    parameters = dict(classifier(head, config).named_parameters())
    limits = {
        "encoder.embeddings.tokens.weight": 0.05,
        # keras.layers.MultiHeadAttention 3.15: Glorot of 98 in and 14 * 7 out for each of the three.
        "encoder.blocks.0.attention.qkv.weight": (6 / (98 + 98)) ** 0.5,
        "encoder.blocks.0.attention.output.weight": (6 / (98 + 98)) ** 0.5,
        "encoder.blocks.0.intermediate.weight": (6 / (98 + 44)) ** 0.5,
        "head.hidden.weight": (6 / (98 + 9)) ** 0.5,
        "head.output.weight": (6 / (9 + 1)) ** 0.5,
    }
    for name, limit in limits.items():
        assert 0.7 * limit < parameters[name].abs().max() <= limit, name
    assert not any(parameter.any() for name, parameter in parameters.items() if name.endswith("bias"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout(dtype):
    torch.manual_seed(0)
    dropout, hidden = Dropout(0.25), torch.ones(99, 1013, dtype=dtype, requires_grad=True)
    assert dropout.eval()(hidden) is hidden
    dropped = dropout.train()(hidden)
    assert dropped.dtype == dtype
    assert set(dropped.unique().tolist()) == {0.0, torch.tensor(4 / 3, dtype=dtype).item()}
    # 100,287 draws: four standard errors.
    assert abs((dropped == 0).float().mean() - 0.25) < 0.0055
    # Neighbours, which share a draw, fall independently.
    flat = (dropped == 0).flatten()[:100_284].view(-1, 4).float()
    assert (torch.corrcoef(flat.T) - torch.eye(4)).abs().max() < 0.03
    (gradient,) = torch.autograd.grad(dropped.sum(), hidden)
    assert torch.equal(gradient, dropped)
    torch.manual_seed(5)
    first = dropout(hidden)
    torch.manual_seed(5)
    assert torch.equal(dropout(hidden), first)
    assert Dropout(0.0).train()(hidden) is hidden
