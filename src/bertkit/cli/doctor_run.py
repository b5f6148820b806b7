"""What `bertkit doctor RUN` prints: whether it learned, what was found, and how to do it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from bertkit.cli.display import plain_console
from bertkit.cli.doctor_display import finding_text
from bertkit.runs.findings import Change

STYLES = {"good": "green", "open": "yellow", "bad": "red"}


def show_run(found: Mapping[str, Any]) -> None:
    """Print all of it.

    Args:
        found: what `api.doctor` says of a run.
    """
    console = plain_console()
    console.print(Text(found["verdict"], style=f"bold {STYLES[found['level']]}"), soft_wrap=True)
    console.print()
    above: list[Change] = []
    for finding in found["findings"]:
        console.print(finding_text(finding, above), soft_wrap=True)
        above += [Change(**change) for change in finding["changes"]]
        console.print()
    if not found["findings"]:
        console.print("No check found anything wrong with it.\n")
    for answer in found["answers"]:
        console.print(Text.assemble((answer["question"], "bold"), f" {answer['words']}"), soft_wrap=True)
    if "--set" in shlex.split(found["again"]):
        console.print(Text("\nAgain, with the changes:", style="bold"))
        console.print(f"  {found['again']}", soft_wrap=True)
    if found["page"]:
        console.print(f"\npage {found['page']}", soft_wrap=True)
    else:
        console.print(f"\nNo page was written: {found['run']} can't be written to.", soft_wrap=True)
