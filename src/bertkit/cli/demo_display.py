"""What a person sees of the runs of the demo: lines set in under its steps, and a bar."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from bertkit.config.terms import MASKED
from bertkit.demo.report import percent
from bertkit.show.display import BAR_WIDTH, BarDisplay, PlainConsole
from bertkit.train.listener import Listener, Plan, UnlabelledPlan
from bertkit.train.loop import StepRecord


class DemoDisplay(BarDisplay, Listener):
    """Lines of one of the demo's runs, set in under its step, and a bar below them.

    Args:
        console: where they stand.
        total: updates of all seeds.
        name: of the weights that are fine-tuned; of a pretraining none.
    """

    def __init__(self, console: PlainConsole, total: float, name: str = "") -> None:
        super().__init__(
            console,
            TextColumn("   "),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.percentage:.0f} %"),
            TimeRemainingColumn(),
        )
        self._task = self._bar.add_task("", total=total)
        self._name = name
        self._began = time.monotonic()

    def _say(self, line: str) -> None:
        self._console.say(f"     {line}")

    def planned(self, plan: Plan) -> None:
        """Print what the losses of a pretraining stand between."""
        if isinstance(plan, UnlabelledPlan):
            self._say(
                f"{plan.model}, {plan.encoder.positions} positions, {plan.parameters:,} parameters; uniform "
                f"guessing has a loss of {plan.uniform:.2f}, token frequencies {plan.unigram:.2f}"
            )

    def stepped(self, record: StepRecord, fraction: float, figures: Mapping[str, float]) -> None:
        """Move the bar."""
        self._bar.advance(self._task)

    def evaluated(self, step: int, figures: Mapping[str, Any], best: bool) -> None:
        """Print the held-out figures of a pretraining."""
        if not self._name:
            self._say(
                f"step {step:>5,}: loss {figures[MASKED.loss]:.2f}, {figures[MASKED.accuracy]:.0%} of the "
                "masked tokens restored"
            )

    def finished(self, result: dict[str, Any]) -> None:
        """Print the speed, or the score."""
        if self._name:
            bar = (result["score"], *result["interval"])
            self._say(f"{self._name:<14} {percent(bar)} right, {time.monotonic() - self._began:.0f} s")
        else:
            self._say(f"{result['seconds']:.0f} s, {result['tokens_per_second']:,.0f} tokens/s")
