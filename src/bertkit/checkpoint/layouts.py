"""What `config.json` says of a model, in every layout of a model folder, and the layout that has no class.

`bert` and `modernbert` are transformers' own, which its classes open. The second (Warner et al. 2024) is read
and written with attention to all tokens in every layer: rotary positions, norms before the parts and none
before the first, a gated feed-forward part, no segments, no pooler; biases in all layers or in none. What
neither can say is written as `bertkit`, a name that transformers does not know and therefore refuses, instead
of computing something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bertkit.checkpoint.architectures import HEADS, PRETRAINED, head_keys, kind_and_labels, labels_of
from bertkit.checkpoint.content import Parts
from bertkit.checkpoint.names import Naming, bert_naming, modern_naming, own_naming
from bertkit.config.head import HEAD_KINDS, HeadConfig, HeadKind, Pooling
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, nearest, quoted
from bertkit.text.tokenizer import Tokenizer

BERT_KEYS = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "layers",
    "hidden_size": "hidden_size",
    "num_attention_heads": "heads",
    "intermediate_size": "feedforward_size",
    "max_position_embeddings": "max_positions",
    "type_vocab_size": "segment_types",
    "layer_norm_eps": "norm_eps",
    "hidden_dropout_prob": "hidden_dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "initializer_range": "initialiser_range",
}
"""Keys of transformers' BertConfig, and what `ModelConfig` calls them."""

GOOGLE_KEYS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "type_vocab_size")
"""Keys that every configuration of a BERT has had since google-research/bert."""

ACTIVATIONS = {"gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh", "relu": "relu"}
"""Values of `hidden_act`, and what `ModelConfig` calls them; the first of two is written."""
_WRITTEN = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}

BERT: dict[str, object] = {"norm": "post", "embedding_norm": True, "biases": True, "gated": False}
"""What a model of `ModelConfig` must be to be one of BERT's."""

BEYOND_BERT = ("positions", "position_scale", "initialisation", "pooler")
"""Options that BertConfig has no key for although BertModel can do as they say; `bertkit.json` keeps them."""

MODERN_KEYS: dict[str, tuple[str, float]] = {
    "vocab_size": ("vocabulary_size", 50_368),
    "num_hidden_layers": ("layers", 22),
    "hidden_size": ("hidden_size", 768),
    "num_attention_heads": ("heads", 12),
    "intermediate_size": ("feedforward_size", 1_152),
    "max_position_embeddings": ("max_positions", 8_192),
    "norm_eps": ("norm_eps", 1e-5),
    "embedding_dropout": ("hidden_dropout", 0.0),
    "attention_dropout": ("attention_dropout", 0.0),
    "initializer_range": ("initialiser_range", 0.02),
}
"""Keys of transformers' ModernBertConfig, what `ModelConfig` calls them, and what a missing one means.
bertkit drops more than the embeddings with `hidden_dropout`; of what is computed after training that says
nothing."""

MODERN: dict[str, object] = {
    "norm": "pre",
    "positions": "rotary",
    "gated": True,
    "segment_types": 0,
    "embedding_norm": True,
    "first_norm": False,
    "pooler": False,
}
"""The same of ModernBERT's."""

BEYOND_MODERN = ("initialisation",)
BIASES = ("norm_bias", "attention_bias", "mlp_bias")
THETA = 160_000.0


def not_bert(model: ModelConfig, head: HeadConfig | None, pair: bool = False) -> list[str]:
    """What of a model transformers' BERT classes cannot compute, a clause each; empty where they can."""
    found = _differences(model, BERT)
    if model.positions == "rotary":
        found.append("positions 'rotary', not 'learned'")
    if not model.segment_types:
        found.append("segment_types 0, not 2")
    if head is not None and head != _head(head.kind, head.labels, "pooler", head.dropout):
        found.append("a head that pools, or is layered, in another way")
    return found


def _not_modernbert(model: ModelConfig, head: HeadConfig | None, pair: bool) -> list[str]:
    found = _differences(model, MODERN)
    if pair:
        found.append("a head of pairs")
    if head is not None and head not in [
        _head(head.kind, head.labels, pooling, head.dropout) for pooling in ("cls", "mean")
    ]:
        found.append("a head without transform, or that pools in another way than cls or mean")
    return found


def _differences(model: ModelConfig, wanted: dict[str, object]) -> list[str]:
    return [
        f"{name} {quoted(getattr(model, name))}, not {quoted(value)}"
        for name, value in wanted.items()
        if getattr(model, name) != value
    ]


