"""Scores of tags: what each sentence adds to the counts of entities and of words, and metrics of the sums.

Of K types of entities a sentence adds 3 K + 5 numbers: its words with the right tag and all its words; of
entities that are read strictly those found, predicted and true; and of each type, read leniently, likewise
those found, those predicted and those that are true. Where tags name no entities, a word is one, and its tag
the type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.tasks.metrics import Adds, FloatArray, Metric, ratio
from bertkit.tasks.schemes import NO_TYPE, Entity, Scheme, scheme_of

_RIGHT, _WORDS, _STRICT, _TYPES = 0, 1, 2, 5
Tags = Sequence[npt.NDArray[Any]]
"""Of N sentences the numbers of the tags of their words, each [W]."""


@cache
def known_scheme(names: tuple[str, ...]) -> Scheme | None:
    """The scheme of a task's tags; None where they name no entities."""
    return scheme_of(names)


@cache
def types_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """What is counted each for itself: the types of entities, or the tags where they name none."""
    scheme = known_scheme(names)
    if scheme is None:
        return names
    parts = [scheme.split(name) for name in names]
    return tuple(dict.fromkeys(part[1] for part in parts if part and part[1]))


def tag_adds(true: Tags, predicted: Tags, names: tuple[str, ...]) -> Adds:
    """What each of N sentences adds, uint32 [N, 3 K + 5].

    Args:
        true: the tags of N sentences.
        predicted: as many, of as many words.
        names: of the tags.
    """
    types = {name: place for place, name in enumerate(types_of(names))}
    scheme = known_scheme(names)
    added = np.zeros((len(true), _TYPES + 3 * len(types)), dtype=np.uint32)
    for row, (right, guess) in enumerate(zip(true, predicted, strict=True)):
        added[row, _RIGHT], added[row, _WORDS] = (right == guess).sum(), len(right)
        for strict in (False, True) if scheme else (False,):
            one, other = ({*_entities(tags, names, scheme, strict=strict)} for tags in (right, guess))
            for part, found in enumerate((one & other, other, one)):
                if strict:
                    added[row, _STRICT + part] = len(found)
                    continue
                for entity in found:
                    added[row, _TYPES + part * len(types) + types[entity.type]] += 1
    return added


def _entities(
    tags: npt.NDArray[Any], names: tuple[str, ...], scheme: Scheme | None, *, strict: bool
) -> Iterator[Entity]:
    told = [names[tag] for tag in tags.tolist()]
    if scheme is None:
        return (Entity(tag, word, word + 1) for word, tag in enumerate(told))
    return iter(scheme.entities(told, strict=strict))


def _counts(sums: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Entities found, predicted and true of each type, [..., K]."""
    types = (sums.shape[-1] - _TYPES) // 3
    found, predicted, true = (
        sums[..., _TYPES + part * types : _TYPES + (part + 1) * types] for part in range(3)
    )
    return found, predicted, true


def entity_f1(sums: FloatArray) -> FloatArray:
    """F1 over all entities, right where the words and the type are; 0 where there is none, as in seqeval."""
    found, predicted, true = (part.sum(-1) for part in _counts(sums))
    return ratio(2 * found, predicted + true)


def entity_precision(sums: FloatArray) -> FloatArray:
    """Share of the predicted entities that are true."""
    found, predicted, _ = (part.sum(-1) for part in _counts(sums))
    return ratio(found, predicted)


def entity_recall(sums: FloatArray) -> FloatArray:
    """Share of the true entities that are predicted."""
    found, _, true = (part.sum(-1) for part in _counts(sums))
    return ratio(found, true)


def strict_f1(sums: FloatArray) -> FloatArray:
    """F1 over the entities whose tags follow the scheme, as in seqeval's strict mode."""
    found, predicted, true = (sums[..., _STRICT + part] for part in range(3))
    return ratio(2 * found, predicted + true)


def types_f1(sums: FloatArray) -> FloatArray:
    """The mean of the F1 of all types that are true or predicted somewhere, as in seqeval."""
    found, predicted, true = _counts(sums)
    there = (predicted + true) > 0
    return ratio(ratio(2 * found, predicted + true).sum(-1), there.sum(-1).astype(np.float64))


def word_accuracy(sums: FloatArray) -> FloatArray:
    """Share of the words whose tag is right."""
    return ratio(sums[..., _RIGHT], sums[..., _WORDS])


def _flawless(adds: Adds, level: float) -> FloatArray | None:
    """The sums at a rate of mistakes of about 3 / N (the rule of three, Hanley and Lippman-Hand 1983).

    So many of N sentences that are all right may be wrong, and of them all that was found is not.
    """
    sums: FloatArray = adds.sum(0, dtype=np.float64)
    found, predicted, true = _counts(sums)
    if sums[_RIGHT] < sums[_WORDS] or not ((found == predicted) & (found == true)).all():
        return None
    share = (1 - level) ** (1 / len(adds))
    sums[[_RIGHT, _STRICT]] *= share
    sums[_TYPES : _TYPES + len(found)] *= share
    return sums


TAG_METRICS = (
    Metric("entity_f1", "entity F1", entity_f1, flawless=_flawless),
    Metric("entity_precision", "entity precision", entity_precision, flawless=_flawless),
    Metric("entity_recall", "entity recall", entity_recall, flawless=_flawless),
    Metric("strict_f1", "strict entity F1", strict_f1, flawless=_flawless),
    Metric("accuracy", "accuracy", word_accuracy, flawless=_flawless),
    Metric("macro_f1", "macro F1", types_f1, flawless=_flawless),
)


def tag_metrics(names: tuple[str, ...], positive: str) -> tuple[Metric, ...]:
    """Those of such tags: where they name no entities accuracy comes first, and macro F1 is of the tags."""
    if known_scheme(names) is not None:
        return TAG_METRICS
    return tuple(metric for metric in TAG_METRICS if metric.name in ("accuracy", "macro_f1"))


def by_type(adds: Adds, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Of each type its `label`, the true `rows`, those `predicted`, `found`, `precision`, `recall`, `f1`."""
    found, predicted, true = _counts(adds.sum(0, dtype=np.float64))
    shares = {
        "precision": ratio(found, predicted),
        "recall": ratio(found, true),
        "f1": ratio(2 * found, predicted + true),
    }
    return [
        {
            "label": "entity" if label == NO_TYPE else label,
            "rows": int(true[place]),
            "predicted": int(predicted[place]),
            "found": int(found[place]),
            **{name: float(each[place]) for name, each in shares.items()},
        }
        for place, label in enumerate(types_of(names))
    ]
