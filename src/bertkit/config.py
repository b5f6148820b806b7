"""What a model is and what a run does, as frozen values that can be written to a file and run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from bertkit.errors import UserError, nearest, quoted

Positions = Literal["learned", "sinusoidal", "rotary"]
Norm = Literal["post", "pre"]
Activation = Literal["gelu", "gelu_tanh", "relu"]
Initialisation = Literal["truncated_normal", "keras"]
Pooling = Literal["pooler", "cls", "mean", "max", "none"]
Combination = Literal["sum", "concat"]
HeadKind = Literal["classify", "multilabel", "regress", "tag", "answer", "choose"]
Loss = Literal["softmax", "sigmoid", "squared"]
Precision = Literal["auto", "fp32", "bf16"]


def check_choice(owner: str, field: str, value: object, kind: Any) -> None:
    """Raise `UserError` unless `value` is one of the strings of the Literal type `kind`."""
    if value not in get_args(kind):
        raise UserError(
            f"{owner}: {field} cannot be {quoted(value)}.{nearest(str(value), list(get_args(kind)))}"
        )


def check_at_least(owner: str, field: str, value: float, least: float) -> None:
    """Raise `UserError` unless `value` is a number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
        raise UserError(f"{owner}: {field} must be a number of at least {least:g}, not {quoted(value)}.")


LEAST_SIZES = {
    "vocabulary_size": 1,
    "layers": 1,
    "hidden_size": 1,
    "heads": 1,
    "feedforward_size": 1,
    "max_positions": 1,
    "segment_types": 0,
}
"""Sizes of a model, and the least that each may be."""

LARGEST: dict[str, float] = {
    "vocabulary_size": 1 << 24,
    "layers": 1_000,
    "hidden_size": 1 << 16,
    "heads": 1 << 16,
    "feedforward_size": 1 << 20,
    "max_positions": 1 << 20,
    "segment_types": 1 << 16,
}
"""What is beyond these is a mistake, or made to fill a memory; none comes near what was ever trained."""

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
        for name, least in LEAST_SIZES.items():
            value = getattr(self, name)
            check_at_least(owner, name, value, least)
            if not isinstance(value, int):
                raise UserError(f"{owner}: {name} must be a whole number, not {quoted(value)}.")
            if value > LARGEST[name]:
                raise UserError(f"{owner}: {name} cannot be {value:,}; {LARGEST[name]:,} is the most.")
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


