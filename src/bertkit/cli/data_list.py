"""The named data sets: which are here and where."""

from __future__ import annotations

import argparse

from bertkit.cli.arguments import add_shared
from bertkit.text.jsons import to_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Print what is found."""
    from bertkit.tasks.registry import here

    found = here()
    if arguments.json:
        print(to_json(found))
        return 0
    from rich.table import Table

    from bertkit.show.display import plain_console

    table = Table("task", "kind", "where")
    for row in found:
        table.add_row(row["task"], row["kind"], row["where"] or "not here")
    plain_console().show(table)
    return 0
