"""Who is told what happens in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bertkit.config.model import ModelConfig
from bertkit.model.compute import Computing
from bertkit.runs.findings import Finding
from bertkit.train.loop import StepRecord


@dataclass(frozen=True)
class Facts:
    """What a person should know of labelled rows; of lengths those of the training rows.

    `windows` is how many they are read in, 0 without windows; lengths then are those of all of a row's.
    `notes` are sentences about rows that are left out, or are read although something is odd about them.
    """

    task: str
    model: str
    train_rows: int
    dev_rows: int
    targets: tuple[str, str]
    median_length: int
    longest: int
    windows: int
    padding_saved: float
    truncated: int
    duplicates: int
    leaks: int
    vocabulary_size: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelledPlan:
    """What a person should know before a run over labelled rows; `trained` of the parameters are not frozen.

    `steps` is 0 where the clock decides.
    """

    facts: Facts
    parameters: int
    trained: int
    precision: Computing
    processes: int
    steps: int
    steps_per_epoch: int
    seeds: int
    expected_seconds: float


@dataclass(frozen=True)
class UnlabelledPlan:
    """What a person should know before a run over text.

    `gemm_rate` is in FLOP/s, of all processes together; `unigram` and `uniform` are in nats.
    """

    corpus: str
    documents: int
    train_tokens: int
    heldout_tokens: int
    heldout_scored: int
    model: str
    parameters: int
    encoder: ModelConfig
    precision: Computing
    processes: int
    gemm_rate: float
    unigram: float
    uniform: float
    seeds: int


Plan = LabelledPlan | UnlabelledPlan


class Listener:
    """Who is told what happens in a run. This one keeps it to itself; `cli` has one that shows it."""

    def planned(self, plan: Plan) -> None:
        """All is ready; training begins."""

    def found(self, findings: Sequence[Finding]) -> None:
        """Something is wrong, or could be better: before the first step, or while training."""

    def told(self, sentence: str) -> None:
        """There is something else to say about how it goes."""

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        """A seed begins at `step` (more than 0 if resumed) of `steps`, which is 0 where the clock decides."""

    def encoded(self, what: str, done: int, total: int) -> None:
        """So much of `total` is made of what is made once, before the first step; `what` says it in words."""

    def stepped(self, record: StepRecord, fraction: float, figures: Mapping[str, float]) -> None:
        """One update was made; a share `fraction` of the run was done before it."""

    def evaluated(self, step: int, figures: Mapping[str, Any], best: bool) -> None:
        """The dev rows, or the held-out text, were scored after `step`; figures as in the log."""

    def finished(self, result: dict[str, Any]) -> None:
        """All seeds are done and `result` is on disk."""
