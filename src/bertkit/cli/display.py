"""What a person sees of a command that takes long: what all of them show alike."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, TaskID
from rich.table import Table

from bertkit.runs.findings import Finding

BAR_WIDTH = 24
# Without a terminal there is no bar: a line of progress every so many seconds instead.
SECONDS_BETWEEN_LINES = 30.0
SMOOTHING = 0.95
"""What stays of a figure shown when the next one comes: about twenty steps count."""


def plain_console(*, to_stderr: bool = False) -> Console:
    """A console that prints what it is given, as it is; to standard error where programs read the output."""
    return Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)


def named_rows(rows: Mapping[str, str]) -> Table:
    """Names in bold, and beside each what there is to say of it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, text in rows.items():
        grid.add_row(name, text)
    return grid


def transient_bar(console: Console, *columns: ProgressColumn) -> Progress:
    """A bar that leaves no trace, and that stands on terminals only."""
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


class BarDisplay:
    """A bar while something goes on. A context manager: the bar is taken down whatever happens.

    Args:
        console: where the bar stands, and lines above it.
        columns: what the bar is made of.
    """

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._console = console
        self._bar = transient_bar(console, *columns)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is not None and (words := self._last_words(error)):
            self._console.print(words, soft_wrap=True)

    def _last_words(self, error: BaseException) -> str:
        """How to go on after the command ended so; empty where there is nothing to say."""
        return ""

    def _say_at_times(self, line: str) -> None:
        """Print a line of progress where there is no bar and it is time for one."""
        if not self._console.is_terminal and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.print(f"  {line}", soft_wrap=True)


class RunDisplay(BarDisplay):
    """What is shown alike of a fine-tuning and of a pretraining.

    Args:
        command: the one that makes such a run.
        columns: what the bar is made of.
        to_stderr: leave standard output to programs.
        out: the run folder, named at the end.
    """

    def __init__(self, command: str, *columns: ProgressColumn, to_stderr: bool, out: Path) -> None:
        super().__init__(plain_console(to_stderr=to_stderr), *columns)
        self._command = command
        self._out = out
        self._task: TaskID | None = None
        self._finished = False
        self._smooth: dict[str, float] = {}

    def _last_words(self, error: BaseException) -> str:
        if not isinstance(error, KeyboardInterrupt) or self._task is None or self._finished:
            return ""
        again = f"bertkit {self._command} -o {shlex.quote(str(self._out))} --resume"
        return f"Interrupted. Go on with: {again}"

    def _smoothed(self, name: str, value: float) -> float:
        """A figure of a step, smoothed over those that came before it under the same name."""
        before = self._smooth.get(name, value)
        self._smooth[name] = SMOOTHING * before + (1 - SMOOTHING) * value
        return self._smooth[name]

    def found(self, findings: Sequence[Finding]) -> None:
        """Print a line each."""
        for finding in findings:
            style = "red" if finding.weight == "grave" else "yellow"
            self._console.print(f"{finding.weight}: {finding.line}", style=style, soft_wrap=True)

    def told(self, sentence: str) -> None:
        """Print it."""
        self._console.print(sentence, style="bold", soft_wrap=True)

    def finished(self, result: dict[str, Any]) -> None:
        """Take the bar down: what follows is the closing table."""
        self._bar.stop()
        self._finished = True
