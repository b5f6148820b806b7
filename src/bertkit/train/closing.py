"""What follows the last seed of a run by the clock, which is to end in its time: how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

SHARE_OF_RESULT = 0.02
"""Of a budget: what is kept for the result, with what moved the model to its mistakes."""
LEAVING = 0.4
"""Seconds that leaving Python takes for each one that starting it took, with its imports: 0.3 to 0.4 of them
on two cores with a dozen busy processes."""


class Closing:
    """What follows the last seed; each seed keeps its share of the time that it takes.

    Args:
        out: the run folder.
        seeds: of the run.
        starting: seconds from the start of the command until the run was asked for; 0 without a command.
        page: what is made of the finished run, such as its page. It is called once before the first step, of
            what there is of the run, to see how long it takes; None: nothing is made.
    """

    def __init__(
        self, out: Path, seeds: int, starting: float = 0.0, page: Callable[[Path], object] | None = None
    ) -> None:
        self._out = out
        self._seeds = seeds
        self._leaving = LEAVING * starting
        self._page = page

    @cached_property
    def _page_seconds(self) -> float:
        """Measured once the run has a log, by making the page of it."""
        if self._page is None:
            return 0.0
        began = time.monotonic()
        self._page(self._out)
        return time.monotonic() - began

    def share(self, minutes: float, scoring: float) -> float:
        """Seconds that a seed keeps for it.

        Args:
            minutes: of the seed, which is by the clock.
            scoring: seconds for rows that are scored after the last seed.
        """
        return 60 * minutes * SHARE_OF_RESULT + (scoring + self._page_seconds + self._leaving) / self._seeds
