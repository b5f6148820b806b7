"""Is a pretraining run learning: in words, from its losses."""

from __future__ import annotations

from dataclasses import dataclass

THROUGH = 0.85
"""Share of the unigram entropy below which a loss can't be that of word frequencies alone, or of them and the
nearest neighbours."""
PATIENCE = 0.2
"""Share of a run after which one that isn't through is told to be stuck."""
SMOOTHING = 0.95
SETTLED = 50
"""Steps before the smoothed loss says anything."""


@dataclass
class Watch:
    """Follows the held-out loss against its floors, and the training loss against its own past.

    Attributes:
        unigram: loss of one who knows only how often each piece occurs, nats.
        uniform: loss of one who knows nothing, ln V.
        through_at: the step at which the loss broke through the plateau of word frequencies.
        stuck: whether it was said that it did not.
        smoothed: of the training loss.
        lowest: the least that `smoothed` has been.
        steps: losses seen.
        risen_at: the first of the last steps whose losses all stand over `lowest` by more than a spike.
    """

    unigram: float
    uniform: float
    through_at: int | None = None
    stuck: bool = False
    smoothed: float = 0.0
    lowest: float = float("inf")
    steps: int = 0
    risen_at: int | None = None

    def scored(self, step: int, fraction: float, loss: float) -> str | None:
        """What there is to say of the loss after `step`, where a share `fraction` of the run is done."""
        if self.through_at is None and loss < THROUGH * self.unigram:
            self.through_at = step
            return (
                f"The loss {loss:.3f} broke through the plateau of word frequencies ({self.unigram:.3f}) by "
                f"step {step:,}: the model uses the context."
            )
        if self.through_at is None and not self.stuck and fraction >= PATIENCE:
            self.stuck = True
            return (
                f"The loss {loss:.3f} is stuck on the plateau of word frequencies ({self.unigram:.3f}; "
                f"knowing nothing is {self.uniform:.3f}) after {fraction:.0%} of the run: the model has "
                "hardly learnt to use the context. Rotary positions (model.options.positions), a higher "
                "rate, an initialisation in proportion to the width (model.options.initialiser_range) or "
                "more steps may bring it through."
            )
        return None

    def stepped(self, loss: float, spike: float) -> bool:
        """Take one step's loss; True if, smoothed, it stands more than `spike` nats over its lowest."""
        self.steps += 1
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
