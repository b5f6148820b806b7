"""Which text makes which step of pretraining: a pure function of shards, options, seed and step.

An epoch takes all shards in a shuffled order, some at a time: a window. How many steps a window makes follows
from the manifest's counts alone, so a step is found without a look at those before it. The sequences of one
window are made and shuffled together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bertkit.data.batches import Rows, cut_by_tokens
from bertkit.data.masking import Masked, Masker
from bertkit.data.packed import Sequences
from bertkit.data.pairs import Spans, build_spans, lay_out
from bertkit.data.shards import Documents, ShardEntry, Shards, Split
from bertkit.errors import UserError
from bertkit.recipe import ObjectiveRecipe

SHARDS_AT_ONCE = 8
"""Shards of a window: enough that documents of far places meet, few enough to be made in seconds."""


@dataclass(frozen=True)
class Identity:
    """What one step was made of, in words that a file can keep; `shards` are files."""

    epoch: int
    window: int
    batch: int
    length: int
    shards: tuple[str, ...]
    sequences: int
    tokens: int


@dataclass(frozen=True)
class Masks:
    """The sequences of one step, corrupted.

    Attributes:
        sequences: as the text has them, longest first.
        masked: their packed tokens with some replaced, and what stood there.
        labels: whether each second segment follows (0) or not (1), int64 [B]; -1 without pairs.
    """

    sequences: Sequences
    masked: Masked
    labels: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Window:
    documents: Documents
    spans: Spans
    batches: list[Rows]
    entries: tuple[ShardEntry, ...]


class Windows:
    """Steps of about `tokens` tokens, of sequences of up to `length`, from one split of a corpus."""

    def __init__(
        self, shards: Shards, split: Split, objective: ObjectiveRecipe, *, tokens: int, length: int, seed: int
    ) -> None:
        self.entries = shards.of(split)
        if not self.entries:
            raise UserError(
                f"{shards.folder} has no {split} text; prepare more text, or a larger share of it."
            )
        documents = sum(entry.documents for entry in self.entries)
        if objective.pairs == "nsp" and documents < 2:
            raise UserError(
                f"{shards.folder} has one {split} document, and next-sentence prediction needs another to "
                "take sentences from; leave pairs out with --pairs none."
            )
        self._shards = shards
        self._objective = objective
        self._tokens = tokens
        self._length = length
        self._seed = seed
        self._masker = Masker(shards.tokenizer, objective)
        self._held: tuple[tuple[int, int], _Window] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps that use each sequence about once."""
        return max(1, round(self._growth * sum(entry.tokens for entry in self.entries) / self._tokens))

    @cached_property
    def _growth(self) -> float:
        """Tokens of sequences for each token of text, as one window has it.

        More than 1 for the special tokens, and for the second segments that come from other documents.
        """
        sample = self._groups(0)[0]
        documents = Documents.join(self._shards.read(entry) for entry in sample)
        spans = self._spans(documents, np.random.default_rng([self._seed, 3]))
        specials = np.where(spans.labels >= 0, 3, 2).sum()
        return float((_sizes(spans).sum() + specials) / len(documents.ids))

    def place(self, step: int) -> tuple[int, int, int]:
        """Epoch, window and batch of a step, each counted from 0."""
        epoch, step = divmod(step, self.steps_per_epoch)
        ends = np.cumsum(self._sizes(epoch))
        window = int(np.searchsorted(ends, step, side="right"))
        return epoch, window, step - int(ends[window - 1] if window else 0)

    def masks(self, step: int) -> Masks:
        """The sequences of a step, the longest first, with their masks."""
        epoch, window, batch = self.place(step)
        made = self._window(epoch, window)
        rows = made.batches[batch]
        sequences, words = lay_out(made.documents, made.spans, rows, self._shards.tokenizer)
        random = np.random.default_rng([self._seed, 2, self._version(epoch), window, batch])
        masked = self._masker(sequences.ids, sequences.lengths.tolist(), random, words)
        return Masks(sequences, masked, made.spans.labels[rows].astype(np.int64))

    def identity(self, step: int) -> Identity:
        """Of which text a step is made, so that it can be looked at and made again."""
        epoch, window, batch = self.place(step)
        made = self._window(epoch, window)
        sequences = self.masks(step).sequences
        return Identity(
            epoch=epoch,
            window=window,
            batch=batch,
            length=self._length,
            shards=tuple(entry.file for entry in made.entries),
            sequences=len(sequences),
            tokens=len(sequences.ids),
        )

    def _spans(self, documents: Documents, random: np.random.Generator) -> Spans:
        spans = build_spans(
            documents,
            self._objective.pairs,
            length=self._length,
            short_share=self._objective.short_share,
            random=random,
        )
        if not len(spans.labels):
            raise UserError(f"{self._shards.folder}: its documents are too short to learn from.")
        return spans

    def _version(self, epoch: int) -> int:
        """With n fixed masks the epochs repeat, each n-th the same."""
        return epoch % self._objective.fixed_masks if self._objective.fixed_masks else epoch

    def _groups(self, epoch: int) -> list[tuple[ShardEntry, ...]]:
        random = np.random.default_rng([self._seed, 0, self._version(epoch)])
        order = [self.entries[index] for index in random.permutation(len(self.entries))]
        groups = [tuple(order[i : i + SHARDS_AT_ONCE]) for i in range(0, len(order), SHARDS_AT_ONCE)]
        alone = self._objective.pairs == "nsp" and sum(entry.documents for entry in groups[-1]) < 2
        if alone and len(groups) > 1:  # One document of its own has no other to take sentences from.
            groups[-2:] = [groups[-2] + groups[-1]]
        return groups

    def _sizes(self, epoch: int) -> list[int]:
        """Steps of each window, in proportion to its tokens; all together those of an epoch."""
        ends = np.cumsum([sum(entry.tokens for entry in group) for group in self._groups(epoch)])
        steps = np.round(ends / ends[-1] * self.steps_per_epoch).astype(np.int64)
        sizes: list[int] = np.diff(steps, prepend=0).tolist()
        return sizes

    def _window(self, epoch: int, window: int) -> _Window:
        key = (epoch, window)
        if self._held is None or self._held[0] != key:
            self._held = None  # Before the next is made: two of them need not fit into memory.
            self._held = (key, self._make(epoch, window))
        return self._held[1]

    def _make(self, epoch: int, window: int) -> _Window:
        entries = self._groups(epoch)[window]
        documents = Documents.join(self._shards.read(entry) for entry in entries)
        random = np.random.default_rng([self._seed, 1, self._version(epoch), window])
        spans = self._spans(documents, random)
        sizes = _sizes(spans)
        count = self._sizes(epoch)[window]
        # Text that makes fewer sequences than steps is used again, in another order.
        order = np.concatenate([random.permutation(len(sizes)) for _ in range(-(-count // len(sizes)))])
        batches = cut_by_tokens(order, sizes[order], count)
        batches = [rows[np.argsort(-sizes[rows], kind="stable")] for rows in batches]
        return _Window(documents, spans, batches, entries)


def _sizes(spans: Spans) -> Rows:
    """Tokens of each sequence, without the special ones."""
    sizes: Rows = np.diff(spans.first)[:, 0] + np.diff(spans.second)[:, 0]
    return sizes


def take(masks: Masks, rows: Sequence[int] | Rows) -> Masks:
    """Some of the sequences of a step, with their masks."""
    rows = np.asarray(rows, dtype=np.int64)
    places = masks.sequences.places(rows)
    moved = np.full(len(masks.masked.ids_T), -1)
    moved[places] = np.arange(len(places))
    kept = moved[masks.masked.masked_M] >= 0
    here = moved[masks.masked.masked_M[kept]]
    order = np.argsort(here)
    return Masks(
        Sequences(
            ids=masks.sequences.ids[places],
            starts=np.concatenate([[0], np.cumsum(masks.sequences.lengths[rows])]).astype(np.int64),
            second=masks.sequences.second[rows],
        ),
        Masked(masks.masked.ids_T[places], here[order], masks.masked.targets_M[kept][order]),
        masks.labels[rows],
    )
