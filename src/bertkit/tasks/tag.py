"""The kind of task whose rows have a tag for each word: entities, or parts of speech."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError
from bertkit.tasks.confusion import confusions
from bertkit.tasks.encoded import IGNORED, Encoded
from bertkit.tasks.entities import TAG_METRICS, by_type, known_scheme, tag_adds, tag_metrics, types_of
from bertkit.tasks.examples import Examples, Targets
from bertkit.tasks.kind import (
    MISTAKES,
    Baseline,
    Decision,
    HeadOutputs,
    Kind,
    Names,
    Outputs,
    Predictions,
    Scale,
    Wanted,
)
from bertkit.tasks.metrics import Adds, FloatArray, IntArray, entropy
from bertkit.tasks.schemes import NO_TYPE, OUTSIDE, Entity, Transitions, likeliest
from bertkit.tasks.tagged_rows import (
    SPANS,
    WORDS,
    by_sentence,
    completed,
    encode_tagged,
    notes_of_tags,
    outputs_of_words,
    read_rows_of_words,
    tag_unknown,
    targets_of_tags,
)

GREEDY, VITERBI = "greedy", "viterbi"
DECODINGS = (VITERBI, GREEDY)
"""How tags are made of probabilities: the likeliest ones that follow the scheme, or each the likeliest."""
LARGEST = 8
"""Types, or tags, that the header of a run names."""


def _told(targets: Targets, names: Names) -> list[Any]:
    return [[names[tag] for tag in targets.of(row).tolist()] for row in range(len(targets))]


def _strata(targets: Targets) -> IntArray:
    """Of each sentence its rarest tag, so that rare ones are in each part."""
    counts = np.bincount(targets.values)
    rarest = [targets.of(row)[counts[targets.of(row)].argmin()] for row in range(len(targets))]
    return np.array(rarest, dtype=np.int64)


def _predict(rows: Examples, outputs: Outputs, names: Names, decision: Decision) -> IntArray:
    if decision.get("decode") == GREEDY or known_scheme(names) is None:
        greedy: IntArray = outputs.argmax(axis=1)
        return greedy
    transitions = Transitions.of(names, known_scheme(names))
    found = [likeliest(logs_WC, transitions) for logs_WC in by_sentence(rows, outputs) if len(logs_WC)]
    return np.concatenate([*found, np.zeros(0, dtype=np.int64)])


def _losses(encoded: Encoded, outputs: HeadOutputs, scale: Scale) -> npt.NDArray[Any]:
    """Cross-entropy of each word, in nats."""
    tags = encoded.learned.values
    known = np.flatnonzero(tags != IGNORED)
    found: npt.NDArray[Any] = -outputs[known, tags[known]]
    return found


def _one_answer(rows: Examples, predictions: Predictions) -> bool:
    return len(np.unique(predictions)) == 1


def _adds(rows: Examples, predictions: Predictions, names: Names) -> Adds:
    return tag_adds(by_sentence(rows, rows.known.values), by_sentence(rows, predictions), names)


def _shares(values: npt.NDArray[Any], names: Names) -> FloatArray:
    counts = np.bincount(values, minlength=len(names))
    shares: FloatArray = counts / counts.sum()
    return shares


def _floor(encoded: Encoded, scale: Scale, names: Names, weights: FloatArray | None) -> float:
    """Entropy of the shares of the tags, in nats: no constant answer has a lower loss."""
    tags = encoded.learned.values
    return entropy(_shares(tags[tags != IGNORED], names).tolist())


def _counts(targets: Targets, names: Names) -> Counter[str]:
    """How many entities there are of each type, or words of each tag."""
    scheme = known_scheme(names)
    told = _told(targets, names)
    if scheme is None:
        return Counter(tag for tags in told for tag in tags)
    return Counter(_shown(entity.type) for tags in told for entity in scheme.entities(tags))


def _shown(name: str) -> str:
    return "entity" if name == NO_TYPE else name


def _words(targets: Targets, names: Names) -> tuple[str, str]:
    counts = _counts(targets, names)
    told = [f"{name} {count:,}" for name, count in counts.most_common(LARGEST)]
    others = f", {len(counts) - LARGEST:,} others" if len(counts) > LARGEST else ""
    words = f"{', '.join(told)}{others} in {len(targets.values):,} words"
    scheme = known_scheme(names)
    return ("tags", words) if scheme is None else (f"entities ({scheme.name})", words)


def _spread(targets: Targets, names: Names) -> dict[str, Any]:
    return {
        "label_shares": dict(zip(names, _shares(targets.values, names).tolist(), strict=True)),
        "counts": dict(_counts(targets, names)),
        "words": len(targets.values),
    }


def _types(values: npt.NDArray[Any], names: Names) -> tuple[IntArray, Names]:
    """Tags as the types of entities that they are of, with `O` last; those of no scheme as they are."""
    scheme = known_scheme(names)
    if scheme is None:
        return values.astype(np.int64), names
    types = types_of(names)
    parts = [scheme.split(name) or (OUTSIDE, "") for name in names]
    of_tag = np.array([types.index(part[1]) if part[1] else len(types) for part in parts])
    found: IntArray = of_tag[values]
    return found, (*map(_shown, types), OUTSIDE)


def _scored(rows: Examples, predictions: Predictions, names: Names) -> dict[str, Any]:
    """`by_class` of types, or tags; `confusions` of words between them."""
    (true, shown), (guess, _) = (_types(values, names) for values in (rows.known.values, predictions))
    scheme = known_scheme(names)
    return {
        "labels": list(names),
        "scheme": None if scheme is None else scheme.name,
        "words": len(true),
        "by_class": by_type(_adds(rows, predictions, names), names),
        "confusions": confusions(true, guess, shown),
    }


def _majority(train: Examples, dev: Examples, names: Names) -> Predictions:
    """The most frequent tag of training."""
    most = int(np.bincount(train.known.values, minlength=len(names)).argmax())
    return np.full(sum(map(len, dev.more[WORDS])), most)


def _commonest(train: Examples, dev: Examples, names: Names) -> Predictions:
    """Of every word the tag that it has most often in training; of a new one the most frequent of all."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for words, tags in zip(train.more[WORDS], by_sentence(train, train.known.values), strict=True):
        for word, tag in zip(words, tags.tolist(), strict=True):
            counts[word][tag] += 1
    of_word = {word: min(found, key=lambda tag: (-found[tag], tag)) for word, found in counts.items()}
    usual = int(np.bincount(train.known.values, minlength=len(names)).argmax())
    return np.array([of_word.get(word, usual) for words in dev.more[WORDS] for word in words], dtype=np.int64)


