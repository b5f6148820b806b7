"""What a head is: the kinds there are, and the options of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bertkit.config.model import SIZES, ModelConfig, layer_numbers
from bertkit.errors import UserError, check_at_least, check_choice, quoted

Pooling = Literal["pooler", "cls", "mean", "max", "none"]
Combination = Literal["sum", "concat"]
HeadKind = Literal["classify", "multilabel", "regress", "tag", "answer", "choose"]
Loss = Literal["", "softmax", "sigmoid", "squared"]
TaskKind = Literal[HeadKind, ""]
"""Of a recipe: "" is the kind of its task, which for files of one's own is the usual one."""
USUAL_KIND: HeadKind = "classify"
USUAL_DROPOUT = 0.1


@dataclass(frozen=True, kw_only=True)
class KindOfHead:
    """What all heads of a kind have in common.

    Attributes:
        does: what such a head does with a text: the end of "a head that ...".
        losses: the losses that it may have; the first is the usual one.
        labels: how many labels it has at least; 0: it has none.
        outputs: width of the last layer; 0: one for each label.
        tokens: it stands on every token, and not on one vector of the sequence.
        apart: each sequence of a row has a vector of its own; else they are windows of one text, pooled.
        exact: its last layer computes in float32, where others may have the three digits of bf16.
        dropout: before its last layer, where nobody says; transformers' class of answers has none.
    """

    does: str
    losses: tuple[Loss, ...]
    labels: int = 0
    outputs: int = 0
    tokens: bool = False
    apart: bool = False
    exact: bool = False
    dropout: float = USUAL_DROPOUT

    @property
    def pooled(self) -> bool:
        """Whether it stands on one vector of each row."""
        return not (self.tokens or self.apart)


HEAD_KINDS: dict[HeadKind, KindOfHead] = {
    "classify": KindOfHead(does="gives a text one label", losses=("softmax", "sigmoid"), labels=2),
    "multilabel": KindOfHead(does="gives a text any of its labels", losses=("sigmoid",), labels=1),
    "regress": KindOfHead(does="gives a text numbers", losses=("squared",), labels=1, exact=True),
    "tag": KindOfHead(does="labels each token of a text", losses=("softmax",), labels=2, tokens=True),
    "answer": KindOfHead(
        does="finds the answer to a question in a text",
        losses=("softmax",),
        outputs=2,
        tokens=True,
        exact=True,
        dropout=0.0,
    ),
    "choose": KindOfHead(does="chooses one of several texts", losses=("softmax",), outputs=1, apart=True),
}


@dataclass(frozen=True, kw_only=True)
class HeadConfig:
    """A head: pooling to one vector a sequence, an optional hidden layer, output and loss.

    `pooling="pooler"` is BERT's dense + tanh on `[CLS]`; `"cls"` is that vector as it is; `"mean"` averages
    all tokens and `"max"` takes the greatest of each channel; `"none"` is for kinds that stand on every
    token. What is pooled are the states behind `layers` (see `layer_numbers`): their sum or concatenation.
    `hidden_size` > 0 adds Dense(hidden_size, relu); `transform` a layer as wide as what is pooled, gelu and a
    norm instead, as ModernBERT has it. Of a classifier, `loss="sigmoid"` is one output for two classes with
    binary cross-entropy, as in the article; `"softmax"` one output a class. `""` becomes the usual one of the
    kind.
    """

    labels: tuple[str, ...] = ()
    kind: HeadKind = USUAL_KIND
    pooling: Pooling = "pooler"
    layers: tuple[int, ...] = (-1,)
    combine: Combination = "sum"
    hidden_size: int = 0
    transform: bool = False
    loss: Loss = ""
    dropout: float = USUAL_DROPOUT

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
        if not self.loss:
            object.__setattr__(self, "loss", HEAD_KINDS[self.kind].losses[0])
        check_at_least("head", "hidden_size", self.hidden_size, 0)
        if not isinstance(self.hidden_size, int):
            raise UserError(f"head: hidden_size must be a whole number, not {quoted(self.hidden_size)}.")
        if self.hidden_size > SIZES["feedforward_size"][1]:
            raise UserError(f"head: hidden_size cannot be {self.hidden_size:,}.")
        if not isinstance(self.transform, bool) or (self.transform and self.hidden_size):
            raise UserError("head: transform must be true or false, and false with a hidden_size.")
        check_at_least("head", "dropout", self.dropout, 0)
        if self.dropout >= 1:
            raise UserError(f"head: dropout must be below 1, not {quoted(self.dropout)}.")
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
        if (self.pooling == "none") != kind.tokens:
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
