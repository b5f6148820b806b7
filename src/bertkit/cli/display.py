"""What a person sees of a command that takes long: what all of them show alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn
from rich.table import Table

BAR_WIDTH = 24
# Without a terminal there is no bar: a line of progress every so many seconds instead.
SECONDS_BETWEEN_LINES = 30.0


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
