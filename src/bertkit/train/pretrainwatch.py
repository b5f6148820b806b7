"""What is watched of a pretraining run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertkit.data.steps import take
from bertkit.health.look import Looked, look_at, rows_to_look_at
from bertkit.health.watch import Setting, Watch
from bertkit.model.precision import Computing
from bertkit.recipe import PretrainRecipe
from bertkit.train.listener import PretrainListener
from bertkit.train.processes import Processes
from bertkit.train.restoring import as_batch
from bertkit.train.starting import Start
from bertkit.train.watching import Watching


def watch_pretraining(
    recipe: PretrainRecipe,
    start: Start,
    precision: Computing,
    remembered: dict[str, Any],
    *,
    folder: Path,
    processes: Processes,
    listener: PretrainListener,
) -> Watching:
    """The watch over the model of `start`, which goes on with what is `remembered` of the run so far."""
    setting = Setting(
        phase="pretrain",
        optimiser=recipe.optimiser,
        model=start.model.encoder.config,
        trained=start.start is not None,
        prior_entropy=start.unigram,
        uniform=math.log(start.shards.tokenizer.size),
        spike=recipe.training.spike,
    )
    return Watching(
        start.model,
        setting,
        Watch(**remembered),
        _probe(start, precision) if processes.first and recipe.training.watch_every >= 0 else None,
        every=recipe.training.watch_every,
        folder=folder,
        tell=listener.found,
        processes=processes,
    )


def _probe(start: Start, precision: Computing) -> Callable[[], Looked] | None:
    """A look at a few sequences of held-out text, or, without it, of the first step's."""
    masks = start.heldout.masks if start.heldout else start.objective.masks(0)
    rows = rows_to_look_at(masks.sequences.lengths)
    if len(rows) < 2:
        return None
    batch = as_batch(take(masks, rows))
    if not len(batch.targets_M):
        return None
    return lambda: look_at(start.model, batch, precision=precision)
