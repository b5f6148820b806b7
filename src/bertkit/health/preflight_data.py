"""Labelled rows and their pieces before a run: shares, order, padding, unknown pieces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.health.preflight import PieceMeasures, RowMeasures
from bertkit.tasks.examples import Examples, OddRows
from bertkit.tasks.metrics import entropy
from bertkit.text.tokenizer import Tokenizer

Ints = npt.NDArray[np.int64]

PAIRS_COMPARED = 1_000
TEXTS_LOOKED_AT = 2_000
SHOWN = 5


def measure_rows(
    train: Examples,
    dev: Examples,
    labels: Sequence[str],
    odd: OddRows,
    sequences: Sequences,
    batches: Sequence[Ints],
    *,
    at_once: int,
    majority: dict[str, Any],
) -> RowMeasures:
    """What `RowMeasures` says.

    Args:
        train: read with labels.
        dev: read with labels.
        labels: names of the classes.
        odd: of these rows.
        sequences: train, encoded.
        batches: rows of each batch of the first epoch, as the recipe makes them.
        at_once: rows of a batch, to cut the file as it stands.
        majority: the baseline's `metrics.summary`.
    """
    known, classes = train.known_labels, len(labels)
    counts = np.bincount(known, minlength=classes)
    shares = counts / counts.sum()
    in_order = np.split(np.arange(len(known)), range(at_once, len(known), at_once))
    neighbours, strangers = _alike(sequences)
    return RowMeasures(
        train_rows=len(train),
        dev_rows=len(dev),
        counts=dict(zip(labels, counts.tolist(), strict=True)),
        dev_counts=dict(zip(labels, np.bincount(dev.known_labels, minlength=classes).tolist(), strict=True)),
        prior_loss=entropy(counts),
        majority_label=labels[int(counts.argmax())],
        majority_score=majority["score"],
        majority_accuracy=majority["metrics"]["accuracy"],
        duplicates=len(odd.duplicates),
        contradictions=len(odd.contradictions),
        leaks=len(odd.leaks),
        lines=_lines(train, dev, odd),
        one_label=float(np.mean([len(np.unique(known[rows])) == 1 for rows in batches])),
        one_label_by_chance=float(np.mean([(shares ** len(rows)).sum() for rows in batches])),
        batch_dispersion=dispersion(known, batches, classes),
        file_dispersion=dispersion(known, in_order, classes),
        neighbours_alike=neighbours,
        strangers_alike=strangers,
    )


def _lines(train: Examples, dev: Examples, odd: OddRows) -> dict[str, list[int]]:
    return {
        "duplicates": [train.lines[row] for row in odd.duplicates[:SHOWN]],
        "contradictions": [train.lines[row] for row in odd.contradictions[:SHOWN]],
        "leaks": [dev.lines[row] for row in odd.leaks[:SHOWN]],
    }


def dispersion(labels: Ints, batches: Sequence[Ints], classes: int) -> float:
    """Pearson's chi-squared of labels against batches, for each degree of freedom: about 1 in random order.

    It is the mean number of rows of a batch where every batch has one label.
    """
    shares = np.bincount(labels, minlength=classes) / len(labels)
    here = shares > 0
    if len(batches) < 2 or here.sum() < 2:
        return 1.0
    found = np.array([np.bincount(labels[rows], minlength=classes)[here] for rows in batches])
    expected = found.sum(1, keepdims=True) * shares[here]
    freedom = (len(batches) - 1) * (int(here.sum()) - 1)
    return float(((found - expected) ** 2 / expected).sum() / freedom)


def _alike(sequences: Sequences) -> tuple[float, float]:
    """Mean overlap of the pieces of neighbouring rows, and of rows at random."""
    count = len(sequences)
    if count < 3:
        return 0.0, 0.0
    random = np.random.default_rng(0)
    first = random.integers(0, count - 1, PAIRS_COMPARED)
    others = random.integers(0, count, PAIRS_COMPARED)

    def mean(left: Ints, right: Ints) -> float:
        pairs = [(_pieces(sequences, i), _pieces(sequences, j)) for i, j in zip(left, right, strict=True)]
        return float(np.mean([len(a & b) / len(a | b) for a, b in pairs]))

    return mean(first, first + 1), mean(first, np.where(others == first, count - 1 - others, others))


def _pieces(sequences: Sequences, row: int) -> set[int]:
    # Without the first and the last, which are [CLS] and [SEP] in every row.
    return set(sequences.ids[sequences.starts[row] + 1 : sequences.starts[row + 1] - 1].tolist()) or {-1}


def measure_pieces(
    sequences: Sequences, tokenizer: Tokenizer, texts: Sequence[str], *, max_length: int, visible_pads: bool
) -> PieceMeasures:
    """What `PieceMeasures` says of encoded texts.

    Args:
        sequences: of which `texts` are the first texts.
        tokenizer: cut them.
        texts: N of them.
        max_length: pieces of a sequence at most.
        visible_pads: whether pads, where there are any, are seen by attention.
    """
    counts = np.bincount(sequences.ids, minlength=tokenizer.size)
    pads, slots = int(counts[tokenizer.pad_id]), len(sequences) * max_length
    some = [texts[i] for i in np.linspace(0, len(texts) - 1, min(len(texts), TEXTS_LOOKED_AT)).astype(int)]
    letters = Counter(letter.isupper() for text in some for letter in text if letter.isalpha())
    unknown = int(counts[tokenizer.unk_id])
    return piece_measures(
        counts,
        tokenizer,
        padding=1 - (len(sequences.ids) - pads) / slots,
        visible_pads=pads / len(sequences.ids) if visible_pads else 0.0,
        truncated=sequences.truncated / len(sequences),
        unknown_words=unknown_words(tokenizer, some) if unknown else [],
        capitals=letters[True] / max(1, letters.total()),
    )


def piece_measures(
    counts: Ints,
    tokenizer: Tokenizer,
    *,
    padding: float,
    visible_pads: float,
    truncated: float,
    unknown_words: list[str],
    capitals: float,
) -> PieceMeasures:
    """What `PieceMeasures` says where each piece stands `counts` [V] times; the rest is given."""
    specials = [tokenizer.pad_id, tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id]
    counts = counts.copy()
    counts[specials] = 0
    total = max(1, int(counts.sum()))
    inner = np.array([piece.startswith("##") for piece in tokenizer.vocabulary])
    special = {tokenizer.unk_id, *specials}
    words = [piece for index, piece in enumerate(tokenizer.vocabulary) if index not in special]
    return PieceMeasures(
        pieces=int(counts.sum()),
        padding=padding,
        visible_pads=visible_pads,
        truncated=truncated,
        unknown=int(counts[tokenizer.unk_id]) / total,
        unknown_words=unknown_words,
        pieces_a_word=total / max(1, int(counts[~inner].sum())),
        vocabulary_size=tokenizer.size,
        cased_pieces=float(np.mean([piece != piece.lower() for piece in words])) if words else 0.0,
        capitals=capitals,
        lowercase=tokenizer.lowercase,
    )


def unknown_words(tokenizer: Tokenizer, texts: Sequence[str]) -> list[str]:
    """The words that became `[UNK]`, the commonest first."""
    words: Counter[str] = Counter()
    for text in texts:
        encoded = tokenizer.encode(text)
        for piece, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
            if piece == tokenizer.unk_id:
                words[text[start:end]] += 1
    return [word for word, _ in words.most_common(SHOWN)]