def _head(kind: HeadKind, labels: tuple[str, ...], pooling: Pooling, dropout: float) -> HeadConfig:
    """The head of a kind as transformers has it: BERT's on the "pooler", ModernBERT's with a transform."""
    facts, bert = HEAD_KINDS[kind], pooling == "pooler"
    return HeadConfig(
        kind=kind,
        labels=labels,
        pooling="none" if facts.tokens else pooling,
        transform=not bert,
        loss=facts.losses[0],
        dropout=0.0 if bert and kind == "answer" else dropout,
    )


def write_bert(
    model: ModelConfig,
    head: HeadConfig | None,
    tokenizer: Tokenizer,
    masked: bool = False,
    pair: bool = False,
) -> dict[str, Any]:
    """The content of `config.json` for the class of transformers' BERT that has these heads."""
    content = {
        "model_type": "bert",
        "architectures": [PRETRAINED[masked, pair] if head is None else HEADS[head.kind][0]],
        **{theirs: getattr(model, ours) for theirs, ours in BERT_KEYS.items()},
        "hidden_act": _WRITTEN[model.activation],
        "position_embedding_type": "absolute",
        "pad_token_id": tokenizer.pad_id,
        "dtype": "float32",
    }
    return content if head is None else content | head_keys(head)


def _read_bert(content: dict[str, Any], beyond: dict[str, Any]) -> tuple[ModelConfig, HeadConfig | None]:
    """The inverse of `write_bert`."""
    if content.get("position_embedding_type", "absolute") != "absolute":
        raise UserError(
            f"position_embedding_type is {quoted(content['position_embedding_type'])}; only 'absolute' is "
            "read."
        )
    if content.get("is_decoder"):
        raise UserError("is_decoder is set: the model is a decoder, and bertkit reads encoders.")
    activation = content.get("hidden_act", "gelu")
    if str(activation) not in ACTIVATIONS:
        raise UserError(
            f"hidden_act {quoted(activation)} is not known.{nearest(str(activation), [*ACTIVATIONS])}"
        )
    known = {ours: content[theirs] for theirs, ours in BERT_KEYS.items() if theirs in content}
    _only_known(beyond, BEYOND_BERT)
    model = ModelConfig(**known, activation=ACTIVATIONS[activation], **beyond)  # type: ignore[arg-type]
    said = content.get("architectures") or [PRETRAINED[False, False]]
    classes = dict.fromkeys(architecture for architecture, _ in HEADS.values())
    if said in [[name] for name in PRETRAINED.values()]:
        return model, None
    if said not in [[name] for name in classes]:
        raise UserError(
            f"architectures is {quoted(said)}; bertkit reads {', '.join([*classes, *PRETRAINED.values()])}."
        )
    dropout = content.get("classifier_dropout")
    kind, labels = kind_and_labels(said[0], content)
    return model, _head(kind, labels, "pooler", model.hidden_dropout if dropout is None else dropout)


def _write_modernbert(
    model: ModelConfig, head: HeadConfig | None, tokenizer: Tokenizer, masked: bool, pair: bool
) -> dict[str, Any]:
    """The content of `config.json` for the class of transformers' ModernBERT that has these heads."""
    activation = _WRITTEN[model.activation]
    rope = {"rope_type": "default", "rope_theta": model.rotary_base}
    content = {
        "model_type": "modernbert",
        "architectures": [f"Modern{PRETRAINED[masked, pair] if head is None else HEADS[head.kind][0]}"],
        **{theirs: getattr(model, ours) for theirs, (ours, _) in MODERN_KEYS.items()},
        "hidden_activation": activation,
        "classifier_activation": "gelu" if head else activation,
        **dict.fromkeys((*BIASES, "classifier_bias"), model.biases),
        "decoder_bias": True,
        "mlp_dropout": 0.0,
        "layer_types": ["full_attention"] * model.layers,
        "rope_parameters": {"full_attention": rope, "sliding_attention": rope},
        # The same for transformers before 5.
        "global_attn_every_n_layers": 1,
        "global_rope_theta": model.rotary_base,
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_id,
        **{f"{name}_token_id": tokenizer.cls_id for name in ("bos", "cls")},
        **{f"{name}_token_id": tokenizer.sep_id for name in ("eos", "sep")},
        "dtype": "float32",
    }
    if head is None:
        return content
    pooling = {} if HEAD_KINDS[head.kind].tokens else {"classifier_pooling": head.pooling}
    return content | head_keys(head) | pooling


