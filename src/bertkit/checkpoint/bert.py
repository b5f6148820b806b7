"""What `config.json` says of a model that transformers' BERT classes compute."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from bertkit.config.head import HEAD_KINDS, HeadConfig, HeadKind
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, nearest, quoted

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

MOST_LABELS = 100_000

_SURROGATE = re.compile("[\ud800-\udfff]")

GOOGLE_KEYS = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "type_vocab_size")
"""Keys that every configuration of a BERT has had since google-research/bert."""

BERT_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_new": "gelu_tanh",
    "relu": "relu",
}
"""Values of BertConfig's `hidden_act`, and what `ModelConfig` calls them; the first of two is written."""

BEYOND_BERT = ("positions", "position_scale", "initialisation", "pooler")
"""Options that BertConfig has no key for although BertModel can do as they say; `bertkit.json` keeps them."""

CLASSIFIER = "BertForSequenceClassification"
HEADS: dict[HeadKind, tuple[str, str | None]] = {
    "classify": (CLASSIFIER, "single_label_classification"),
    "multilabel": (CLASSIFIER, "multi_label_classification"),
    "regress": (CLASSIFIER, "regression"),
    "tag": ("BertForTokenClassification", None),
    "answer": ("BertForQuestionAnswering", None),
    "choose": ("BertForMultipleChoice", None),
}
"""The architecture that has a head of each kind, and the `problem_type` that tells it from others there."""

PRETRAINED: dict[tuple[bool, bool], str] = {
    (False, False): "BertModel",
    (True, True): "BertForPreTraining",
    (True, False): "BertForMaskedLM",
    (False, True): "BertForNextSentencePrediction",
}
"""Architectures without a classifier, by whether they have a masked head and a pair head. When one is read,
the weights say which heads there are: published folders often hold more than their architecture needs.
None holds less: transformers would make the head anew, and nothing that it says would mean anything."""


def promised(content: dict[str, Any]) -> tuple[str, ...]:
    """The heads of pretraining that the architecture of `content` has: of "masked" and "pair"."""
    said = content.get("architectures")
    for heads, name in PRETRAINED.items():
        if said in ([name], [f"Modern{name}"]):
            return tuple(head for head, there in zip(("masked", "pair"), heads, strict=True) if there)
    return ()


def told_by_names(content: dict[str, Any], names: Iterable[str]) -> str | None:
    """The architecture of a fine-tuned BERT whose config says none, as before transformers 2.

    Its head's name tells it; what is called a classifier may be of a text, of each piece or of choices, of
    which the first is by far the most usual.
    """
    if content.get("architectures") or content.get("model_type", "bert") != "bert":
        return None
    firsts = {name.partition(".")[0] for name in names}
    heads = {"qa_outputs": HEADS["answer"][0], "classifier": CLASSIFIER}
    return next((architecture for name, architecture in heads.items() if name in firsts), None)


def not_bert(model: ModelConfig, head: HeadConfig | None) -> list[str]:
    """What of a model transformers' BERT classes cannot compute, a clause each; empty where they can."""
    wanted = {"norm": "post", "embedding_norm": True, "biases": True, "gated": False}
    found = differences(model, wanted)
    if model.positions == "rotary":
        found.append("positions 'rotary', not 'learned'")
    if not model.segment_types:
        found.append("segment_types 0, not 2")
    if head is not None and head != bert_head(head.kind, head.labels, head.dropout):
        found.append("a head that pools, or is layered, in another way")
    return found


def differences(model: ModelConfig, wanted: dict[str, object]) -> list[str]:
    """The options of `model` that are not as `wanted`, a clause each."""
    return [
        f"{name} {quoted(getattr(model, name))}, not {quoted(value)}"
        for name, value in wanted.items()
        if getattr(model, name) != value
    ]


def bert_head(kind: HeadKind, labels: tuple[str, ...], dropout: float) -> HeadConfig:
    """The head of a kind as transformers' BERT has it."""
    facts = HEAD_KINDS[kind]
    return HeadConfig(
        kind=kind,
        labels=labels,
        pooling="none" if facts.pieces else "pooler",
        loss=facts.losses[0],
        dropout=0.0 if kind == "answer" else dropout,
    )


def write_bert(
    model: ModelConfig, head: HeadConfig | None, pad_id: int, *, masked: bool = False, pair: bool = False
) -> dict[str, Any]:
    """The content of `config.json` for the class of transformers' BERT that has these heads."""
    activations = {ours: theirs for theirs, ours in reversed(BERT_ACTIVATIONS.items())}
    content = {
        "model_type": "bert",
        "architectures": [PRETRAINED[masked, pair] if head is None else HEADS[head.kind][0]],
        **{theirs: getattr(model, ours) for theirs, ours in BERT_KEYS.items()},
        "hidden_act": activations[model.activation],
        "position_embedding_type": "absolute",
        "pad_token_id": pad_id,
        "dtype": "float32",
    }
    return content if head is None else content | head_keys(head)


