"""What came of a run, as Python has it: a dict that shows itself as a table, and in a notebook as a page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from bertkit.diagnose.report import report_head
from bertkit.errors import UserError
from bertkit.recipe.parts import Phase
from bertkit.show.display import PlainConsole
from bertkit.show.run_display import WORDS

COLUMNS = 100
HEIGHT = "34em"
"""Of the frame in a notebook: the verdict, and the score beside the baselines."""


class Outcome(dict[str, Any]):
    """The content of a run's `result.json`.

    Args:
        result: that content.
        command: what made the run.
        run: its folder, an attribute too.
    """

    def __init__(self, result: Mapping[str, Any], command: Phase, run: Path) -> None:
        super().__init__(result)
        self.run = run
        self._command = command

    def __repr__(self) -> str:
        """The tables of scores that end the command line's run."""
        text = StringIO()
        console = PlainConsole(file=text, width=COLUMNS, force_jupyter=False, force_terminal=False)
        for words, _ in WORDS[self._command].closing(self, self.run):
            console.say(words) if isinstance(words, str) else console.show(words)
        return text.getvalue().rstrip()

    def _repr_html_(self) -> str | None:
        """For notebooks the head of the run's page, in a frame; None where its folder is gone."""
        try:
            page = report_head(self.run)
        except (OSError, UserError):
            return None
        style = f"width:100%;height:{HEIGHT};border:0"
        return f'<iframe srcdoc="{escape(page)}" style="{style}"></iframe>'
