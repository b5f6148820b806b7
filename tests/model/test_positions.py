"""How positions are told."""

import math
from dataclasses import replace

import torch

from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.model.encoder import Encoder
from bertkit.model.positions import POSITIONS, rotate, sinusoids

CONFIG = ModelConfig(
    vocabulary_size=13, layers=1, hidden_size=12, heads=3, feedforward_size=7, max_positions=9
)


def test_sinusoids_are_those_of_the_paper_in_another_order():
    table = sinusoids(CONFIG)
    for position in range(9):
        for i in range(6):
            angle = position / 10_000 ** (2 * i / 12)
            assert math.isclose(table[position, i], math.sin(angle), abs_tol=1e-6)
            assert math.isclose(table[position, i + 6], math.cos(angle), abs_tol=1e-6)


def test_sinusoids_take_the_scale_that_is_asked_for():
    torch.testing.assert_close(sinusoids(replace(CONFIG, position_scale=0.25)), sinusoids(CONFIG) / 4)


def test_sinusoids_are_added_unscaled_and_never_trained(random_sequences):
    encoder = Encoder(replace(CONFIG, positions="sinusoidal", embedding_norm=False, hidden_dropout=0.0))
    batch = pack(random_sequences([5, 2], vocabulary=13), [0, 1])
    embeddings = encoder.embeddings
    added = embeddings(batch) - embeddings.tokens(batch.ids_T) - embeddings.segments(batch.segments_T)
    torch.testing.assert_close(added, sinusoids(CONFIG)[[0, 1, 2, 3, 4, 0, 1]])
    assert not any("positions" in name for name in encoder.state_dict())


def test_rotation_turns_each_pair_by_its_angle():
    rotation = POSITIONS["rotary"].rotation(replace(CONFIG, rotary_base=100.0), torch.tensor([0, 3]))
    states = torch.randn(2, 12)
    turned = rotate(states, rotation, heads=3)
    assert torch.equal(turned[0], states[0])
    # Heads of size 4: channels (0, 2) turn by 1 a position, channels (1, 3) by 100 ** -(2 / 4) = 0.1.
    for head in range(3):
        for first, angle in ((0, 3.0), (1, 0.3)):
            x, y = states[1, 4 * head + first], states[1, 4 * head + first + 2]
            cos, sin = math.cos(angle), math.sin(angle)
            torch.testing.assert_close(turned[1, 4 * head + first], x * cos - y * sin)
            torch.testing.assert_close(turned[1, 4 * head + first + 2], y * cos + x * sin)


def test_rotary_scores_depend_on_distance_alone():
    scheme = POSITIONS["rotary"].rotation
    query, key = torch.randn(1, 12), torch.randn(1, 12)

    def score(at_query: int, at_key: int) -> torch.Tensor:
        turned = [
            rotate(state, scheme(CONFIG, torch.tensor([position])), heads=3)
            for state, position in ((query, at_query), (key, at_key))
        ]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(score(7, 2), score(105, 100), atol=1e-5, rtol=0)
    assert (score(7, 2) - score(2, 7)).abs() > 1e-3


def test_order_matters(random_sequences):
    sequences = random_sequences([5], vocabulary=13)
    batch = pack(sequences, [0])
    batch = replace(batch, segments_T=torch.zeros_like(batch.segments_T))
    backward = replace(batch, ids_T=batch.ids_T.flip(0))
    for positions in POSITIONS:
        encoder = Encoder(replace(CONFIG, positions=positions, initialiser_range=1.0)).eval()
        assert (encoder(batch) - encoder(backward).flip(0)).abs().max() > 0.01, positions
