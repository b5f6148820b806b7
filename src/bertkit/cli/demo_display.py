"""What a person sees of the demo's runs: a bar, and a line or two of each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from bertkit.cli.display import BAR_WIDTH, BarDisplay
from bertkit.config.terms import MASKED
from bertkit.demo.report import percent
from bertkit.train.listener import Listener, Plan, UnlabelledPlan
from bertkit.train.loop import StepRecord


class _Lines(BarDisplay, Listener):
    """Lines that are set in under a step of the demo, and a bar below them."""

    def __init__(self, console: Console, total: float) -> None:
        super().__init__(
            console,
            TextColumn("   "),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("", total=total)

    def stepped(self, record: StepRecord, fraction: float, figures: Mapping[str, float]) -> None:
        """Move the bar."""
        self._bar.advance(self._task)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(f"     {line}", soft_wrap=True)


class PretrainLines(_Lines):
    """A line for each evaluation."""

    def planned(self, plan: Plan) -> None:
        """Print what the losses stand between."""
        assert isinstance(plan, UnlabelledPlan)
        self.say(
            f"{plan.model}, {plan.encoder.positions} positions, {plan.parameters:,} parameters; knowing "
            f"nothing is a loss of {plan.uniform:.2f}, knowing word frequencies {plan.unigram:.2f}"
        )

    def evaluated(self, step: int, figures: Mapping[str, Any], best: bool) -> None:
        """Print the held-out figures."""
        self.say(
            f"step {step:>5,}: loss {figures[MASKED.loss]:.2f}, {figures[MASKED.accuracy]:.0%} of the masked "
            "pieces restored"
        )

    def finished(self, result: dict[str, Any]) -> None:
        """Print the speed."""
        self.say(f"{result['seconds']:.0f} s, {result['pieces_per_second']:,.0f} pieces/s")


class FinetuneLines(_Lines):
    """One line at the end."""

    def __init__(self, console: Console, total: float, name: str) -> None:
        super().__init__(console, total)
        self._name = name
        self._began = time.monotonic()

    def finished(self, result: dict[str, Any]) -> None:
        """Print the score."""
        bar = (result["score"], *result["interval"])
        self.say(f"{self._name:<14} {percent(bar)} right, {time.monotonic() - self._began:.0f} s")
