"""Many sequences at once: any batches, the same answers in the order given."""

import numpy as np
import pytest
import torch

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
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
        expected = model.eval().outputs(model(pack(sequences, range(len(LENGTHS)))))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-6)
    head_outputs(model, sequences)
    assert not model.training


def test_bf16_is_close(random_sequences):
    model = classifier(labels=("a", "b", "c"))
    found = [
        head_outputs(model, random_sequences(LENGTHS), compute=Compute(kind)) for kind in ("fp32", "bf16")
    ]
    np.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_none(random_sequences):
    sequences = random_sequences([])
    assert head_outputs(classifier(labels=("a", "b", "c")), sequences).shape == (0, 3)
