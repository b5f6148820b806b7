"""What came of a seed, kept in its folder: its result, and its answers row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.checkpoint.atomic import replace_file
from bertkit.config.terms import MASKED
from bertkit.errors import UserError
from bertkit.runs.folder import seed_folder
from bertkit.runs.records import DAMAGED, read_object, write_json
from bertkit.tasks.examples import Targets

SEED_RESULT = "seed.json"
ANSWERS = "answers.safetensors"
OF_SEED = ("steps", "heldout", "train_mlm_loss", "through_at", "restarts", "seconds")
"""What the result of a pretraining run has of each of its seeds."""


@dataclass(frozen=True)
class SeedResult:
    """One trained seed; what its best checkpoint says of the dev rows is in its `Answers`.

    `status` is "collapsed" if every dev row gets the same answer at the best checkpoint, "learned" if the
    interval of its score is better than the blind baseline's score, "diverged" if its loss stopped being a
    number (the scores are then those of before), else "not learned". It also is "collapsed" if a collapse
    ended it, whose check `collapse` names. `restarts` are the attempts before it: see
    `runs.restarts.Restart`.
    """

    seed: int
    score: float
    last_score: float
    status: str
    best_epoch: float
    steps: int
    tokens: int
    seconds: float
    collapse: str = ""
    restarts: list[dict[str, Any]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Keep it in the folder of the seed: a seed with this file is done."""
        write_json(folder / SEED_RESULT, asdict(self))

    @classmethod
    def read(cls, folder: Path) -> SeedResult | None:
        """The result of a seed that is done, else None.

        Raises:
            UserError: the file is damaged, or of another version.
        """
        if (found := read_object(folder / SEED_RESULT)) is None:
            return None
        try:
            return cls(**found.values)
        except TypeError:
            raise found.fault("it is no result of a seed") from None


@dataclass(frozen=True)
class Answers:
    """What the best checkpoint of a seed says of N dev rows.

    Attributes:
        targets: what the rows ask for.
        outputs: of the model, as its kind of task keeps them: of the rows [N, ...], or of each target value.
        adds: what each row adds to the metrics, [N, S].
    """

    targets: Targets
    outputs: npt.NDArray[Any]
    adds: npt.NDArray[Any]

    def write(self, folder: Path) -> None:
        """Keep them in the folder of the seed."""
        from safetensors.numpy import save

        arrays = {"values": self.targets.values, "starts": self.targets.starts}
        arrays |= {"outputs": self.outputs, "adds": self.adds}
        with replace_file(folder / ANSWERS) as temporary:
            temporary.write_bytes(save({name: np.ascontiguousarray(each) for name, each in arrays.items()}))

    @classmethod
    def read(cls, folder: Path) -> Answers | None:
        """Those of a seed; None where there are none.

        Raises:
            UserError: the file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = folder / ANSWERS
        if not path.is_file():
            return None
        try:
            arrays = load(path.read_bytes())
            found = cls(Targets(arrays["values"], arrays["starts"]), arrays["outputs"], arrays["adds"])
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path} cannot be read ({error}); {DAMAGED}.") from None
        rows, values = len(found.targets), len(found.targets.values)
        outputs = len(found.outputs)
        if rows < 1 or found.adds.ndim != 2 or len(found.adds) != rows or outputs not in (rows, values):
            raise UserError(f"{path}: its arrays are not of the same rows; {DAMAGED}.")
        return found


def answers_of_seeds(run: Path, seeds: Sequence[int]) -> list[Answers]:
    """What the seeds of a run, all done, say of its dev rows.

    Raises:
        UserError: those of a seed are gone, or damaged.
    """
    found = []
    for seed in seeds:
        folder = seed_folder(run, seed, len(seeds))
        if (answers := Answers.read(folder)) is None:
            raise UserError(f"{folder} has lost the answers of seed {seed}; make the run again.")
        found.append(answers)
    return found


@dataclass(frozen=True)
class PretrainedSeed:
    """One seed of a pretraining run; `values` are what `result.json` has of it."""

    seed: int
    values: dict[str, Any]

    @property
    def loss(self) -> float:
        """Held-out loss of masked tokens in nats; the training loss where nothing was held out."""
        heldout = self.values["heldout"]
        return float(heldout[MASKED.loss] if heldout else self.values["train_mlm_loss"])

    def summary(self) -> dict[str, Any]:
        """Its entry among those of all seeds."""
        return {"seed": self.seed, "loss": self.loss, **{key: self.values[key] for key in OF_SEED}}

    def write(self, folder: Path) -> None:
        """Keep it in the folder of the seed: a seed with this file is done."""
        write_json(folder / SEED_RESULT, {"seed": self.seed, **self.values})

    @classmethod
    def read(cls, folder: Path) -> PretrainedSeed | None:
        """The result of a seed that is done, else None.

        Raises:
            UserError: the file is damaged, or of another version.
        """
        if (found := read_object(folder / SEED_RESULT)) is None:
            return None
        if missing := [key for key in OF_SEED if key not in found.values]:
            raise found.fault(f"{missing[0]!r} is missing")
        return cls(found.whole("seed"), {key: each for key, each in found.values.items() if key != "seed"})
