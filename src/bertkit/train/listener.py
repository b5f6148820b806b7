"""Who is told what happens in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bertkit.config.model import ModelConfig
from bertkit.model.precision import Computing
from bertkit.runs.findings import Finding
from bertkit.train.loop import StepRecord
from bertkit.train.prepare import Facts


@dataclass(frozen=True)
class Plan:
    """What is about to run, for the one who waits for it; `trained` of the parameters are not frozen.

    `broke` says why no step can be made of the model that it begins with, and is empty where one can.
    """

    parameters: int
    trained: int
    precision: Computing
    steps: int
    steps_per_epoch: int
    seeds: int
    expected_seconds: float
    broke: str = ""


class Listener(Protocol):
    """What a person sees of a run. `cli` has one for terminals; `Silent` is for programs."""

    def planned(self, facts: Facts, plan: Plan) -> None:
        """All is ready; training begins."""

    def found(self, findings: Sequence[Finding]) -> None:
        """Something is wrong, or could be better: before the first step, or while training."""

    def told(self, sentence: str) -> None:
        """There is something else to say about how it goes."""

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        """A seed begins at `step` (more than 0 if resumed) of `steps`."""

    def encoded(self, done: int, rows: int) -> None:
        """Features of `done` of all `rows`, or of all their windows, are computed: of a frozen encoder."""

    def stepped(self, record: StepRecord) -> None:
        """One update was made."""

    def evaluated(self, epoch: float, train_loss: float, evaluation: dict[str, Any], best: bool) -> None:
        """The dev rows were scored."""

    def finished(self, result: dict[str, Any]) -> None:
        """All seeds are done and `result` is on disk."""


class Silent:
    """A listener that shows nothing."""

    def planned(self, facts: Facts, plan: Plan) -> None:
        """Show nothing."""

    def found(self, findings: Sequence[Finding]) -> None:
        """Show nothing."""

    def told(self, sentence: str) -> None:
        """Show nothing."""

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        """Show nothing."""

    def encoded(self, done: int, rows: int) -> None:
        """Show nothing."""

    def stepped(self, record: StepRecord) -> None:
        """Show nothing."""

    def evaluated(self, epoch: float, train_loss: float, evaluation: dict[str, Any], best: bool) -> None:
        """Show nothing."""

    def finished(self, result: dict[str, Any]) -> None:
        """Show nothing."""


@dataclass(frozen=True)
class PretrainFacts:
    """What a person should know before a pretraining run.

    `gemm_rate` is in FLOP/s, `unigram` and `uniform` are in nats, `step` is how many are done already.
    """

    corpus: str
    documents: int
    train_pieces: int
    heldout_pieces: int
    heldout_scored: int
    model: str
    parameters: int
    encoder: ModelConfig
    precision: Computing
    processes: int
    gemm_rate: float
    unigram: float
    uniform: float
    step: int


class PretrainListener(Protocol):
    """What a person sees of a pretraining run."""

    def planned(self, facts: PretrainFacts) -> None:
        """All is ready; training begins."""

    def found(self, findings: Sequence[Finding]) -> None:
        """Something is wrong, or could be better: before the first step, or while training."""

    def stepped(self, record: StepRecord, fraction: float, figures: dict[str, float]) -> None:
        """One update was made; a share `fraction` of the run was done before it."""

    def evaluated(self, step: int, fraction: float, figures: dict[str, float]) -> None:
        """The held-out text was scored after `step`."""

    def told(self, sentence: str) -> None:
        """There is something to say about how it learns."""

    def finished(self, result: dict[str, Any]) -> None:
        """The run is done and `result` is on disk."""


class SilentPretrain:
    """A listener that shows nothing."""

    def planned(self, facts: PretrainFacts) -> None:
        """Show nothing."""

    def found(self, findings: Sequence[Finding]) -> None:
        """Show nothing."""

    def stepped(self, record: StepRecord, fraction: float, figures: dict[str, float]) -> None:
        """Show nothing."""

    def evaluated(self, step: int, fraction: float, figures: dict[str, float]) -> None:
        """Show nothing."""

    def told(self, sentence: str) -> None:
        """Show nothing."""

    def finished(self, result: dict[str, Any]) -> None:
        """Show nothing."""
