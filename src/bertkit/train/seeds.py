"""One seed of a fine-tuning run, in as many attempts as it takes."""

from __future__ import annotations

from pathlib import Path

from bertkit.model.precision import Computing
from bertkit.recipe import Recipe
from bertkit.train.attempts import Collapsed
from bertkit.train.frozen import RowSource
from bertkit.train.listener import Listener
from bertkit.train.loop import Interrupted, deferred_signals
from bertkit.train.prepare import Prepared
from bertkit.train.results import SeedResult
from bertkit.train.seedrun import SeedRun


def train_seed(
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    precision: Computing,
    steps: int,
    rows: RowSource,
    listener: Listener,
) -> SeedResult:
    """Train one seed in `folder`, in another attempt after a collapse where the recipe wants that."""
    # A signal that comes while one attempt ends and another begins is not to be lost.
    with deferred_signals() as interrupted:
        result = None
        while result is None:
            run = SeedRun(prepared, recipe, seed, folder, precision, steps, rows, listener)
            try:
                result = run.run()
            except Collapsed as collapse:
                listener.told(str(run.restart(collapse)))
        if interrupted():
            raise Interrupted
        return result
