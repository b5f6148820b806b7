"""Models that have a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, nearest, quoted

PRESETS: dict[str, ModelConfig] = {
    # The sizes of google-research/bert; the feed-forward part is four times as wide as the model.
    "tiny": ModelConfig(layers=2, hidden_size=128, heads=2, feedforward_size=512),
    "mini": ModelConfig(layers=4, hidden_size=256, heads=4, feedforward_size=1_024),
    "small": ModelConfig(layers=4, hidden_size=512, heads=8, feedforward_size=2_048),
    "medium": ModelConfig(layers=8, hidden_size=512, heads=8, feedforward_size=2_048),
    "base": ModelConfig(),
    "large": ModelConfig(layers=24, hidden_size=1_024, heads=16, feedforward_size=4_096),
    # The article's model: it gets stuck, and that is what it is here for.
    "blog": ModelConfig(
        vocabulary_size=1_517,
        layers=8,
        hidden_size=512,
        heads=8,
        feedforward_size=1_024,
        max_positions=128,
        positions="sinusoidal",
        activation="relu",
        embedding_norm=False,
        pooler=False,
        initialisation="keras",
    ),
}


def preset(name: str) -> ModelConfig:
    """The named preset.

    Raises:
        UserError: no preset has that name; the nearest one is offered.
    """
    if name not in PRESETS:
        raise UserError(f"There is no preset named {quoted(name)}.{nearest(name, list(PRESETS))}")
    return PRESETS[name]


def changed_preset(name: str, options: Mapping[str, Any]) -> ModelConfig:
    """The named preset with some of its options changed.

    Raises:
        UserError: no such preset or option (the nearest is offered), or a value out of range.
    """
    known = set(ModelConfig.__dataclass_fields__)
    for key in options:
        if key not in known:
            raise UserError(f"There is no model option {quoted(key)}.{nearest(key, sorted(known))}")
    return replace(preset(name), **options)
