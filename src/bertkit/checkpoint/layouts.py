"""What `config.json` says of a model, in every layout of a model folder, and the layout that has no class.

`bert` and `modernbert` are transformers' own, which its classes open. What neither can say is written as
`bertkit`, a name that transformers does not know and therefore refuses, instead of computing something else.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bertkit.checkpoint.bert import (
    BEYOND_BERT,
    GOOGLE_KEYS,
    labels_of,
    not_bert,
    only_known,
    read_bert,
    write_bert,
)
from bertkit.checkpoint.content import Parts
from bertkit.checkpoint.modernbert import BEYOND_MODERN, not_modernbert, read_modernbert, write_modernbert
from bertkit.checkpoint.names import Naming, bert_naming, modern_naming, own_naming
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, quoted
from bertkit.text.tokenizer import Tokenizer


def why_only_bertkit(model: ModelConfig, head: HeadConfig | None, *, pair: bool = False) -> str | None:
    """Why no class of transformers computes this model: a sentence; None where one does."""
    bert, modern = not_bert(model, head), not_modernbert(model, head, pair=pair)
    if not bert or not modern:
        return None
    return (
        f"transformers has no class for this model: for its BERT it has {', '.join(bert)}; "
        f"for its ModernBERT {', '.join(modern)}."
    )


def read_config(content: dict[str, Any], beyond: dict[str, Any]) -> tuple[ModelConfig, HeadConfig | None]:
    """The options of encoder and head that a `config.json` of any layout says.

    Args:
        content: of `config.json`.
        beyond: what `bertkit.json` adds for the layouts of transformers.

    Raises:
        UserError: a value is wrong, or means a model or a head that bertkit does not compute.
    """
    # Before transformers 2.3 there was no model_type; the keys are BERT's own since google-research/bert.
    old = "model_type" not in content and set(GOOGLE_KEYS) <= content.keys()
    if content.get("model_type") == "bert" or old:
        return read_bert(content, beyond)
    if content.get("model_type") == "modernbert":
        return read_modernbert(content, beyond)
    if content.get("model_type") == "bertkit":
        return _read_own(content)
    raise UserError(
        f"model_type is {quoted(content.get('model_type'))}; bertkit reads 'bert', 'modernbert' and "
        "'bertkit'."
    )


def choose_layout(
    model: ModelConfig, head: HeadConfig | None, parts: Parts, tokenizer: Tokenizer
) -> tuple[dict[str, Any], tuple[str, ...] | None, Naming]:
    """The layout that a model is written in: the first of transformers' that can say it, or bertkit's own.

    Returns:
        The content of `config.json`; the options that it has no keys for, which `bertkit.json` is to keep
        (None in bertkit's own layout, which has keys for all); the names of tensors.
    """
    masked, pair = "masked" in parts, "pair" in parts
    bare = parts.keys() == {"encoder"}
    if not not_bert(model, head):
        config = write_bert(model, head, tokenizer.pad_id, masked=masked, pair=pair)
        return config, BEYOND_BERT, bert_naming("" if bare else "bert.", head)
    if not not_modernbert(model, head, pair=pair):
        config = write_modernbert(model, head, tokenizer, masked=masked)
        return config, BEYOND_MODERN, modern_naming("" if bare else "model.")
    return write_own(model, head), None, own_naming


def write_own(model: ModelConfig, head: HeadConfig | None) -> dict[str, Any]:
    """The content of `config.json` for a model that only bertkit computes, as reading the file gives it."""
    return {
        "model_type": "bertkit",
        "model": asdict(model, dict_factory=_with_lists),
        "head": None if head is None else asdict(head, dict_factory=_with_lists),
    }


def _with_lists(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dataclass's fields with lists for tuples, which JSON does not have."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in items}


def _read_own(content: dict[str, Any]) -> tuple[ModelConfig, HeadConfig | None]:
    """The inverse of `write_own`."""
    model, head = content.get("model"), content.get("head")
    if not isinstance(model, dict) or not isinstance(head, dict | None):
        raise UserError("'model' must be an object with options, and 'head' one or null.")
    only_known(model, ModelConfig.__dataclass_fields__)
    if head is None:
        return ModelConfig(**model), None
    only_known(head, HeadConfig.__dataclass_fields__)
    lists = {"labels": labels_of(head.get("labels")), "layers": _layers(head.get("layers", [-1]))}
    return ModelConfig(**model), HeadConfig(**{**head, **lists})


def _layers(numbers: object) -> tuple[int, ...]:
    if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
        raise UserError(f"the layers of the head must be a list of numbers; they are {quoted(numbers)}.")
    return tuple(numbers)
