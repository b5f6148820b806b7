"""Measuring labelled rows alone: what `Audit` says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bertkit.config.head import HEAD_KINDS
from bertkit.config.reading import Reading
from bertkit.data.files import first_bytes, mark_of
from bertkit.data.formats import BINARY, format_of
from bertkit.data.packed import Sequences
from bertkit.health.audit import Audit, PartMeasures, Rows
from bertkit.health.copies import copies, near_copies, nearest, row_shown, rows_shown
from bertkit.health.preflight import Inspection, Reads
from bertkit.health.text import measure_tokens
from bertkit.tasks.examples import Examples, told_bad
from bertkit.tasks.kind import Kind, Names
from bertkit.tasks.task import Split
from bertkit.tasks.telling import telling_words
from bertkit.text.odd import ODDITIES, is_mixed, main_script
from bertkit.text.tokenizer import Tokenizer

PERCENTS = (50, 90, 99, 100)
CUTS = (64, 128, 256, 512)
"""Tokens at which sequences are often cut."""
UNCUT = 2**30
LONG_TIMES, LONG_LEAST = 10, 1_000
"""A text is very long from so many times the median, and so many characters, on."""


def inspect_rows(
    parts: Mapping[Split, Examples],
    kind: Kind,
    names: Names,
    *,
    tokenizer: Tokenizer | None = None,
    max_length: int = 0,
) -> Inspection:
    """All that is known of rows without a model.

    Args:
        parts: as in `measure_audit`.
        kind: of their task.
        names: of the labels.
        tokenizer: measure tokens, too.
        max_length: tokens of a sequence at most.
    """
    if tokenizer is None:
        return Inspection(audit=measure_audit(parts, kind, names, whole=True))
    longest, uncut = Reading(max_length=max_length).longest, Reading(max_length=UNCUT)
    sequences = {split: kind.encode(tokenizer, rows, uncut, names).sequences for split, rows in parts.items()}
    audit = measure_audit(parts, kind, names, whole=True, sequences=sequences, max_length=longest)
    split, rows = next(iter(parts.items()))
    cut = int((sequences[split].sizes > longest).sum())
    return Inspection(
        audit=audit,
        asked=Reads(max_length=longest),
        tokens=measure_tokens(
            replace(sequences[split], truncated=cut),
            tokenizer,
            rows.texts,
            max_length=longest,
            visible_pads=False,
        ),
    )


def measure_audit(
    parts: Mapping[Split, Examples],
    kind: Kind,
    names: Names,
    *,
    whole: bool,
    sequences: Mapping[Split, Sequences] | None = None,
    max_length: int = 0,
) -> Audit:
    """What `Audit` says of rows.

    Args:
        parts: the rows by split, those to learn from first; all with labels, or all without.
        kind: of their task.
        names: of the labels.
        whole: look for near copies, odd texts and words that tell a label, too.
        sequences: of the rows, uncut, to be measured, too.
        max_length: tokens that a sequence may have.
    """
    learned = next(iter(parts.values()))
    near = nearest(parts) if whole else {}
    measured: dict[str, PartMeasures] = {}
    for split, rows in parts.items():
        found: dict[str, Any] = copies(split, rows, learned)
        if whole:
            found |= near_copies(split, parts, near) | _odd(rows)
        if sequences:
            found |= _lengths(sequences[split], max_length)
        counts = Counter(name for row in _labels(kind, rows, names) for name in row)
        measured[split] = PartMeasures(
            path=str(rows.path),
            encoding=_encoding(rows),
            rows=len(rows),
            left_out=len(rows.left_out),
            left_out_told=_left_out(rows),
            notes=[] if rows.targets is None else list(kind.notes(rows, names)),
            labels={name: counts[name] for name in names} if counts else {},
            characters=_percentiles([sum(map(len, texts)) for texts in _texts(rows)]),
            **found,
        )
    labels = _labels(kind, learned, names)
    columns = [learned.texts, *([] if learned.pairs is None else [learned.pairs])]
    return Audit(
        parts=measured, whole=whole, telling=telling_words(columns, labels) if whole and labels else []
    )


def _labels(kind: Kind, rows: Examples, names: Names) -> list[tuple[str, ...]]:
    """The labels of each row; nothing where these are not of whole texts, or none."""
    head = HEAD_KINDS[kind.name]
    if rows.targets is None or not (head.pooled and head.labels and kind.scale is None):
        return []
    told = kind.told(rows.targets, names)
    return [(each,) if isinstance(each, str) else tuple(each) for each in told]


def _texts(rows: Examples) -> Iterator[tuple[str, ...]]:
    """All texts of each row that a model reads."""
    for row, text in enumerate(rows.texts):
        pair = [] if rows.pairs is None else [rows.pairs[row]]
        yield text, *pair, *(each for name in rows.read for each in rows.more[name][row])


def _encoding(rows: Examples) -> str:
    """What the file's first bytes tell; nothing of a format that is no text."""
    if not rows.path.is_file() or format_of(rows.path, text=True) in BINARY:
        return ""
    marked = mark_of(first_bytes(rows.path))
    return {"": "UTF-8", "utf-8-sig": "UTF-8 with a byte-order mark"}.get(marked, marked.upper())


