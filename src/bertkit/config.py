"""What a model is and what a run does, as frozen values that can be written to a file and run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from bertkit.errors import UserError, nearest

Positions = Literal["learned", "sinusoidal", "rotary"]
Norm = Literal["post", "pre"]
Activation = Literal["gelu", "gelu_tanh", "relu"]
Initialisation = Literal["truncated_normal", "keras"]
Pooling = Literal["pooler", "cls", "mean", "max"]
Combination = Literal["sum", "concat"]
Loss = Literal["softmax", "sigmoid"]
Precision = Literal["auto", "fp32", "bf16"]


def check_choice(owner: str, field: str, value: object, kind: Any) -> None:
    """Raise `UserError` unless `value` is one of the strings of the Literal type `kind`."""
    if value not in get_args(kind):
        raise UserError(f"{owner}: {field} cannot be {value!r}.{nearest(str(value), list(get_args(kind)))}")


def check_at_least(owner: str, field: str, value: float, least: float) -> None:
    """Raise `UserError` unless `value` is a number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        raise UserError(f"{owner}: {field} must be a number of at least {least:g}, not {value!r}.")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The options of the packed encoder (Devlin et al. 2018, section 3; sizes as in its table of presets).

    `norm` says where the layer norms stand (Xiong et al. 2020); `positions` how order is told;
    `position_scale` multiplies sinusoids, which are of size 1 beside embeddings of any size;
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
    initialisation: Initialisation = "truncated_normal"
    initialiser_range: float = 0.02

    def __post_init__(self) -> None:
        owner = "model"
        for name in (
            "vocabulary_size",
            "layers",
            "hidden_size",
            "heads",
            "feedforward_size",
            "max_positions",
            "segment_types",
        ):
            value = getattr(self, name)
            check_at_least(owner, name, value, 1)
            if not isinstance(value, int):
                raise UserError(f"{owner}: {name} must be a whole number, not {value!r}.")
        for name in ("norm_eps", "initialiser_range", "position_scale", "rotary_base"):
            check_at_least(owner, name, getattr(self, name), 0)
        for name in ("embedding_norm", "pooler"):
            if not isinstance(getattr(self, name), bool):
                raise UserError(f"{owner}: {name} must be true or false, not {getattr(self, name)!r}.")
        check_choice(owner, "norm", self.norm, Norm)
        check_choice(owner, "positions", self.positions, Positions)
        check_choice(owner, "activation", self.activation, Activation)
        check_choice(owner, "initialisation", self.initialisation, Initialisation)
        for name in ("hidden_dropout", "attention_dropout"):
            check_at_least(owner, name, getattr(self, name), 0)
            if getattr(self, name) >= 1:
                raise UserError(f"{owner}: {name} must be below 1, not {getattr(self, name)!r}.")
        if self.hidden_size % self.heads:
            raise UserError(
                f"{owner}: hidden_size {self.hidden_size} is not a multiple of heads {self.heads}."
            )
        if self.positions in ("rotary", "sinusoidal") and self.head_size % 2:
            raise UserError(
                f"{owner}: {self.positions} positions need an even head size, not {self.head_size}."
            )

    @property
    def head_size(self) -> int:
        """Channels of one attention head, D."""
        return self.hidden_size // self.heads


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
        raise UserError(f"There is no preset named {name!r}.{nearest(name, list(PRESETS))}")
    return PRESETS[name]


def changed_preset(name: str, options: Mapping[str, Any]) -> ModelConfig:
    """The named preset with some of its options changed.

    Raises:
        UserError: no such preset or option (the nearest is offered), or a value out of range.
    """
    known = set(ModelConfig.__dataclass_fields__)
    for key in options:
        if key not in known:
            raise UserError(f"There is no model option {key!r}.{nearest(key, sorted(known))}")
    return replace(preset(name), **options)


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
                f"There is no layer {layer!r}: the model has {count}, named 1 to {count}, or -{count} to "
                f"-1 from the last one; 0 or -{count + 1} are the embeddings."
            )
    if not layers:
        raise UserError("No layer is named; the last one is -1.")
    return [layer if layer >= 0 else count + 1 + layer for layer in layers]


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """A classification head: pooling to one vector a sequence, an optional hidden layer, output and loss.

    `pooling="pooler"` is BERT's dense + tanh on `[CLS]`; `"cls"` is that vector as it is; `"mean"` averages
    all pieces and `"max"` takes the greatest of each channel. What is pooled are the states behind `layers`
    (see `layer_numbers`): their sum or their concatenation. `hidden_size` > 0 adds Dense(hidden_size, relu).
    `loss="sigmoid"` is one output for two classes with binary cross-entropy, as in the article; `"softmax"`
    one output a class.
    """

    labels: tuple[str, ...]
    pooling: Pooling = "pooler"
    layers: tuple[int, ...] = (-1,)
    combine: Combination = "sum"
    hidden_size: int = 0
    loss: Loss = "softmax"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_choice("head", "pooling", self.pooling, Pooling)
        check_choice("head", "combine", self.combine, Combination)
        if self.pooling == "pooler" and self.layers != (-1,):
            raise UserError(
                f"head: the pooler reads the last layer, [-1], and not {list(self.layers)}; "
                "pool these with cls, mean or max."
            )
        check_choice("head", "loss", self.loss, Loss)
        check_at_least("head", "hidden_size", self.hidden_size, 0)
        if not isinstance(self.hidden_size, int):
            raise UserError(f"head: hidden_size must be a whole number, not {self.hidden_size!r}.")
        check_at_least("head", "dropout", self.dropout, 0)
        if self.dropout >= 1:
            raise UserError(f"head: dropout must be below 1, not {self.dropout!r}.")
        if len(self.labels) < 2:
            raise UserError(f"head: classification needs at least two labels, not {list(self.labels)}.")
        if len(set(self.labels)) < len(self.labels):
            raise UserError(f"head: a label stands twice among {list(self.labels)}.")
        if self.loss == "sigmoid" and len(self.labels) != 2:
            raise UserError(f"head: loss 'sigmoid' is for two labels, not {len(self.labels)}.")

    def pooled_size(self, model: ModelConfig) -> int:
        """Width W of the pooled vector.

        Raises:
            UserError: the model has no such layers.
        """
        numbers = layer_numbers(self.layers, model.layers)
        return model.hidden_size * (len(numbers) if self.combine == "concat" else 1)

    @property
    def outputs(self) -> int:
        """Width of the last layer: the number of classes, or 1 with the sigmoid loss."""
        return 1 if self.loss == "sigmoid" else len(self.labels)
