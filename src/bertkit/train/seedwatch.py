"""What is watched of one seed of a fine-tuning run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bertkit.data.packed import pack
from bertkit.health.look import Looked, look_at, rows_to_look_at
from bertkit.health.watch import Setting, Watch
from bertkit.model.heads import Classifier
from bertkit.model.precision import Computing
from bertkit.recipe import Recipe
from bertkit.train.listener import Listener
from bertkit.train.prepare import Prepared
from bertkit.train.watching import Watching


def watch_seed(
    prepared: Prepared,
    recipe: Recipe,
    model: Classifier,
    precision: Computing,
    remembered: dict[str, Any],
    *,
    steps_per_epoch: int,
    folder: Path,
    listener: Listener,
) -> Watching:
    """The watch over `model` in training, which goes on with what is `remembered` of the run so far."""
    setting = Setting(
        phase="finetune",
        optimiser=recipe.optimiser,
        model=model.encoder.config,
        trained=prepared.start is not None,
        prior_entropy=prepared.kind.floor(prepared.train.known, prepared.labels),
        training=recipe.training,
    )
    # A state is kept to begin again from at each evaluation, and has to be known to be good.
    also_every = steps_per_epoch if recipe.training.on_collapse == "restart" else 0
    return Watching(
        model,
        setting,
        Watch(**remembered),
        None if recipe.model.freeze else _probe(prepared, model, precision),
        every=recipe.training.watch_every,
        also_every=also_every,
        folder=folder,
        tell=listener.found,
    )


def _probe(prepared: Prepared, model: Classifier, precision: Computing) -> Callable[[], Looked] | None:
    """A look at a few dev rows; None where there are too few."""
    rows = rows_to_look_at(prepared.dev_sequences.lengths)
    if len(rows) < 2:
        return None
    batch = pack(prepared.dev_sequences, rows)
    return lambda: look_at(model, batch, precision=precision)
