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
    from bertkit.tasks.here import look
    from bertkit.tasks.own import all_names

    found = [look(name) for name in arguments.tasks or all_names()]
    if arguments.json:
        print(to_json(found))
        return 0
    from rich.table import Table

    from bertkit.show.display import named_rows, plain_console

    console = plain_console()
    if arguments.tasks:
        for row in found:
            console.print(row["task"])
            console.show(named_rows(_told(row)))
        return 0
    table = Table("task", "kind", "rows", "size", "licence", "where")
    for row in found:
        told = _told(row)
        table.add_row(
            row["task"], row["kind"], *(told[name] for name in ("rows", "size", "licence", "where"))
        )
    console.show(table)
    if any(row["missing"] for row in found):
        console.say("To get what is not here: bertkit data fetch NAME.")
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
