"""The encoder's options, its packed batch, and what it computes for some rows only."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import nn

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig, preset
from bertkit.data.packed import pack
from bertkit.errors import UserError
from bertkit.model.encoder import ACTIVATIONS, Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.positions import POSITIONS

SMALL = ModelConfig(
    vocabulary_size=99,
    layers=3,
    hidden_size=28,
    heads=7,
    feedforward_size=44,
    max_positions=19,
    hidden_dropout=0.0,
)
LENGTHS = [7, 3, 13, 7, 1, 5, 19, 4, 4, 4]
VARIANTS = {
    **{
        f"{norm} {positions}": replace(SMALL, norm=norm, positions=positions)
        for norm in ("post", "pre")
        for positions in POSITIONS
    },
    **{activation: replace(SMALL, activation=activation) for activation in ACTIVATIONS},
    "no embedding norm": replace(SMALL, embedding_norm=False),
}
variants = pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def gradients(encoder: Encoder, output: torch.Tensor) -> list[torch.Tensor]:
    target = torch.linspace(-1, 1, output.numel()).view_as(output)
    parameters = [p for name, p in encoder.named_parameters() if "pooler" not in name]
    return list(torch.autograd.grad((output * target).sum(), parameters))


@variants
def test_packed_equals_alone(config, random_sequences):
    sequences = random_sequences(LENGTHS)
    encoder = Encoder(config)
    together = encoder(pack(sequences, range(len(LENGTHS))))
    alone = torch.cat([encoder(pack(sequences, [row])) for row in range(len(LENGTHS))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@variants
def test_rows_equal_those_of_the_whole(config, random_sequences):
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    # Several of one sequence, out of order, and none of others.
    for rows in (batch.starts_B, torch.tensor([24, 3, 22, 0, 61, 2])):
        encoder = Encoder(config)
        some, whole = encoder(batch, rows=rows), encoder(batch)[rows]
        torch.testing.assert_close(some, whole, atol=1e-5, rtol=0)
        for one, other in zip(gradients(encoder, some), gradients(encoder, whole), strict=True):
            torch.testing.assert_close(one, other, atol=1e-5 * max(1, other.abs().max().item()), rtol=0)


@pytest.mark.parametrize(("name", "parameters"), [("base", 109_482_240), ("large", 335_141_888)])
def test_parameter_counts_are_the_published_ones(name, parameters):
    with torch.device("meta"):
        assert count(Encoder(preset(name))) == parameters


def test_parameter_count_of_the_article():
    head = HeadConfig(labels=("0", "1"), pooling="cls", hidden_size=128, loss="sigmoid")
    with torch.device("meta"):
        classifier = Classifier(Encoder(preset("blog")), ClassificationHead(head, preset("blog")))
    assert count(classifier) == 17_665_793


def test_too_long_a_sequence_is_refused(random_sequences):
    with pytest.raises(UserError, match="20 tokens and the model has positions for 19"):
        Encoder(SMALL)(pack(random_sequences([20]), [0]))


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_top_layers_are_renewed_as_fresh_ones_and_the_others_stay(norm: Literal["post", "pre"]) -> None:
    config = ModelConfig(
        vocabulary_size=19, layers=3, hidden_size=12, heads=3, feedforward_size=20, max_positions=7, norm=norm
    )
    encoder = Encoder(config)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(7.0)
    encoder.renew(2)
    for name, parameter in encoder.named_parameters():
        renewed = name.startswith(("blocks.1.", "blocks.2.", "norm.", "pooler."))
        assert bool((parameter == 7.0).all()) != renewed, name
        if renewed and parameter.ndim == 1:
            assert set(parameter.tolist()) == {float("norm" in name and name.endswith("weight"))}, name
        elif renewed:
            # Two standard deviations, beyond which nothing is drawn.
            assert 0 < float(parameter.detach().abs().max()) <= 2 * config.initialiser_range
    with pytest.raises(UserError, match="reinit_layers = 4, and the model has 3 layers"):
        encoder.renew(4)
