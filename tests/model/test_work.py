"""The arithmetic of a step as counted by PyTorch on the real model, and the rate of this machine."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model.compute import FLOAT32, Compute, gemm_rate
from bertkit.model.encoder import Encoder
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer, PretrainingBatch
from bertkit.model.work import BACKWARD, encoder_flops, training_flops

SMALL = ModelConfig(
    vocabulary_size=99, layers=3, hidden_size=28, heads=7, feedforward_size=44, max_positions=40
)


def counted(run, backward=False):
    # The fused kernel is one call to PyTorch, whose products it does not count; the plain one is several.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        output = run()
        if backward:
            sum(part.sum() for part in output if part is not None).backward()
    return counter.get_total_flops()


def pretrainer(config, pairs):
    encoder = Encoder(config)
    return Pretrainer(encoder, MaskedHead(config), PairHead(config) if pairs else None)


def step(model, sequences, masked):
    masked_M = torch.tensor(masked)
    batch = pack(sequences, range(len(sequences)))
    return model(PretrainingBatch(batch, masked_M, batch.ids_T[masked_M]))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(
    "change",
    [{}, {"layers": 1}, {"norm": "pre"}, {"positions": "rotary"}, {"gated": True, "biases": False}],
    ids=str,
)
def test_a_step_has_the_operations_that_pytorch_counts(change, pairs, random_sequences):
    config = replace(SMALL, **change)
    lengths = [13, 13, 13]
    masked = [2, 5, 15, 25, 30, 38]  # two of each sequence, as evenly as the function takes them to be
    model, sequences = pretrainer(config, pairs), random_sequences(lengths)
    assert counted(lambda: step(model, sequences, masked), backward=True) == training_flops(
        config, lengths, len(masked), pairs=pairs
    )


def test_the_backward_pass_is_twice_the_forward_pass(random_sequences):
    model, sequences = pretrainer(SMALL, False), random_sequences([13, 13])
    forward = counted(lambda: step(model, sequences, [2, 15]))
    assert training_flops(SMALL, [13, 13], 2) == (1 + BACKWARD) * forward


def test_pads_inside_attention_do_not_count(random_sequences):
    lengths, rows = [7, 31, 18, 40], [1, 3, 2, 7]
    encoder, sequences = Encoder(SMALL), random_sequences(lengths)
    with torch.no_grad():
        whole = [counted(lambda i=i: encoder(pack(sequences, [i]))) for i in range(4)]
        asked = [
            counted(lambda i=i, n=n: encoder(pack(sequences, [i]), rows=torch.arange(n)))
            for i, n in enumerate(rows)
        ]
        together = counted(lambda: encoder(pack(sequences, range(4))))
    assert encoder_flops(SMALL, lengths) == encoder_flops(SMALL, np.array(lengths), lengths) == sum(whole)
    assert encoder_flops(SMALL, lengths, rows) == sum(asked)
    assert together > sum(whole)


def test_where_the_masked_tokens_stand_hardly_matters():
    lengths, rows = [7, 31, 18, 40], [0, 8, 2, 4]
    heads = 2 * sum(rows) * SMALL.hidden_size * (SMALL.hidden_size + SMALL.vocabulary_size)
    exact = (1 + BACKWARD) * (encoder_flops(SMALL, lengths, rows) + heads)
    assert training_flops(SMALL, lengths, sum(rows)) == pytest.approx(exact, rel=0.01)


def test_the_rate_is_that_of_the_product():
    begin = time.perf_counter()
    rate = gemm_rate(FLOAT32, (64, 64, 64), budget=0.05)
    took = time.perf_counter() - begin
    assert rate > 2 * 64**3 / took, "one product takes no longer than all of them"
    assert gemm_rate(Compute("bf16"), (64, 64, 64), budget=0.01) > 0
