"""What is seen of a run while it trains: records of event "health" in `metrics.jsonl`, and what is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from bertkit.config.model import ModelConfig
from bertkit.recipe import OptimiserRecipe, TrainingRecipe
from bertkit.runs.history import THROUGH, Health

SMOOTHING = 0.95
SETTLED = 50
"""Steps before the smoothed loss says anything."""
LEARNT = 0.75
"""Share of the baseline loss below which a smoothed loss shows that something was learnt: the noise of
batches, also of a file in order, stays above it."""
VANISHED = 1e-3
"""Of a layer's greatest gradient norm, what is left of a vanished gradient. Measured on CoLA: the article's
model, 128 wide, falls to 5e-4 of it by step 10 and to 2e-6 by step 100; cola-scratch, which sits on the
labels' entropy for 300 steps and then learns, stays above 0.2, and no run that learned falls below 0.1."""
EARLIEST = 20
"""Updates before which nothing is said of a run but that its loss is no number, and no state of it counts as
good: a rate that is too high destroys a model within the first ten, and what that does shows later."""
KEPT = 4
"""The newest looks that are remembered, beside the first."""
Broke = tuple[float, float | None]
"""Loss and gradient norm of the step that could not be made, because one is no number; without a norm the
loss of the model as it is."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What an evaluation found; losses in nats.

    Attributes:
        step: updates made.
        train_loss: mean since the evaluation before.
        loss: of the dev rows, or of the held-out text.
        one_answer: whether every dev row got the same answer.
        beats_majority: whether the interval of the score lies above always answering the majority.
    """

    step: int
    train_loss: float
    loss: float
    one_answer: bool = False
    beats_majority: bool = True


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a check must know of the run that it judges.

    Attributes:
        phase: which kind of run it is.
        optimiser: of its recipe.
        model: the encoder's options.
        trained: whether it began with trained weights.
        baseline_loss: see `Health.baseline_loss`; None where there is none.
        uniform: of a pretraining run: loss of one who knows nothing, ln V.
        training: of a fine-tuning run: how long its recipe makes it.
        spike: of a pretraining run: nats over its lowest that the smoothed loss may stand; 0 is any.
    """

    phase: Literal["finetune", "pretrain"]
    optimiser: OptimiserRecipe
    model: ModelConfig
    trained: bool = False
    baseline_loss: float | None = None
    uniform: float = math.inf
    training: TrainingRecipe | None = None
    spike: float = 0.0

    @property
    def rise(self) -> float:
        """Nats over its lowest loss from which a run may be lost; 0 is never. In fine-tuning a quarter of the
        labels' entropy.
        """
        return self.spike if self.phase == "pretrain" else (self.baseline_loss or 0.0) / 4


class Peak(NamedTuple):
    """The greatest gradient norm of a layer, and the step that had it."""

    step: int
    norm: float


@dataclass
class Watch:
    """What is remembered of a run while it trains; its fields are saved with the run's progress.

    Attributes:
        every: steps between looks at inputs; 0 while it is not known.
        steps: losses seen.
        smoothed: training loss, see `Health`.
        newest: the last step's loss; None before the first.
        variance: of a step's loss about the run's level, nats squared: half the mean square of the
            differences between steps and the next ones (von Neumann 1941), which a trend hardly enters. Over
            all steps: rare labels come in bursts, and the lull between two of them looks like certainty.
        lowest: the least that `smoothed` has been, once it had settled.
        risen_at: the first of the last steps whose losses all stand over the lowest by more than a spike.
        through_at: of a pretraining run: the step by which it was through the unigram plateau.
        looks: the first one and the newest few, oldest first.
        peaks: by layer.
        evaluations: all, oldest first.
        told: the checks that have found something.
    """

    every: int = 0
    steps: int = 0
    smoothed: float = 0.0
    newest: float | None = None
    variance: float = 0.0
    lowest: float = math.inf
    risen_at: int | None = None
    through_at: int | None = None
    looks: list[Health] = field(default_factory=list)
    peaks: dict[str, Peak] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take what a file has kept of another."""
        self.looks = [Health(**look) if isinstance(look, dict) else look for look in self.looks]
        self.peaks = {layer: Peak(*peak) for layer, peak in self.peaks.items()}
        self.evaluations = [Evaluation(**e) if isinstance(e, dict) else e for e in self.evaluations]

    @property
    def noise(self) -> float:
        """Standard error of the smoothed loss, nats: what the choice of the batches does to it."""
        return math.sqrt(self.variance * (1 - SMOOTHING) / (1 + SMOOTHING))

    def stepped(self, loss: float, spike: float) -> bool:
        """Take one step's loss; True if, smoothed, it is over its lowest by over `spike` (0: never)."""
        self.steps += 1
        if self.newest is not None:
            self.variance += ((loss - self.newest) ** 2 / 2 - self.variance) / (self.steps - 1)
        self.newest = loss
        share = max(1 - SMOOTHING, 1 / self.steps)
        self.smoothed += share * (loss - self.smoothed)
        if self.steps < SETTLED:
            return False
        self.lowest = min(self.lowest, self.smoothed)
        if not spike or loss <= self.lowest + spike:
            self.risen_at = None
        elif self.risen_at is None:
            self.risen_at = self.steps
        return bool(spike) and self.smoothed > self.lowest + spike

    def looked(self, health: Health) -> None:
        """Remember a look; of all the first and the newest are kept."""
        for layer, norm in health.gradient_norms.items():
            # The comparison is False for what is no number.
            if norm > self.peaks.get(layer, Peak(0, 0.0)).norm:
                self.peaks[layer] = Peak(health.step, norm)
        self.looks = [*self.looks[:1], *self.looks[1:][-(KEPT - 1) :], health]

    def evaluated(self, evaluation: Evaluation) -> None:
        """Remember an evaluation."""
        self.evaluations.append(evaluation)

    def passed(self, step: int, loss: float, unigram: float) -> bool:
        """Take a pretraining run's loss; True where it has just broken through the plateau, by `step`."""
        # What is no number is not below it.
        if self.through_at is not None or not loss < THROUGH * unigram:
            return False
        self.through_at = step
        return True

    def at(self, setting: Setting, step: int, fraction: float, broke: Broke | None = None) -> Watched:
        """The run as it is now, whatever comes."""
        return Watched(setting=setting, step=step, fraction=fraction, past=replace(self), broke=broke)


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A run at one moment, as the checks see it.

    Attributes:
        setting: what it is.
        step: updates made.
        fraction: share of the run that is done.
        past: what is remembered of it.
        broke: why the run can't go on, if it can't.
    """

    setting: Setting
    step: int
    fraction: float
    past: Watch
    broke: Broke | None = None

    @property
    def learnt(self) -> bool:
        """Whether the training loss is well below what the labels' shares alone give."""
        prior = self.setting.baseline_loss
        return prior is None or self.past.smoothed < LEARNT * prior
