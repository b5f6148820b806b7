"""What `config.json` says of heads: the architectures of transformers, and the labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from bertkit.config.head import HEAD_KINDS, HeadConfig, HeadKind
from bertkit.errors import UserError, quoted

MOST_LABELS = 100_000

_SURROGATE = re.compile("[\ud800-\udfff]")

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

    Its head's name tells it; what is called a classifier may be of a text, of each token or of choices, of
    which the first is by far the most usual.
    """
    if content.get("architectures") or content.get("model_type", "bert") != "bert":
        return None
    firsts = {name.partition(".")[0] for name in names}
    heads = {"qa_outputs": HEADS["answer"][0], "classifier": CLASSIFIER}
    return next((architecture for name, architecture in heads.items() if name in firsts), None)


def assumed_head(content: dict[str, Any]) -> tuple[str, ...]:
    """What is taken to be so of a head because `content` does not say it; a sentence each."""
    classifiers = ([CLASSIFIER], [f"Modern{CLASSIFIER}"])
    if content.get("architectures") not in classifiers or content.get("problem_type") is not None:
        return ()
    does = HEAD_KINDS[kind_and_labels(CLASSIFIER, content)[0]].does
    return (f"that the head is one that {does}, for no problem_type says what its outputs are",)


def head_keys(head: HeadConfig) -> dict[str, Any]:
    """What `config.json` says of a head beside its architecture."""
    problem = HEADS[head.kind][1]
    keys: dict[str, Any] = {"classifier_dropout": head.dropout}
    if head.labels:
        keys["id2label"] = {str(i): label for i, label in enumerate(head.labels)}
        keys["label2id"] = {label: i for i, label in enumerate(head.labels)}
    return keys if problem is None else keys | {"problem_type": problem}


def kind_and_labels(architecture: str, content: dict[str, Any]) -> tuple[HeadKind, tuple[str, ...]]:
    """The kind of head that an architecture of `HEADS` has, and its labels if it has any.

    Of a classifier `problem_type` tells the kind; where it is not said, the number of outputs does. Labels
    are those that `id2label` names, or as many as `num_labels` counts, by the names transformers gives.

    Raises:
        UserError: one of these is wrong.
    """
    names = _class_names(content)
    problems = {problem: kind for kind, (_, problem) in HEADS.items() if problem}
    said = content.get("problem_type")
    if architecture != CLASSIFIER:
        kind = next(kind for kind, (name, _) in HEADS.items() if name == architecture)
    elif said is None:
        kind = "regress" if len(names) == 1 else "classify"
    elif isinstance(said, str) and said in problems:
        kind = problems[said]
    else:
        raise UserError(f"problem_type is {quoted(said)}; bertkit reads {', '.join(problems)}.")
    return kind, names if HEAD_KINDS[kind].labels else ()


def _class_names(content: dict[str, Any]) -> tuple[str, ...]:
    names = content.get("id2label")
    if names is None:
        count = content.get("num_labels", 2)
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_LABELS:
            raise UserError(f"num_labels must be a whole number of at least 1, not {quoted(count)}.")
        return tuple(f"LABEL_{i}" for i in range(count))
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(len(names))}:
        raise UserError(f"id2label must name the classes 0, 1, ... in turn; it is {quoted(names)}.")
    # Labels that are numbers, as programs write the classes of a column of numbers.
    found = [names[str(i)] for i in range(len(names))]
    return labels_of([str(name) if isinstance(name, int | float) else name for name in found])


def labels_of(names: object) -> tuple[str, ...]:
    """`names`, checked to be a list of texts."""
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"the labels must be a list of texts; they are {quoted(names)}.")
    if odd := [name for name in names if _SURROGATE.search(name)]:
        raise UserError(f"the label {quoted(odd[0])} is no text.")
    return tuple(names)
