"""One seed of a fine-tuning run, in as many attempts as it takes."""

from __future__ import annotations

from pathlib import Path

from bertkit.runs.restarts import Collapsed
from bertkit.runs.result import SeedResult
from bertkit.train.loop import Interrupted, deferred_signals
from bertkit.train.seedrun import SeedRun, Shared


def train_seed(shared: Shared, seed: int, folder: Path) -> SeedResult:
    """Train one seed in `folder`, in another attempt after a collapse where the recipe wants that."""
    # A signal that comes while one attempt ends and another begins is not to be lost.
    with deferred_signals() as interrupted:
        result = None
        while result is None:
            run = SeedRun(shared, seed, folder)
            try:
                result = run.run()
            except Collapsed as collapse:
                shared.listener.told(str(run.restart(collapse)))
        if interrupted():
            raise Interrupted
        return result