def _read_modernbert(
    content: dict[str, Any], beyond: dict[str, Any]
) -> tuple[ModelConfig, HeadConfig | None]:
    """The inverse of `_write_modernbert`."""
    activation = content.get("hidden_activation", "gelu")
    if str(activation) not in ACTIVATIONS:
        raise UserError(f"hidden_activation is {quoted(activation)}; bertkit has {', '.join(ACTIVATIONS)}.")
    _only_known(beyond, BEYOND_MODERN)
    biases = _biases(content, BIASES)
    rope = content.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope) if isinstance(rope, dict) else None
    plain = isinstance(rope, dict) and rope.get("rope_type", "default") == "default"
    if not isinstance(rope, dict) or not plain or content.get("rope_scaling"):
        raise UserError("rope_parameters must be those of plain rotary positions, of type 'default'.")
    model = ModelConfig(
        **{ours: content.get(theirs, usual) for theirs, (ours, usual) in MODERN_KEYS.items()},
        activation=ACTIVATIONS[str(activation)],  # type: ignore[arg-type]
        biases=biases,
        rotary_base=rope.get("rope_theta", content.get("global_rope_theta", THETA)),
        **MODERN,  # type: ignore[arg-type]
        **beyond,
    )
    kinds = content.get("layer_types")
    if kinds is None:
        whole = model.layers == 1 or content.get("global_attn_every_n_layers", 3) == 1
    else:
        whole = isinstance(kinds, list) and len(kinds) == model.layers
        whole = whole and all(kind == "full_attention" for kind in kinds)
    if not whole:
        raise UserError(
            "some layers attend to near tokens alone (layer_types, global_attn_every_n_layers); in bertkit "
            "every layer attends to all."
        )
    return model, _read_modern_head(content)


def _biases(content: dict[str, Any], keys: tuple[str, ...]) -> bool:
    """Whether there are biases: in all the layers that `keys` speak of, or in none of them."""
    said = [content.get(key, False) for key in keys]
    if not all(isinstance(value, bool) for value in said) or len(set(said)) > 1:
        raise UserError(f"{', '.join(keys)} are {quoted(said)}; bertkit has biases everywhere or nowhere.")
    return bool(said[0])


def _read_modern_head(content: dict[str, Any]) -> HeadConfig | None:
    said = content.get("architectures") or ["ModernBertModel"]
    known = {f"Modern{name}" for name, _ in HEADS.values()} | {"ModernBertModel", "ModernBertForMaskedLM"}
    if said not in [[name] for name in known]:
        raise UserError(f"architectures is {quoted(said)}; bertkit reads {', '.join(sorted(known))}.")
    name = said[0].removeprefix("Modern")
    if name == "BertModel":
        return None
    masked = name == "BertForMaskedLM"
    activation = content.get("classifier_activation", "gelu")
    if activation != (content.get("hidden_activation", "gelu") if masked else "gelu"):
        raise UserError(f"classifier_activation is {quoted(activation)}; bertkit has no such head.")
    _biases(content, (*BIASES, "classifier_bias"))
    if masked and content.get("decoder_bias", True) is not True:
        raise UserError("decoder_bias is false; bertkit's head of masked tokens has that bias.")
    if masked:
        return None
    pooling = content.get("classifier_pooling", "cls")
    if pooling not in ("cls", "mean"):
        raise UserError(f"classifier_pooling is {quoted(pooling)}; ModernBERT has cls and mean.")
    return _head(*kind_and_labels(name, content), pooling, content.get("classifier_dropout", 0.0))


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
    "bert": Family("BERT", not_bert, _read_bert, write_bert, BEYOND_BERT, "bert.", bert_naming),
    "modernbert": Family(
        name="ModernBERT",
        lacks=_not_modernbert,
        read=_read_modernbert,
        write=_write_modernbert,
        beyond=BEYOND_MODERN,
        prefix="model.",
        naming=modern_naming,
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

    A missing key means what it means in transformers.

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
    """The naming of the tensors of a folder, whose `names` tell the prefix."""
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
    options = {"model": asdict(model), "head": None if head is None else asdict(head)}
    return {"model_type": "bertkit", **json.loads(json.dumps(options))}


def _read_own(content: dict[str, Any]) -> tuple[ModelConfig, HeadConfig | None]:
    """The inverse of `write_own`."""
    model, head = content.get("model"), content.get("head")
    if not isinstance(model, dict) or not isinstance(head, dict | None):
        raise UserError("'model' must be an object with options, and 'head' one or null.")
    _only_known(model, ModelConfig.__dataclass_fields__)
    if head is None:
        return ModelConfig(**model), None
    _only_known(head, HeadConfig.__dataclass_fields__)
    labels, layers = labels_of(head.get("labels")), head.get("layers", [-1])
    if not isinstance(layers, list) or not all(isinstance(number, int) for number in layers):
        raise UserError(f"the layers of the head must be a list of numbers; they are {quoted(layers)}.")
    return ModelConfig(**model), HeadConfig(**{**head, "labels": labels, "layers": tuple(layers)})


def _only_known(options: Iterable[str], known: Iterable[str]) -> None:
    for key in options:
        if key not in known:
            raise UserError(f"The option {quoted(key)} is not known.{nearest(key, sorted(known))}")
