"""What an encoder is: its options, what they may be, and models that have a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from bertkit.errors import UserError, check_at_least, check_choice, nearest, quoted

Positions = Literal["learned", "sinusoidal", "rotary"]
Norm = Literal["post", "pre"]
Activation = Literal["gelu", "gelu_tanh", "relu"]
Initialisation = Literal["truncated_normal", "keras"]
Precision = Literal["auto", "fp32", "bf16"]

SIZES = {
    "vocabulary_size": (1, 1 << 24),
    "layers": (1, 1_000),
    "hidden_size": (1, 1 << 16),
    "heads": (1, 1 << 16),
    "feedforward_size": (1, 1 << 20),
    "max_positions": (1, 1 << 20),
    "segment_types": (0, 1 << 16),
}
"""Sizes of a model, the least that each may be, and the most: what is beyond is a mistake, or made to fill a
memory; none comes near what was ever trained."""

LARGEST_NUMBER = 1e12
LARGEST_TABLE = 1 << 28
"""Numbers of a table of sinusoids, which is computed and not read, so no file bounds it: 1 GiB."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The options of the packed encoder (Devlin et al. 2018, section 3; sizes as in its table of presets).

    `norm` says where the layer norms stand (Xiong et al. 2020); `positions` how order is told;
    `position_scale` multiplies sinusoids, which are of size 1 beside embeddings of any size;
    `gated` multiplies what the activation gives with a second projection (Shazeer 2020); `biases` are those
    of layers and norms; `first_norm` is the norm before the first attention, which has little to do where an
    `embedding_norm` stands before it; without `segment_types` the two texts of a pair look alike;
    `initialisation` is BERT's truncated normal or the defaults of Keras layers (Glorot uniform kernels,
    uniform embeddings in ±0.05, zero biases).
    """

    vocabulary_size: int = 30_522
    layers: int = 12
    hidden_size: int = 768
    heads: int = 12
    feedforward_size: int = 3_072
    max_positions: int = 512
    segment_types: int = 2
    norm: Norm = "post"
    positions: Positions = "learned"
    position_scale: float = 1.0
    rotary_base: float = 10_000.0
    activation: Activation = "gelu"
    embedding_norm: bool = True
    pooler: bool = True
    norm_eps: float = 1e-12
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.0
    gated: bool = False
    biases: bool = True
    first_norm: bool = True
    initialisation: Initialisation = "truncated_normal"
    initialiser_range: float = 0.02

    def __post_init__(self) -> None:
        owner = "model"
        for name, (least, most) in SIZES.items():
            value = getattr(self, name)
            check_at_least(owner, name, value, least)
            if not isinstance(value, int):
                raise UserError(f"{owner}: {name} must be a whole number, not {quoted(value)}.")
            if value > most:
                raise UserError(f"{owner}: {name} cannot be {value:,}; {most:,} is the most.")
        for name in ("norm_eps", "initialiser_range", "position_scale", "rotary_base"):
            check_at_least(owner, name, getattr(self, name), 0)
            if getattr(self, name) > LARGEST_NUMBER:
                raise UserError(
                    f"{owner}: {name} cannot be {quoted(getattr(self, name))}, which is beyond sense."
                )
        for name in ("embedding_norm", "pooler", "gated", "biases", "first_norm"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{owner}: {name} must be true or false, not {quoted(getattr(self, name))}.")
        check_choice(owner, "norm", self.norm, Norm)
        check_choice(owner, "positions", self.positions, Positions)
        check_choice(owner, "activation", self.activation, Activation)
        check_choice(owner, "initialisation", self.initialisation, Initialisation)
        for name in ("hidden_dropout", "attention_dropout"):
            check_at_least(owner, name, getattr(self, name), 0)
            if getattr(self, name) >= 1:
                raise UserError(f"{owner}: {name} must be below 1, not {quoted(getattr(self, name))}.")
        if not self.first_norm and self.norm != "pre":
            raise UserError(f"{owner}: first_norm can be false only with norm 'pre'.")
        if self.hidden_size % self.heads:
            raise UserError(
                f"{owner}: hidden_size {self.hidden_size} is not a multiple of heads {self.heads}."
            )
        if self.positions in ("rotary", "sinusoidal") and self.head_size % 2:
            raise UserError(
                f"{owner}: {self.positions} positions need an even head size, not {self.head_size}."
            )
        if self.positions == "sinusoidal" and self.max_positions * self.hidden_size > LARGEST_TABLE:
            raise UserError(
                f"{owner}: sinusoidal positions up to {self.max_positions:,} with hidden_size "
                f"{self.hidden_size:,} are a table of more than {LARGEST_TABLE:,} numbers."
            )

    @property
    def head_size(self) -> int:
        """Channels of one attention head, D."""
        return self.hidden_size // self.heads


def layer_numbers(layers: Sequence[int], count: int) -> list[int]:
    """Layers by number, as transformers numbers hidden states: 0 the embeddings, 1 to `count` the layers.

    Args:
        layers: numbers; negative ones count from the last layer, which is -1.
        count: layers of the model, L.

    Raises:
        UserError: the model has no such layer, or none is named.
    """
    for layer in layers:
        if isinstance(layer, bool) or not isinstance(layer, int) or not -count - 1 <= layer <= count:
            raise UserError(
                f"There is no layer {quoted(layer)}: the model has {count}, named 1 to {count}, or -{count} "
                f"to -1 from the last one; 0 or -{count + 1} are the embeddings."
            )
    if not layers:
        raise UserError("No layer is named; the last one is -1.")
    return [layer if layer >= 0 else count + 1 + layer for layer in layers]


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