def head_keys(head: HeadConfig) -> dict[str, Any]:
    """What `config.json` says of a head beside its architecture."""
    problem = HEADS[head.kind][1]
    keys: dict[str, Any] = {"classifier_dropout": head.dropout}
    if head.labels:
        keys["id2label"] = {str(i): label for i, label in enumerate(head.labels)}
        keys["label2id"] = {label: i for i, label in enumerate(head.labels)}
    return keys if problem is None else keys | {"problem_type": problem}


def read_bert(content: dict[str, Any], beyond: dict[str, Any]) -> tuple[ModelConfig, HeadConfig | None]:
    """The inverse of `write_bert`. Missing keys mean BERT base, as in transformers."""
    if content.get("position_embedding_type", "absolute") != "absolute":
        raise UserError(
            f"position_embedding_type is {quoted(content['position_embedding_type'])}; only 'absolute' is "
            "read."
        )
    if content.get("is_decoder"):
        raise UserError("is_decoder is set: the model is a decoder, and bertkit reads encoders.")
    activation = content.get("hidden_act", "gelu")
    if str(activation) not in BERT_ACTIVATIONS:
        raise UserError(
            f"hidden_act {quoted(activation)} is not known.{nearest(str(activation), [*BERT_ACTIVATIONS])}"
        )
    known = {ours: content[theirs] for theirs, ours in BERT_KEYS.items() if theirs in content}
    only_known(beyond, BEYOND_BERT)
    model = ModelConfig(**known, activation=BERT_ACTIVATIONS[activation], **beyond)  # type: ignore[arg-type]
    return model, _read_head(content, model)


def _read_head(content: dict[str, Any], model: ModelConfig) -> HeadConfig | None:
    architectures = content.get("architectures") or [PRETRAINED[False, False]]
    known = dict.fromkeys(architecture for architecture, _ in HEADS.values())
    if architectures in [[name] for name in PRETRAINED.values()]:
        return None
    if architectures not in [[name] for name in known]:
        raise UserError(
            f"architectures is {quoted(architectures)}; bertkit reads "
            f"{', '.join([*known, *PRETRAINED.values()])}."
        )
    names = class_names(content)
    kind = kind_of_head(architectures[0], content, len(names))
    dropout = content.get("classifier_dropout")
    return bert_head(
        kind,
        labels=names if HEAD_KINDS[kind].labels else (),
        dropout=model.hidden_dropout if dropout is None else dropout,
    )


def kind_of_head(architecture: str, content: dict[str, Any], classes: int) -> HeadKind:
    """The kind of head that an architecture of `HEADS` has.

    Of a classifier `problem_type` tells it; where it is not said, the number of outputs does.

    Raises:
        UserError: the `problem_type` is unknown.
    """
    if architecture != CLASSIFIER:
        return next(kind for kind, (name, _) in HEADS.items() if name == architecture)
    problems = {problem: kind for kind, (_, problem) in HEADS.items() if problem}
    said = content.get("problem_type")
    if said is None:
        return "regress" if classes == 1 else "classify"
    if not isinstance(said, str) or said not in problems:
        raise UserError(f"problem_type is {quoted(said)}; bertkit reads {', '.join(problems)}.")
    return problems[said]


def assumed_head(content: dict[str, Any]) -> tuple[str, ...]:
    """What `read_config` takes to be so of a head because `content` does not say it; a sentence each."""
    classifiers = ([CLASSIFIER], [f"Modern{CLASSIFIER}"])
    if content.get("architectures") not in classifiers or content.get("problem_type") is not None:
        return ()
    does = HEAD_KINDS[kind_of_head(CLASSIFIER, content, len(class_names(content)))].does
    return (f"that the head is one that {does}, for no problem_type says what its outputs are",)


def class_names(content: dict[str, Any]) -> tuple[str, ...]:
    """The labels that `id2label` names, or as many as `num_labels` counts, by the names transformers gives.

    Raises:
        UserError: one of the two is wrong.
    """
    names = content.get("id2label")
    if names is None:
        count = content.get("num_labels", 2)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_LABELS:
            raise UserError(f"num_labels must be a whole number of at least 1, not {quoted(count)}.")
        return tuple(f"LABEL_{i}" for i in range(count))
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(len(names))}:
        raise UserError(f"id2label must name the classes 0, 1, ... in turn; it is {quoted(names)}.")
    return labels_of([names[str(i)] for i in range(len(names))])


def labels_of(names: object) -> tuple[str, ...]:
    """`names`, checked to be a list of texts."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"the labels must be a list of texts; they are {quoted(names)}.")
    if odd := [name for name in names if _SURROGATE.search(name)]:
        raise UserError(f"the label {quoted(odd[0])} is no text.")
    return tuple(names)


def only_known(options: Iterable[str], known: Iterable[str]) -> None:
    """Raise `UserError` unless all names of `options` are among the `known` ones."""
    for key in options:
        if key not in known:
            raise UserError(f"The option {quoted(key)} is not known.{nearest(key, sorted(known))}")
