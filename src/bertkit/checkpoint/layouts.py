"""What `config.json` says of a model, in every layout of a model folder, and the layout that has no class.

`bert` and `modernbert` are transformers' own, which its classes open. What neither can say is written as
`bertkit`, a name that transformers does not know and therefore refuses, instead of computing something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
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


@dataclass(frozen=True)
class Family:
    """Models that one family of classes of transformers computes.

    Attributes:
        name: as a sentence calls it.
        lacks: what of a model and its head, with or without a pair head, they cannot compute, a clause each.
        read: the options that a `config.json` says, with those that `bertkit.json` adds.
        write: the content of `config.json`, and whether there are a masked and a pair head.
        beyond: the options that it has no keys for, which `bertkit.json` keeps.
        prefix: what stands before the names of an encoder's tensors where it has a head.
        naming: the names of tensors with a prefix.
    """

    name: str
    lacks: Callable[[ModelConfig, HeadConfig | None, bool], list[str]]
    read: Callable[[dict[str, Any], dict[str, Any]], tuple[ModelConfig, HeadConfig | None]]
    write: Callable[[ModelConfig, HeadConfig | None, Tokenizer, bool, bool], dict[str, Any]]
    beyond: tuple[str, ...]
    prefix: str
    naming: Callable[[str, HeadConfig | None], Naming]


FAMILIES: dict[str, Family] = {
    "bert": Family(
        name="BERT",
        lacks=lambda model, head, pair: not_bert(model, head),
        read=read_bert,
        write=lambda model, head, tokenizer, masked, pair: write_bert(
            model, head, tokenizer.pad_id, masked=masked, pair=pair
        ),
        beyond=BEYOND_BERT,
        prefix="bert.",
        naming=bert_naming,
    ),
    "modernbert": Family(
        name="ModernBERT",
        lacks=lambda model, head, pair: not_modernbert(model, head, pair=pair),
        read=read_modernbert,
        write=lambda model, head, tokenizer, masked, pair: write_modernbert(
            model, head, tokenizer, masked=masked
        ),
        beyond=BEYOND_MODERN,
        prefix="model.",
        naming=lambda prefix, head: modern_naming(prefix),
    ),
}
"""By `model_type`; a model is written as one of the first family that can say what it is."""


def why_only_bertkit(model: ModelConfig, head: HeadConfig | None, *, pair: bool = False) -> str | None:
    """Why no class of transformers computes this model: a sentence; None where one does."""
    lacks = {family.name: ", ".join(family.lacks(model, head, pair)) for family in FAMILIES.values()}
    if not all(lacks.values()):
        return None
    told = [
        f"for its {name} {'it has ' * (number == 0)}{what}"
        for number, (name, what) in enumerate(lacks.items())
    ]
    return f"transformers has no class for this model: {'; '.join(told)}."


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
    kind = "bert" if old else content.get("model_type")
    if kind == "bertkit":
        return _read_own(content)
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(map(repr, FAMILIES))
        raise UserError(f"model_type is {quoted(kind)}; bertkit reads {known} and 'bertkit'.")
    return FAMILIES[kind].read(content, beyond)


def naming_of(model_type: str, names: Iterable[str], head: HeadConfig | None) -> Naming:
    """The naming of the tensors of a folder.

    Args:
        model_type: of its `config.json`.
        names: those of its tensors, which tell the prefix.
        head: the one that the names of a head are of.
    """
    if model_type == "bertkit":
        return own_naming
    family = FAMILIES[model_type]
    return family.naming(family.prefix if any(n.startswith(family.prefix) for n in names) else "", head)


def choose_layout(
    model: ModelConfig, head: HeadConfig | None, parts: Parts, tokenizer: Tokenizer
) -> tuple[dict[str, Any], tuple[str, ...] | None, Naming]:
    """The layout that a model is written in: the first of transformers' that can say it, or bertkit's own.

    Returns:
        The content of `config.json`; the options that it has no keys for, which `bertkit.json` is to keep
        (None in bertkit's own layout, which has keys for all); the names of tensors.
    """
    masked, pair = "masked" in parts, "pair" in parts
    for family in FAMILIES.values():
        if not family.lacks(model, head, pair):
            naming = family.naming("" if parts.keys() == {"encoder"} else family.prefix, head)
            return family.write(model, head, tokenizer, masked, pair), family.beyond, naming
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
