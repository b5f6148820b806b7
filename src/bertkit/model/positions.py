"""How the encoder is told the order of tokens: one table of schemes.

A scheme adds a row for each place to the embeddings, or turns queries and keys by an angle for each place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bertkit.config.model import ModelConfig


@dataclass(frozen=True)
class Rotation:
    """Cosines and sines of each token's angles, [T, D / 2] each."""

    cosines: torch.Tensor
    sines: torch.Tensor

    def take(self, rows: torch.Tensor) -> Rotation:
        """The rotation of the tokens `rows` alone."""
        return Rotation(self.cosines[rows], self.sines[rows])


@dataclass(frozen=True)
class Scheme:
    """One way to tell positions.

    Attributes:
        learned: a row of a trained table [max_positions, H] is added to the embedding.
        table: makes the constant table [max_positions, H] whose rows are added instead.
        rotation: makes the rotation of tokens at positions [T].
    """

    learned: bool = False
    table: Callable[[ModelConfig], torch.Tensor] | None = None
    rotation: Callable[[ModelConfig, torch.Tensor], Rotation] | None = None


def sinusoids(config: ModelConfig) -> torch.Tensor:
    """Sines, then cosines, of wavelengths from 2 pi to 10,000 * 2 pi, [max_positions, H].

    Vaswani et al. 2017, section 3.5, with the channels of sines and cosines laid end to end instead of
    interleaved: the same model up to the order of channels. Multiplied by `config.position_scale`.
    """
    # A constant is a constant also where a model is laid out on the meta device to be filled later.
    positions_S = torch.arange(config.max_positions, device="cpu")
    angles = _angles(positions_S, config.hidden_size, 10_000.0)
    return torch.cat([angles.sin(), angles.cos()], dim=1).float() * config.position_scale


def _rotation(config: ModelConfig, positions_T: torch.Tensor) -> Rotation:
    angles = _angles(positions_T, config.head_size, config.rotary_base)
    return Rotation(angles.cos().float(), angles.sin().float())


def _angles(positions_T: torch.Tensor, size: int, base: float) -> torch.Tensor:
    """Position times frequency, float64 [T, size / 2]: float32 would lose digits at far positions."""
    exponents = torch.arange(0, size, 2, dtype=torch.float64, device=positions_T.device) / size
    return positions_T[:, None] * base**-exponents


POSITIONS: dict[str, Scheme] = {
    "learned": Scheme(learned=True),
    "sinusoidal": Scheme(table=sinusoids),
    "rotary": Scheme(rotation=_rotation),
}


def rotate(states_TH: torch.Tensor, rotation: Rotation, heads: int) -> torch.Tensor:
    """Turn every head's channel pairs (i, i + D / 2) by the token's angles, [T, H].

    Su et al. 2021, equation 34, with the pairing of GPT-NeoX and ModernBERT (halves, not neighbours).
    """
    first, second = states_TH.reshape(len(states_TH), heads, 2, -1).unbind(2)
    cosines = rotation.cosines[:, None].to(states_TH.dtype)
    sines = rotation.sines[:, None].to(states_TH.dtype)
    turned = torch.stack([first * cosines - second * sines, second * cosines + first * sines], dim=2)
    return turned.flatten(1)
