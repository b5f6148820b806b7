"""Sections that several kinds of recipe have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bertkit.config.model import PRESETS, Precision
from bertkit.errors import UserError, check_at_least, check_choice

Phase = Literal["finetune", "pretrain"]
"""Which command makes a run."""
Schedule = Literal["linear", "constant"]
OptimiserName = Literal["adamw", "adam", "lamb", "muon"]
OWN_RATES: frozenset[OptimiserName] = frozenset({"lamb"})
"""Optimisers whose learning rates are of another size than Adam's: what is known of those tells nothing."""
OnCollapse = Literal["continue", "stop", "restart"]


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """Where the weights come from: a preset (fresh weights) or a model folder, and changes to its options.

    With `freeze` the encoder stays as it is: a head alone is trained, on features computed once.
    """

    start: str = "mini"
    freeze: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fresh(self) -> bool:
        """Whether the weights are new ones, of a preset."""
        return self.start in PRESETS


@dataclass(frozen=True, kw_only=True)
class OptimiserRecipe:
    """How weights move: decay is off for biases and norms; `clip` 0 is no clipping; `warmup` is a share.

    `matrix_lr` is Muon's rate for the matrices of the layers; 0 is `lr`, at which it updates as far as AdamW.
    With a `layer_decay` below 1 each layer of the encoder learns at so many times the rate of what stands on
    it: the head at `lr`, the embeddings slowest.
    """

    name: OptimiserName = "adamw"
    lr: float = 1e-4
    matrix_lr: float = 0.0
    layer_decay: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.01
    clip: float = 1.0
    warmup: float = 0.1
    schedule: Schedule = "linear"

    def __post_init__(self) -> None:
        check_choice("optimiser", "name", self.name, OptimiserName)
        check_choice("optimiser", "schedule", self.schedule, Schedule)
        for name in ("lr", "matrix_lr", "beta1", "beta2", "eps", "weight_decay", "clip", "warmup"):
            check_at_least("optimiser", name, getattr(self, name), 0)
        for name in ("beta1", "beta2", "warmup"):
            if getattr(self, name) >= 1:
                raise UserError(f"optimiser: {name} must be below 1, not {getattr(self, name)!r}.")
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"optimiser: layer_decay is above 0 and at most 1, not {self.layer_decay!r}.")
        if self.name == "adam" and self.weight_decay:
            raise UserError(
                "optimiser: 'adam' has no weight decay here; set weight_decay = 0 or use 'adamw'."
            )
        if self.matrix_lr and not self.lr:
            raise UserError(
                "optimiser: with lr = 0 nothing is trained, whatever matrix_lr is; set lr above 0."
            )
        if self.matrix_lr and self.name != "muon":
            raise UserError(
                f"optimiser: {self.name!r} has one learning rate; set matrix_lr = 0 or use 'muon'."
            )


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """How long a run is, from which seeds, and how often it is saved: what every recipe of one has.

    The run has `steps` updates of each seed at most, or as many as fit into `budget` minutes of wall time,
    which all seeds share. `patience` > 0 stops after so many evaluations without a better one. `seeds` models
    are trained, the first from `seed`. `save_every` is in minutes.

    The run's health is looked at every `watch_every` steps: 0 chooses a number that costs less than a
    hundredth of the time, -1 is never. Where it collapses, it goes on if it can (`on_collapse` "continue"),
    ends ("stop"), or begins again, twice at most, with the proposed changes of the optimiser ("restart").
    When a collapse is seen depends on `watch_every`: give one to make runs that stop or restart repeatable.
    """

    steps: int = 0
    budget: float = 0.0
    patience: int = 0
    seed: int = 0
    seeds: int = 1
    precision: Precision = "auto"
    save_every: float = 5.0
    watch_every: int = 0
    on_collapse: OnCollapse = "continue"

    def __post_init__(self) -> None:
        check_choice("training", "precision", self.precision, Precision)
        check_choice("training", "on_collapse", self.on_collapse, OnCollapse)
        for name in ("steps", "budget", "patience", "seed", "save_every"):
            check_at_least("training", name, getattr(self, name), 0)
        check_at_least("training", "seeds", self.seeds, 1)
        check_at_least("training", "watch_every", self.watch_every, -1)
