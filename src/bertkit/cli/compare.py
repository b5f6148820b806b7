"""Lay runs side by side: scores with intervals, differences from the first, what differs in the recipes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bertkit.cli.arguments import add_shared
from bertkit.text.jsons import to_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="run folders; the others are compared with the first",
    )
    add("-o", "--out", type=Path, help="write a page with pictures, such as compare.html")
    add_shared(parser, "--overwrite", "--json")


def run(arguments: argparse.Namespace) -> int:
    """Compare them and print what was found."""
    from bertkit import api

    found = api.compare(arguments.runs, out=arguments.out, overwrite=arguments.overwrite)
    if arguments.json:
        print(to_json(found))
    else:
        _show(found, arguments.out)
    return 0


def _show(found: dict[str, Any], out: Path | None) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from bertkit.diagnose.compare_page import columns, sentences, value_text
    from bertkit.show.display import plain_console

    console = plain_console()
    heads, lines = columns(found)
    look: dict[str, Any] = {"title_justify": "left", "box": SIMPLE_HEAD, "padding": (0, 1, 0, 0)}
    table = Table(title=found["task"] or "pretraining", **look)
    for number, head in enumerate(heads):
        # Names give way, not figures; of a head the last word may stand below.
        words = head if "[" in head else "\n".join(head.rsplit(" ", 1))
        table.add_column(words, justify="right" if number else "left", overflow="fold", no_wrap=number > 0)
    for line in lines:
        table.add_row(*line)
    console.show(table)
    for sentence in sentences(found):
        console.say(sentence)
    if not found["recipe"]:
        console.print("\nThe recipes are the same.")
    else:
        names = [Column(row["name"], overflow="fold") for row in found["rows"]]
        recipe = Table("key", *names, title="what differs in the recipes", **look)
        for name, values in found["recipe"].items():
            recipe.add_row(name, *map(value_text, values))
        console.print()
        console.show(recipe)
    if out is not None:
        console.print(f"page {out}", soft_wrap=True)
