"""What a person sees of a study: a bar, a line for each run that ends, and the tables at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from bertkit.cli.display import BAR_WIDTH, BarDisplay, plain_console
from bertkit.diagnose.wording import duration
from bertkit.recipe.study import Study
from bertkit.studies.plan import Run
from bertkit.studies.runner import State, failure, state
from bertkit.studies.study import StudyListener
from bertkit.studies.variants import Row
from bertkit.studies.words import lines_of, say


class StudyDisplay(BarDisplay, StudyListener):
    """A `StudyListener` for people.

    Args:
        to_stderr: leave standard output to programs.
    """

    def __init__(self, *, to_stderr: bool) -> None:
        super().__init__(
            plain_console(to_stderr=to_stderr),
            TextColumn("runs"),
            BarColumn(bar_width=BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._began: dict[str, float] = {}

    def _last_words(self, error: BaseException) -> str:
        interrupted = isinstance(error, KeyboardInterrupt)
        return "Interrupted; the same command goes on where the study is." if interrupted else ""

    def planned(self, study: Study, runs: Sequence[Run]) -> None:
        """The question, and how much there is to do."""
        done = sum(state(run) == "done" for run in runs)
        self._console.print(study.question, style="bold")
        self._console.print(f"{len(runs)} runs, {done} of them done already")
        self._task = self._bar.add_task("", total=len(runs), completed=done)

    def changed(self, run: Run, now: State) -> None:
        """A line where a run ends."""
        name = run.folder.name
        if now == "running":
            self._began[name] = time.monotonic()
            return
        self._bar.advance(self._task)
        if now == "failed":
            self._console.print(f"{name} failed: {failure(run)}", style="red")
        else:
            self._console.print(f"{name} done in {duration(time.monotonic() - self._began[name])}")

    def finished(self, study: Study, stages: Mapping[str, Sequence[Row]], result: Mapping[str, Any]) -> None:
        """The tables, and what they say."""
        for stage, rows in stages.items():
            heads, lines = lines_of([row for row in rows if row.group or row.failed], brief=True)
            table = Table(title=stage, title_justify="left", title_style="bold", box=None, pad_edge=False)
            for place, head in enumerate(heads):
                table.add_column(head, justify="right" if place else "left", overflow="fold")
            for line in lines:
                table.add_row(*line)
            self._console.print()
            self._console.print(table)
            for sentence in say(rows):
                self._console.print(sentence)
