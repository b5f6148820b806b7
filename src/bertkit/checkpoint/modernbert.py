"""What `config.json` says of a model that transformers' ModernBERT classes compute, where bertkit does too.

Warner et al. 2024, with attention to all pieces in every layer: rotary positions, norms before the parts and
none before the first, a gated feed-forward part, no segments, no pooler; biases in all layers or in none.
"""

from __future__ import annotations

from typing import Any

from bertkit.checkpoint.bert import (
    BERT_ACTIVATIONS,
    HEADS,
    PRETRAINED,
    class_names,
    differences,
    head_keys,
    kind_of_head,
    only_known,
)
from bertkit.config.head import HEAD_KINDS, HeadConfig, HeadKind, Pooling
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, quoted
from bertkit.text.tokenizer import Tokenizer

MODERN_KEYS = {
    "vocab_size": "vocabulary_size",
    "num_hidden_layers": "layers",
    "hidden_size": "hidden_size",
    "num_attention_heads": "heads",
    "intermediate_size": "feedforward_size",
    "max_position_embeddings": "max_positions",
    "norm_eps": "norm_eps",
    "embedding_dropout": "hidden_dropout",
    "attention_dropout": "attention_dropout",
    "initializer_range": "initialiser_range",
}
"""Keys of transformers' ModernBertConfig, and what `ModelConfig` calls them. bertkit drops more than the
embeddings with `hidden_dropout`; of what is computed after training that says nothing."""

MODERN_DEFAULTS = {
    "vocab_size": 50_368,
    "num_hidden_layers": 22,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 1_152,
    "max_position_embeddings": 8_192,
    "norm_eps": 1e-5,
    "embedding_dropout": 0.0,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
}
"""What a missing key means there."""

MODERN: dict[str, object] = {
    "norm": "pre",
    "positions": "rotary",
    "gated": True,
    "segment_types": 0,
    "embedding_norm": True,
    "first_norm": False,
    "pooler": False,
}
"""What a model of `ModelConfig` must be to be one of ModernBERT's."""

BEYOND_MODERN = ("initialisation",)
BIASES = ("norm_bias", "attention_bias", "mlp_bias")
THETA = 160_000.0


def not_modernbert(model: ModelConfig, head: HeadConfig | None, *, pair: bool = False) -> list[str]:
    """What of a model transformers' ModernBERT classes cannot compute, a clause each; empty: nothing."""
    found = differences(model, MODERN)
    if pair:
        found.append("a head of pairs")
    if head is not None and head not in [
        _head(head.kind, head.labels, pooling, head.dropout) for pooling in ("cls", "mean")
    ]:
        found.append("a head without transform, or that pools in another way than cls or mean")
    return found


def write_modernbert(
    model: ModelConfig, head: HeadConfig | None, tokenizer: Tokenizer, *, masked: bool = False
) -> dict[str, Any]:
    """The content of `config.json` for the class of transformers' ModernBERT that has these heads."""
    activations = {ours: theirs for theirs, ours in reversed(BERT_ACTIVATIONS.items())}
    activation = activations[model.activation]
    bare = PRETRAINED[masked, False]
    rope = {"rope_type": "default", "rope_theta": model.rotary_base}
    content = {
        "model_type": "modernbert",
        "architectures": [f"Modern{bare if head is None else HEADS[head.kind][0]}"],
        **{theirs: getattr(model, ours) for theirs, ours in MODERN_KEYS.items()},
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
    pooling = {} if HEAD_KINDS[head.kind].pieces else {"classifier_pooling": head.pooling}
    return content | head_keys(head) | pooling


def read_modernbert(content: dict[str, Any], beyond: dict[str, Any]) -> tuple[ModelConfig, HeadConfig | None]:
    """The inverse of `write_modernbert`. Missing keys mean what they mean in transformers.

    Raises:
        UserError: a value is wrong, or means a model or a head that bertkit does not compute.
    """
    activation = content.get("hidden_activation", "gelu")
    if str(activation) not in BERT_ACTIVATIONS:
        raise UserError(
            f"hidden_activation is {quoted(activation)}; bertkit has {', '.join(BERT_ACTIVATIONS)}."
        )
    only_known(beyond, BEYOND_MODERN)
    model = ModelConfig(
        **{ours: content.get(theirs, MODERN_DEFAULTS[theirs]) for theirs, ours in MODERN_KEYS.items()},
        activation=BERT_ACTIVATIONS[str(activation)],  # type: ignore[arg-type]
        biases=_biases(content, BIASES),
        rotary_base=_theta(content),
        **MODERN,  # type: ignore[arg-type]
        **beyond,
    )
    _check_layers(content, model.layers)
    return model, _read_head(content, model)


def _check_layers(content: dict[str, Any], layers: int) -> None:
    kinds = content.get("layer_types")
    if kinds is None:
        every = content.get("global_attn_every_n_layers", 3)
        whole = layers == 1 or every == 1
    else:
        whole = isinstance(kinds, list) and len(kinds) == layers
        whole = whole and all(kind == "full_attention" for kind in kinds)
    if not whole:
        raise UserError(
            "some layers attend to near pieces alone (layer_types, global_attn_every_n_layers); in bertkit "
            "every layer attends to all."
        )


def _biases(content: dict[str, Any], keys: tuple[str, ...]) -> bool:
    """Whether there are biases: in all the layers that `keys` speak of, or in none of them."""
    said = [content.get(key, False) for key in keys]
    if not all(isinstance(value, bool) for value in said) or len(set(said)) > 1:
        raise UserError(f"{', '.join(keys)} are {quoted(said)}; bertkit has biases everywhere or nowhere.")
    return bool(said[0])


def _theta(content: dict[str, Any]) -> float:
    rope = content.get("rope_parameters") or {}
    rope = rope.get("full_attention", rope) if isinstance(rope, dict) else None
    plain = isinstance(rope, dict) and rope.get("rope_type", "default") == "default"
    if not isinstance(rope, dict) or not plain or content.get("rope_scaling"):
        raise UserError("rope_parameters must be those of plain rotary positions, of type 'default'.")
    theta: float = rope.get("rope_theta", content.get("global_rope_theta", THETA))
    return theta


def _read_head(content: dict[str, Any], model: ModelConfig) -> HeadConfig | None:
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
        raise UserError("decoder_bias is false; bertkit's head of masked pieces has that bias.")
    if masked:
        return None
    pooling = content.get("classifier_pooling", "cls")
    if pooling not in ("cls", "mean"):
        raise UserError(f"classifier_pooling is {quoted(pooling)}; ModernBERT has cls and mean.")
    names = class_names(content)
    kind = kind_of_head(name, content, len(names))
    return _head(
        kind,
        names if HEAD_KINDS[kind].labels else (),
        pooling,
        content.get("classifier_dropout", 0.0),
    )


def _head(kind: HeadKind, labels: tuple[str, ...], pooling: Pooling, dropout: float) -> HeadConfig:
    """The head of a kind as transformers' ModernBERT has it."""
    facts = HEAD_KINDS[kind]
    return HeadConfig(
        kind=kind,
        labels=labels,
        pooling="none" if facts.pieces else pooling,
        transform=True,
        loss=facts.losses[0],
        dropout=dropout,
    )
