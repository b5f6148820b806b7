"""Measuring labelled rows alone: what `Audit` says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bertkit.config.reading import Reading
from bertkit.data.files import first_bytes, mark_of
from bertkit.data.formats import BINARY, format_of
from bertkit.health.audit import Audit, PartMeasures, Rows
from bertkit.health.copies import copies, near_copies, nearest, row_shown, rows_shown
from bertkit.health.preflight import Inspection, Reads
from bertkit.health.text import measure_tokens
from bertkit.tasks.encoded import Encoded
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
    audit = measure_audit(parts, kind, names, whole=True, tokenizer=tokenizer, max_length=max_length)
    if tokenizer is None:
        return Inspection(audit=audit)
    rows = next(iter(parts.values()))
    sequences = kind.encode(tokenizer, rows, Reading(max_length=max_length), names).sequences
    return Inspection(
        audit=audit,
        asked=Reads(max_length=max_length),
        tokens=measure_tokens(sequences, tokenizer, rows.texts, max_length=max_length, visible_pads=False),
    )


def measure_audit(
    parts: Mapping[Split, Examples],
    kind: Kind,
    names: Names,
    *,
    whole: bool,
    tokenizer: Tokenizer | None = None,
    max_length: int = 0,
) -> Audit:
    """What `Audit` says of rows.

    Args:
        parts: the rows by split, those to learn from first; all with labels, or all without.
        kind: of their task.
        names: of the labels.
        whole: look for near copies, odd texts and words that tell a label, too.
        tokenizer: measure sequences, too.
        max_length: tokens of a sequence at most.
    """
    learned = next(iter(parts.values()))
    near = nearest(parts) if whole else {}
    measured: dict[str, PartMeasures] = {}
    for split, rows in parts.items():
        found: dict[str, Any] = copies(split, rows, learned)
        if whole:
            found |= near_copies(split, parts, near) | _odd(rows)
        if tokenizer:
            found |= _lengths(kind.encode(tokenizer, rows, Reading(max_length=UNCUT), names), max_length)
        counts = Counter(name for row in _labels(kind, rows, names) for name in row)
        measured[split] = PartMeasures(
            path=str(rows.path),
            encoding=_encoding(rows),
            rows=len(rows),
            left_out=len(rows.left_out),
            left_out_told=_left_out(rows),
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
    """The labels of each row; nothing where rows have no classes."""
    if rows.targets is None or not kind.classes:
        return []
    return [(str(each),) for each in kind.told(rows.targets, names)]


def _texts(rows: Examples) -> Iterator[tuple[str, ...]]:
    if rows.pairs is None:
        return ((text,) for text in rows.texts)
    return zip(rows.texts, rows.pairs, strict=True)


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


def _lengths(encoded: Encoded, max_length: int) -> dict[str, Any]:
    """Of whole sequences, by the names of `PartMeasures`."""
    lengths = encoded.sequences.sizes
    return {
        "tokens": _percentiles(lengths.tolist()),
        "cut": {str(cut): float((lengths > cut).mean()) for cut in sorted({*CUTS, max_length})},
    }
