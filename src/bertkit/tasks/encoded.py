"""Rows as a model reads them, with what each asks of the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.data.packed import Sequences
from bertkit.tasks.examples import Targets

IGNORED = -100
"""The target of a token that has no tag of its own, as in transformers."""


@dataclass(frozen=True)
class Encoded:
    """N rows as a model reads them: U units, of which each is a part of one step.

    Attributes:
        sequences: of the rows: one each; or the windows of a text; or the texts that one is chosen from.
        targets: what each unit asks of the head, as `Classifier.losses` takes it; None of rows without.
        together: whether a unit is a row with all its sequences; else each sequence is one.
        kept: what the kind of task noted of them for `Kind.collect`, by name.
    """

    sequences: Sequences
    targets: Targets | None = None
    together: bool = True
    kept: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @cached_property
    def units(self) -> Sequences:
        """What steps are made of, [U]."""
        return self.sequences if self.together else self.sequences.apart()

    @property
    def learned(self) -> Targets:
        """The targets of rows that were read with them."""
        assert self.targets is not None, "these rows were read without labels"
        return self.targets

    @cached_property
    def counted(self) -> npt.NDArray[np.int64]:
        """How many targets of each unit count in the loss, [U]: one, or those of its tokens that are due."""
        values, starts = self.learned.values, self.learned.starts
        if values.ndim > 1 or values.dtype.kind == "f":
            return np.ones(len(self.learned), dtype=np.int64)
        totals = np.concatenate([[0], np.cumsum(values != IGNORED)])
        return np.diff(totals[starts])

    def only(self, units: npt.NDArray[np.int64]) -> Encoded:
        """Some of the units, in that order, each for itself; what was `kept` is not."""
        return Encoded(self.units.only(units), self.learned.only(units))
