"""What is known of labelled rows alone, without a model: plain numbers, which checks read and pages show."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bertkit.tasks.telling import Telling


@dataclass(frozen=True)
class Shown:
    """A row that is named: its line, an excerpt, and what stands beside it.

    Attributes:
        line: in its file, from 1.
        text: of it.
        other: a row that it is like: "train, line 3"; "" where there is none.
        other_text: an excerpt of that.
        resemblance: of the two, see `text.near`; 1 of the same texts.
    """

    line: int
    text: str
    other: str = ""
    other_text: str = ""
    resemblance: float = 1.0


@dataclass(frozen=True)
class Rows:
    """How many rows are so, and the first of them."""

    count: int = 0
    shown: list[Shown] = field(default_factory=list)


NONE = Rows()


@dataclass(frozen=True, kw_only=True)
class PartMeasures:
    """The rows of one split. Of what was not looked for there are none.

    Attributes:
        path: the file.
        encoding: of its text; "" of a format that is no text.
        rows: that can be used.
        left_out: rows that cannot be.
        left_out_told: why, in a sentence; "" where there are none.
        notes: how rows were read that are not as they should be, such as answers that are not at their place;
            sentences.
        labels: rows of each label, those of other splits too; empty where rows have none.
        characters: of a row's texts together, by percentile.
        tokens: of its sequence, uncut, by percentile; empty without a tokenizer.
        cut: share of sequences that are longer than so many tokens.
        duplicates: rows whose texts stand in an earlier one, but for spaces.
        near_duplicates: of the others, those that are nearly an earlier one.
        contradictions: rows whose texts also stand there with another label.
        near_contradictions: near duplicates with another label.
        leaks: rows whose texts stand in train.
        near_leaks: of the others, those that are nearly one of train.
        odd: by the name of an oddity, see `text.odd`.
        scripts: rows by the script of most of their letters.
        mixed: rows of several scripts.
        long: rows that are far longer than the others.
        blank_pairs: rows without a second text.
    """

    path: str
    encoding: str
    rows: int
    left_out: int
    left_out_told: str
    notes: list[str]
    labels: dict[str, int]
    characters: dict[str, int]
    tokens: dict[str, int] = field(default_factory=dict)
    cut: dict[str, float] = field(default_factory=dict)
    duplicates: Rows = NONE
    near_duplicates: Rows = NONE
    contradictions: Rows = NONE
    near_contradictions: Rows = NONE
    leaks: Rows = NONE
    near_leaks: Rows = NONE
    odd: dict[str, Rows] = field(default_factory=dict)
    scripts: dict[str, int] = field(default_factory=dict)
    mixed: Rows = NONE
    long: Rows = NONE
    blank_pairs: Rows = NONE


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is known of rows without a model.

    Attributes:
        parts: by split, those to learn from first.
        whole: whether all was looked for; else what takes longer than a moment is left out.
        telling: the words that tell the labels of the first split.
    """

    parts: dict[str, PartMeasures]
    whole: bool = True
    telling: list[Telling] = field(default_factory=list)

    @property
    def train(self) -> PartMeasures:
        """The first split: the rows to learn from, or the only ones."""
        return next(iter(self.parts.values()))

    @property
    def scored(self) -> dict[str, PartMeasures]:
        """The others."""
        return dict(islice(self.parts.items(), 1, None))
