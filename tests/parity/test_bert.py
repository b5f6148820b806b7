"""Agreement with transformers' BertModel, which computes padded batches, from the same random weights."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from transformers import BertConfig, BertModel

from bertkit.checkpoint.layouts import write_bert
from bertkit.checkpoint.names import bert_naming, from_disk
from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model.encoder import ACTIVATIONS, Encoder

LENGTHS = [7, 3, 13, 7, 1, 5, 19, 4, 4, 4]


def both(activation: str) -> tuple[Encoder, BertModel]:
    """The encoder and transformers' model with the same weights, all of them random, norms too."""
    config = ModelConfig(
        vocabulary_size=99,
        layers=3,
        hidden_size=28,
        heads=7,
        feedforward_size=44,
        max_positions=23,
        activation=activation,
        hidden_dropout=0.0,
    )
    torch.manual_seed(0)
    # A pad_token_id would keep that token's embedding from being trained, also where it is no pad.
    content = {**write_bert(config, None, SimpleNamespace(pad_id=0)), "pad_token_id": None}
    theirs = BertModel(BertConfig(**content, attn_implementation="eager"))
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    encoder = Encoder(config)
    expected = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors = {name: tensor.detach() for name, tensor in theirs.named_parameters()}
    state = from_disk(tensors, expected, bert_naming(""))
    assert not tensors
    encoder.load_state_dict({name.removeprefix("encoder."): tensor for name, tensor in state.items()})
    return encoder, theirs


def padded(batch, width: int) -> dict[str, torch.Tensor]:
    """What transformers takes for the packed `batch`, [B, width]; the pads are token 0, masked."""
    bounds = batch.cu_seqlens.tolist()
    inputs = {
        "input_ids": torch.zeros(len(batch.lengths), width, dtype=torch.int64),
        "token_type_ids": torch.zeros(len(batch.lengths), width, dtype=torch.int64),
        "attention_mask": torch.zeros(len(batch.lengths), width, dtype=torch.int64),
    }
    for row, (start, end) in enumerate(pairwise(bounds)):
        inputs["input_ids"][row, : end - start] = batch.ids_T[start:end]
        inputs["token_type_ids"][row, : end - start] = batch.segments_T[start:end]
        inputs["attention_mask"][row, : end - start] = 1
    return inputs


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_states_pooled_output_and_gradients(activation, random_sequences):
    encoder, theirs = both(activation)
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    inputs = padded(batch, 23)
    output = theirs(**inputs)
    visible = inputs["attention_mask"].bool()
    hidden_TH = encoder(batch)
    pooled_BH = encoder.pool(encoder(batch, rows=batch.starts_B))
    torch.testing.assert_close(hidden_TH, output.last_hidden_state[visible], atol=1e-5, rtol=0)
    torch.testing.assert_close(pooled_BH, output.pooler_output, atol=1e-5, rtol=0)

    weight_TH, weight_BH = torch.randn_like(hidden_TH), torch.randn_like(pooled_BH)
    ((hidden_TH * weight_TH).sum() + (pooled_BH * weight_BH).sum()).backward()
    their_loss = (output.last_hidden_state[visible] * weight_TH).sum()
    (their_loss + (output.pooler_output * weight_BH).sum()).backward()
    gradients = {f"encoder.{name}": parameter.grad for name, parameter in encoder.named_parameters()}
    their_gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    expected = from_disk(their_gradients, gradients, bert_naming(""))
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).norm() < 1e-4 * expected[name].norm(), name


def test_attention_probabilities(random_sequences):
    encoder, theirs = both("gelu")
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    hidden_TH, attentions = encoder(batch, return_attention=True)
    expected = theirs(**padded(batch, 23), output_attentions=True).attentions
    torch.testing.assert_close(hidden_TH, encoder(batch), atol=1e-5, rtol=0)
    for layer, their_layer in zip(attentions, expected, strict=True):
        for length, ours, alone in zip(LENGTHS, layer, their_layer, strict=True):
            torch.testing.assert_close(ours, alone[:, :length, :length], atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("layers", [(0,), (-1,), (-2,), (1, 3), (-1, -3, -1), (-4, 2)], ids=str)
def test_states_behind_the_layers(layers, random_sequences):
    encoder, theirs = both("gelu")
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    inputs = padded(batch, 23)
    every = theirs(**inputs, output_hidden_states=True).hidden_states
    visible = inputs["attention_mask"].bool()
    rows = torch.tensor([0, 8, 3, 49])
    whole, some = encoder.states(batch, layers), encoder.states(batch, layers, rows)
    for layer, hidden_TH, hidden_RH in zip(layers, whole, some, strict=True):
        torch.testing.assert_close(hidden_TH, every[layer][visible], atol=1e-5, rtol=0)
        torch.testing.assert_close(hidden_RH, hidden_TH[rows], atol=1e-6, rtol=0)