def _left_out(rows: Examples) -> str:
    if not rows.left_out:
        return ""
    return told_bad(rows.path, rows.left_out, len(rows) + len(rows.left_out), left_out=True)


def _percentiles(values: Sequence[int]) -> dict[str, int]:
    if not values:
        return {}
    found = np.percentile(values, PERCENTS, method="higher")
    return {str(percent): int(value) for percent, value in zip(PERCENTS, found, strict=True)}


def _odd(rows: Examples) -> dict[str, Any]:
    """What is odd about texts, their scripts and their lengths, by the names of `PartMeasures`."""
    places: dict[str, list[tuple[int, int]]] = {oddity.name: [] for oddity in ODDITIES}
    scripts: Counter[str] = Counter()
    mixed, lengths = list[int](), list[int]()
    for index, texts in enumerate(_texts(rows)):
        whole = " ".join(texts)
        lengths.append(len(whole))
        scripts[main_script(whole)] += 1
        if is_mixed(whole):
            mixed.append(index)
        for name, at in _oddities(texts):
            places[name].append((index, at))
    least = max(LONG_LEAST, LONG_TIMES * float(np.median(lengths or [0])))
    others = {
        "mixed": mixed,
        "long": [index for index, length in enumerate(lengths) if length >= least],
        "blank_pairs": [index for index, pair in enumerate(rows.pairs or ()) if not pair.strip()],
    }
    return {
        "odd": {name: _odd_rows(rows, found) for name, found in places.items() if found},
        "scripts": dict(scripts.most_common()),
        **{name: rows_shown(found, lambda index: row_shown(rows, index)) for name, found in others.items()},
    }


def _odd_rows(rows: Examples, places: Sequence[tuple[int, int]]) -> Rows:
    """Rows, each from where it is odd on."""
    at = dict(places)
    return rows_shown(list(at), lambda index: row_shown(rows, index, at=at[index]))


def _oddities(texts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The oddities of a row, each once, and where it begins in the texts with three signs between them."""
    for oddity in ODDITIES:
        before = 0
        for text in texts:
            if text.strip() and (match := oddity.find(text)):
                yield oddity.name, before + match.start()
                break
            before += len(text) + 3


def _lengths(sequences: Sequences, max_length: int) -> dict[str, Any]:
    """Of whole sequences, by the names of `PartMeasures`."""
    lengths = sequences.sizes
    return {
        "tokens": _percentiles(lengths.tolist()),
        "cut": {str(cut): float((lengths > cut).mean()) for cut in sorted({*CUTS, max_length})},
    }
