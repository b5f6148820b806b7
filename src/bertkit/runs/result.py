"""What came of a seed, kept in its folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.text.jsons import to_json

SEED_RESULT = "seed.json"
BY_ROW = ("probabilities", "labels")
"""What a seed's result has a value of for each dev row; too long for the result of them all."""


@dataclass(frozen=True)
class SeedResult:
    """One trained seed. `probabilities` [N, C] are the best checkpoint's on the dev rows, whose true
    classes are `labels` [N].

    `status` is "collapsed" if every dev row gets the same answer at the best checkpoint, "learned" if the
    interval of its score lies above the majority's score, "diverged" if its loss stopped being a number
    (the scores are then those of before), else "not learned". It also is "collapsed" if a collapse ended it,
    whose check `collapse` names. `restarts` are the attempts before it: see `runs.restarts.Restart`.
    """

    seed: int
    score: float
    last_score: float
    status: str
    best_epoch: float
    steps: int
    pieces: int
    seconds: float
    probabilities: list[list[float]]
    labels: list[int] = field(default_factory=list)
    collapse: str = ""
    restarts: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Keep it in the folder of the seed: a seed with this file is done."""
        write_json(folder / SEED_RESULT, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> SeedResult | None:
        """The result of a seed that is done, else None."""
        path = folder / SEED_RESULT
        if not path.is_file():
            return None
        found = cls(**json.loads(path.read_text(encoding="utf-8")))
        # null stands for what was no number.
        known = [[math.nan if p is None else p for p in row] for row in found.probabilities]
        return replace(found, probabilities=known)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` atomically, readable by people and by every parser; see `to_json`."""
    with replace_file(path) as temporary:
        temporary.write_text(to_json(value, indent=1) + "\n", encoding="utf-8")
