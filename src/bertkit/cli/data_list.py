"""The named data sets: which are here and where, how large, of what licence, and how to cite them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from bertkit.cli.arguments import add_shared
from bertkit.text.jsons import to_json

EXAMPLES = """examples:
  bertkit data list                what is in $BERTKIT_DATA and in the cache
  bertkit data list mrpc rte       with licence and citation
  bertkit data list --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="named tasks (default: all)")
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found."""
    from bertkit.tasks.here import look, overview

    found = [look(name) for name in arguments.tasks] or overview()
    if arguments.json:
        print(to_json(found))
        return 0
    from rich.table import Table

    from bertkit.show.display import named_rows, plain_console

    console = plain_console()
    if arguments.tasks:
        for row in found:
            console.print(row["task"], style="bold")
            console.show(named_rows(_told(row)))
        return 0
    heads = ("rows", "size", "licence", "where")
    table = Table("task", "kind", *heads)
    for row in found:
        told = _told({**row, "problem": row["problem"] and "cannot be read"})
        table.add_row(row["task"], row["kind"], *(told[head] for head in heads))
    console.show(table)
    for row in found:
        if row["problem"]:
            console.say(f"{row['task']}: {row['problem']}", "yellow")
    if any(row["missing"] for row in found):
        console.say("To get what is not here: bertkit data fetch TASK.")
    return 0


def _told(row: Mapping[str, Any]) -> dict[str, str]:
    """What is said of a task, in words."""
    rows = ", ".join(f"{split} {count:,}" for split, count in row["rows"].items())
    where = f"{row['folder'] or 'not here'}"
    missing = f" (without {', '.join(row['missing'])})" if row["folder"] and row["missing"] else ""
    return {
        "rows": row["problem"] or rows or "-",
        "size": f"{row['bytes'] / 1e6:,.1f} MB" if row["bytes"] else "-",
        "where": where + missing,
        "licence": row["licence"] or "your own",
        "cite": row["cite"] or "-",
    }