def _mistakes(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    """The sentences with the wrong words of which the model was surest, the surest first."""
    true, guess, logs = (by_sentence(rows, each) for each in (rows.known.values, predictions, outputs))
    sure: list[tuple[float, int, int]] = []
    for row, (tags, told, logs_WC) in enumerate(zip(true, guess, logs, strict=True)):
        wrong = np.flatnonzero(tags != told)
        if len(wrong) and np.isfinite(logs_WC).all():
            found = np.exp(logs_WC[wrong, told[wrong]])
            sure.append((-float(found.max()), row, int(wrong[found.argmax()])))
    return [
        {
            "line": rows.lines[row],
            "text": rows.texts[row],
            "pair": None,
            "word": rows.more[WORDS][row][word],
            "label": names[true[row][word]],
            "predicted": names[guess[row][word]],
            "probability": -minus,
            "words": rows.more[WORDS][row],
            "tags": [names[tag] for tag in true[row]],
            "predicted_tags": [names[tag] for tag in guess[row]],
        }
        for minus, row, word in sorted(sure)[:MISTAKES]
    ]


def _answers(
    rows: Examples, outputs: Outputs, predictions: Predictions, names: Names
) -> list[dict[str, Any]]:
    """Words, tags and, of a scheme, entities with the probability that all their words have those tags.

    An entity stands from character to character of a text, from word to word where words came in.
    """
    scheme = known_scheme(names)
    spans = rows.more.get(SPANS)
    found = []
    for row, (tags, logs_WC) in enumerate(
        zip(by_sentence(rows, predictions), by_sentence(rows, outputs), strict=True)
    ):
        words, told = rows.more[WORDS][row], [names[tag] for tag in tags.tolist()]
        answer: dict[str, Any] = {"words": words, "tags": told}
        if scheme is not None:
            answer["tags"] = scheme.mended(told)
            best_W = logs_WC[np.arange(len(tags)), tags]
            text, places = rows.texts[row], None if spans is None else spans[row]
            answer["entities"] = [
                _entity(entity, words, best_W, text, places) for entity in scheme.entities(told)
            ]
        found.append(answer)
    return found


def _entity(
    entity: Entity,
    words: Sequence[str],
    logs_W: npt.NDArray[Any],
    text: str,
    spans: Sequence[Sequence[int]] | None,
) -> dict[str, Any]:
    start, end = entity.start, entity.end
    told = " ".join(words[start:end])
    if spans is not None:
        start, end = spans[start][0], spans[end - 1][1]
        told = text[start:end]
    probability = math.exp(float(logs_W[entity.start : entity.end].sum()))
    return {
        "label": _shown(entity.type),
        "start": start,
        "end": end,
        "text": told,
        "probability": probability,
    }


def _columns(names: Names, wanted: Wanted) -> dict[str, type]:
    if wanted.top > 1 or wanted.least:
        raise UserError(
            "--top and --min-probability are about the label of a text, and this model answers with a tag "
            "for each word; leave them out."
        )
    first = "tags" if known_scheme(names) is None else "entities"
    return dict.fromkeys((first, *(("words", "tags") if wanted.every else ())), list)


def _cells(answer: Mapping[str, Any], wanted: Wanted) -> list[Any]:
    first = answer.get("entities", answer["tags"])
    return [first, *([answer["words"], answer["tags"]] if wanted.every else ())]


def _overview(found: Sequence[Any]) -> dict[str, str]:
    """How many entities there are of each label, or words of each tag."""
    counts = Counter(each["label"] if isinstance(each, dict) else each for row in found for each in row)
    return {label: f"{count:,}" for label, count in counts.most_common()}


TAG = Kind(
    name="tag",
    usual="entity_f1",
    usual_of=lambda names: "accuracy" if known_scheme(names) is None else "entity_f1",
    metrics=TAG_METRICS,
    metrics_of=tag_metrics,
    baselines=(
        Baseline("majority", "majority", "majority", "always answering the majority", _majority),
        Baseline(
            "commonest",
            "commonest",
            "word lookup",
            "giving each word the tag that it has most often in training",
            _commonest,
        ),
    ),
    learned="which tag a word has",
    usual_columns=("", None, ""),
    reads=read_rows_of_words,
    takes_context=True,
    takes_words=True,
    complete=completed,
    notes=notes_of_tags,
    label_problem=tag_unknown,
    targets=targets_of_tags,
    told=_told,
    strata=_strata,
    encode=encode_tagged,
    collect=outputs_of_words,
    predict=_predict,
    decodings=DECODINGS,
    losses=_losses,
    one_answer=_one_answer,
    adds=_adds,
    floor=_floor,
    floor_title="predicting the tag frequencies",
    floor_words="the entropy of the tags",
    uniform=lambda encoded, names: math.log(len(names)),
    words=_words,
    spread=_spread,
    scored=_scored,
    mistakes=_mistakes,
    answers=_answers,
    columns=_columns,
    cells=_cells,
    overview=_overview,
)
