"""Sequences never see one another, and the plan that lays them out."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model.attention import MAX_PADS, SHORT, _fused, plan
from bertkit.model.encoder import Encoder

CONFIG = ModelConfig(
    vocabulary_size=99,
    layers=2,
    hidden_size=28,
    heads=7,
    feedforward_size=44,
    max_positions=19,
    hidden_dropout=0.0,
)
LENGTHS = [7, 3, 13, 7, 1, 5, 19, 4, 4, 4, 6, 6]
lengths_strategy = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(lengths_strategy)
def test_layout_there_and_back(lengths):
    packed_TH = torch.arange(sum(lengths) * 6.0).view(-1, 6)
    layout = plan(lengths).keys
    assert torch.equal(layout.join(layout.split(packed_TH, 3)), packed_TH)


@given(lengths_strategy)
def test_pads_are_masked_few_and_of_their_own_sequence(lengths):
    owner_T1 = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[:, None]
    made = plan(lengths)
    for block, mask in zip(made.keys.split(owner_T1, 1), made.masks, strict=True):
        assert (block == block[:, :, :1]).all()
        places = block.shape[0] * block.shape[2]
        tokens = places if mask is None else int(mask.sum())
        assert tokens == sum(lengths[int(sequence)] for sequence in block[:, 0, 0, 0])
        assert places - tokens <= MAX_PADS


def test_like_lengths_side_by_side_are_not_copied():
    assert plan([3] * 9 + [5] * 9 + [40]).keys.pad is None
    assert plan([3, 40, 3]).keys.pad is not None


@pytest.mark.parametrize("attention_dropout", [0.0, 0.3])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_no_gradient_crosses_sequences(positions, attention_dropout, random_sequences):
    config = replace(CONFIG, positions=positions, attention_dropout=attention_dropout)
    encoder = Encoder(config).train()
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    inputs: list[torch.Tensor] = []

    def keep(module, arguments, output):
        inputs.append(output.detach().requires_grad_())
        return inputs[-1]

    encoder.embeddings.register_forward_hook(keep)
    bounds = batch.cu_seqlens.tolist()
    for rows in (None, torch.arange(sum(LENGTHS))[::2]):
        hidden = encoder(batch, rows=rows)
        owners = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
        owners = owners if rows is None else owners[rows]
        for row, (start, end) in enumerate(pairwise(bounds)):
            chosen = hidden[owners == row]
            if not len(chosen):
                continue
            weights = torch.linspace(-1, 2, chosen.numel()).view_as(chosen)
            (gradient,) = torch.autograd.grad((chosen * weights).sum(), inputs[-1], retain_graph=True)
            assert gradient[start:end].abs().min() > 0
            assert not gradient[:start].any()
            assert not gradient[end:].any()


@torch.no_grad()
def test_changing_one_sequence_leaves_the_others(random_sequences):
    encoder = Encoder(CONFIG).eval()
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    before = encoder(batch)
    start, end = batch.cu_seqlens[6].item(), batch.cu_seqlens[7].item()
    inside = torch.zeros(len(before), dtype=torch.bool)
    inside[start:end] = True
    changed = replace(batch, ids_T=torch.where(inside, (batch.ids_T + 1) % 99, batch.ids_T))
    after = encoder(changed)
    torch.testing.assert_close(after[~inside], before[~inside], atol=1e-6, rtol=0)
    assert (after[inside] - before[inside]).abs().max() > 1e-3

    # Not even numbers that are not numbers pass from one to another.
    encoder.embeddings.tokens.weight[98] = torch.nan
    spoilt = encoder(replace(batch, ids_T=torch.where(inside, 98, batch.ids_T % 98)))
    assert spoilt[inside].isnan().all()
    assert spoilt[~inside].isfinite().all()


def test_attention_dropout_falls_in_training_only(random_sequences):
    encoder = Encoder(replace(CONFIG, attention_dropout=0.5))
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    assert not torch.equal(encoder.train()(batch), encoder(batch))
    assert torch.equal(encoder.eval()(batch), encoder(batch))


@torch.no_grad()
def test_probabilities_are_those_the_kernel_used(random_sequences):
    encoder = Encoder(replace(CONFIG, positions="rotary")).eval()
    batch = pack(random_sequences(LENGTHS), range(len(LENGTHS)))
    hidden, attentions = encoder(batch, return_attention=True)
    torch.testing.assert_close(hidden, encoder(batch), atol=1e-6, rtol=0)
    assert [[p.shape for p in layer] for layer in attentions] == [[(7, n, n) for n in LENGTHS]] * 2
    assert all(torch.allclose(p.sum(-1), torch.ones(())) for layer in attentions for p in layer)
    with pytest.raises(ValueError, match="whole sequences"):
        encoder(batch, rows=batch.starts_B, return_attention=True)


@pytest.mark.parametrize("tokens", [7, SHORT, SHORT + 1])
def test_short_blocks_of_bf16_are_computed_in_float32_where_there_is_a_backward_pass(
    tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []
    kernel = F.scaled_dot_product_attention

    def noting(query: torch.Tensor, *rest: torch.Tensor, **how: object) -> torch.Tensor:
        seen.append(query.dtype)
        return kernel(query, *rest, **how)

    monkeypatch.setattr(F, "scaled_dot_product_attention", noting)
    query, key, value = torch.randn(3, 2, 3, tokens, 8).bfloat16().unbind(0)
    mask = torch.ones(2, 1, 1, tokens, dtype=torch.bool)
    mask[1, :, :, tokens // 2 :] = False
    for learns in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = _fused(query.requires_grad_(learns), key, value, mask, 0.0)
        assert found.dtype == torch.bfloat16
        expected = kernel(query.float(), key.float(), value.float(), attn_mask=mask)
        torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.02)
    assert seen == [torch.bfloat16, torch.float32 if tokens <= SHORT else torch.bfloat16]