SHORTEST_WINDOW = 8


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the texts of a model become sequences.

    Attributes:
        max_length: pieces of a sequence at most, `[CLS]` and `[SEP]` counted; what is longer is cut, unless
            there are windows.
        pad_to: length up to which visible `[PAD]` pieces are appended, see `packing.encode_texts`; 0: none.
        window: pieces of a window, likewise: a longer text is read in several. 0: no windows.
        stride: pieces from the beginning of a window to that of the next, at most; 0: three quarters of what
            a window holds. So a piece at an edge stands well inside the neighbour, for a third more work.
    """

    max_length: int
    pad_to: int = 0
    window: int = 0
    stride: int = 0

    def __post_init__(self) -> None:
        check_reading("texts", self.max_length, self.pad_to, self.window, self.stride)

    @property
    def longest(self) -> int:
        """The most pieces that a sequence may have."""
        return self.window or self.max_length


def check_reading(owner: str, max_length: int, pad_to: int, window: int, stride: int) -> None:
    """Raise `UserError` unless these can be the attributes of a `Reading`."""
    check_at_least(owner, "max_length", max_length, 3)
    for name, value in (("pad_to", pad_to), ("window", window), ("stride", stride)):
        check_at_least(owner, name, value, 0)
    if pad_to and window:
        raise UserError(f"{owner}: windows are not padded; leave out window or pad_to.")
    if pad_to > max_length:
        raise UserError(f"{owner}: pad_to {pad_to} is beyond max_length {max_length}.")
    if stride and not window:
        raise UserError(f"{owner}: stride is how far windows are apart; say with window how long they are.")
    if 0 < window < SHORTEST_WINDOW:
        raise UserError(f"{owner}: a window holds {SHORTEST_WINDOW} pieces or more, not {window}.")
    if window and stride > window - 3:  # [CLS] and one [SEP], or two
        raise UserError(
            f"{owner}: windows of {window} pieces, of which up to 3 are special, leave gaps with a stride of "
            f"{stride}; take one of {window - 3} or less."
        )


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


@dataclass(frozen=True, kw_only=True)
class KindOfHead:
    """What all heads of a kind have in common.

    Attributes:
        does: what such a head does with a text: the end of "a head that ...".
        losses: the losses that it may have; the first is the usual one.
        labels: how many labels it has at least; 0: it has none.
        outputs: width of the last layer; 0: one for each label.
        pieces: it stands on every piece, and not on one vector of the sequence.
    """

    does: str
    losses: tuple[Loss, ...]
    labels: int = 0
    outputs: int = 0
    pieces: bool = False


HEAD_KINDS: dict[HeadKind, KindOfHead] = {
    "classify": KindOfHead(does="gives a text one label", losses=("softmax", "sigmoid"), labels=2),
    "multilabel": KindOfHead(does="gives a text any of its labels", losses=("sigmoid",), labels=1),
    "regress": KindOfHead(does="gives a text numbers", losses=("squared",), labels=1),
    "tag": KindOfHead(does="labels each piece of a text", losses=("softmax",), labels=2, pieces=True),
    "answer": KindOfHead(
        does="finds the answer to a question in a text", losses=("softmax",), outputs=2, pieces=True
    ),
    "choose": KindOfHead(does="chooses one of several texts", losses=("softmax",), outputs=1),
}


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """A head: pooling to one vector a sequence, an optional hidden layer, output and loss.

    `pooling="pooler"` is BERT's dense + tanh on `[CLS]`; `"cls"` is that vector as it is; `"mean"` averages
    all pieces and `"max"` takes the greatest of each channel; `"none"` is for kinds that stand on every
    piece. What is pooled are the states behind `layers` (see `layer_numbers`): their sum or concatenation.
    `hidden_size` > 0 adds Dense(hidden_size, relu); `transform` a layer as wide as what is pooled, gelu and a
    norm instead, as ModernBERT has it. Of a classifier, `loss="sigmoid"` is one output for two classes with
    binary cross-entropy, as in the article; `"softmax"` one output a class.
    """

    labels: tuple[str, ...] = ()
    kind: HeadKind = "classify"
    pooling: Pooling = "pooler"
    layers: tuple[int, ...] = (-1,)
    combine: Combination = "sum"
    hidden_size: int = 0
    transform: bool = False
    loss: Loss = "softmax"
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_choice("head", "kind", self.kind, HeadKind)
        check_choice("head", "pooling", self.pooling, Pooling)
        check_choice("head", "combine", self.combine, Combination)
        if self.pooling == "pooler" and self.layers != (-1,):
            raise UserError(
                f"head: the pooler reads the last layer, [-1], and not {quoted(list(self.layers))}; "
                "pool these with cls, mean or max."
            )
        check_choice("head", "loss", self.loss, Loss)
        check_at_least("head", "hidden_size", self.hidden_size, 0)
        if not isinstance(self.hidden_size, int):
            raise UserError(f"head: hidden_size must be a whole number, not {quoted(self.hidden_size)}.")
        if self.hidden_size > LARGEST["feedforward_size"]:
            raise UserError(f"head: hidden_size cannot be {self.hidden_size:,}.")
        if not isinstance(self.transform, bool) or (self.transform and self.hidden_size):
            raise UserError("head: transform must be true or false, and false with a hidden_size.")
        check_at_least("head", "dropout", self.dropout, 0)
        if self.dropout >= 1:
            raise UserError(f"head: dropout must be below 1, not {quoted(self.dropout)}.")
        self._check_kind()

    def _check_kind(self) -> None:
        kind = HEAD_KINDS[self.kind]
        if self.kind == "classify" and len(self.labels) < 2:
            raise UserError(
                f"head: classification needs at least two labels, not {quoted(list(self.labels))}."
            )
        if len(self.labels) < kind.labels or (self.labels and not kind.labels):
            wanted = f"at least {kind.labels}" if kind.labels else "no"
            raise UserError(
                f"head: one that {kind.does} has {wanted} labels, not {quoted(list(self.labels))}."
            )
        if len(set(self.labels)) < len(self.labels):
            raise UserError(f"head: a label stands twice among {quoted(list(self.labels))}.")
        if self.loss not in kind.losses:
            raise UserError(
                f"head: the loss of one that {kind.does} is {' or '.join(kind.losses)}, not {self.loss}."
            )
        if self.kind == "classify" and self.loss == "sigmoid" and len(self.labels) != 2:
            raise UserError(f"head: loss 'sigmoid' is for two labels, not {len(self.labels)}.")
        if (self.pooling == "none") != kind.pieces:
            raise UserError(f"head: one that {kind.does} cannot have the pooling {quoted(self.pooling)}.")

    def pooled_size(self, model: ModelConfig) -> int:
        """Width W of the pooled vector.

        Raises:
            UserError: the model has no such layers, or no pooler where the head stands on one.
        """
        if self.pooling == "pooler" and not model.pooler:
            raise UserError("head: the model has no pooler; pool with cls, mean or max.")
        numbers = layer_numbers(self.layers, model.layers)
        return model.hidden_size * (len(numbers) if self.combine == "concat" else 1)

    @property
    def outputs(self) -> int:
        """Width of the last layer: the number of labels, 1 for two classes with one sigmoid, or fixed."""
        if self.kind == "classify" and self.loss == "sigmoid":
            return 1
        return HEAD_KINDS[self.kind].outputs or len(self.labels)
