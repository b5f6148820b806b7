"""Look at labelled rows before anything is trained on them.

Says how many rows and labels there are, how long they are in tokens, and what is wrong with them: copies
and near copies, leaks from train into dev, the same text with other labels, odd and damaged texts, words that
give a label away. Rows that cannot be used are counted. The exit code is 0 where nothing is found, else 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli.arguments import Flag, add_flags, add_shared, check_out, options_by_key
from bertkit.cli.doctor import FINDINGS
from bertkit.cli.finetune import FLAGS, rows_or_task
from bertkit.cli.parser import group
from bertkit.recipe import Recipe, TaskRecipe, from_table, names_file
from bertkit.text.jsons import to_json

EXAMPLES = """examples:
  bertkit data check tickets.csv                         own rows: copies, odd texts, telling words
  bertkit data check train.csv dev.csv -o audit.html     leaks, too, and a page
  bertkit data check cola --json                         a named task, for programs
  bertkit data check texts.csv --text body --no-label    rows without labels"""
# All rows are looked at, bad ones too, and none is scored.
_OTHERS = ("--skip-bad", "--metric", "--positive")
ROW_FLAGS: tuple[Flag, ...] = tuple(
    (*flag[:-1], flag[-1].partition(" (default")[0]) if flag[0] == "--dev" else flag
    for flag in FLAGS
    if flag[1] == "task" and flag[0] not in _OTHERS
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="your own rows: train.csv [dev.csv], or a named task, such as cola",
    )
    add_flags(parser, ROW_FLAGS, Recipe)
    add = group(parser, "data").add_argument
    add("--no-label", action="store_true", help="the rows have no labels, or none that matter")
    add = group(parser, "model").add_argument
    add("--model", default="", help="whose tokens are counted (default: a pretrained one on this machine)")
    add("--vocab", default="", metavar="FILE", help="a vocabulary file to count tokens by")
    add("--max-length", type=int, default=128, metavar="TOKENS", help="tokens of a sequence at most")
    add = group(parser, "output").add_argument
    add("-o", "--out", type=Path, metavar="PAGE", help="write a page, such as audit.html")
    add_shared(parser, "--overwrite", "--json")


def run(arguments: argparse.Namespace) -> int:
    """Look at the rows, and print what was found."""
    what = rows_or_task(arguments)
    given = {key: getattr(arguments, flag) for flag, _, key, _, _ in ROW_FLAGS}
    asked = {key: value for key, value in given.items() if value is not None}
    recipe = from_table(TaskRecipe, {"train" if names_file(what) else "name": what, **asked}, "task.")
    files = [Path(path) for path in (recipe.train, recipe.dev, recipe.test) if path]
    check_out(arguments.out, arguments.overwrite, files)
    from bertkit.diagnose.audit import audit_rows
    from bertkit.diagnose.audit_page import write_audit_page

    found = audit_rows(
        recipe,
        model=arguments.model,
        vocabulary=arguments.vocab,
        max_length=arguments.max_length,
        labels=not arguments.no_label,
    )
    if arguments.out is not None:
        write_audit_page(arguments.out, found)
    if arguments.json:
        print(to_json(found.to_json()))
    else:
        from bertkit.cli.doctor_display import show_audit

        show_audit(found.to_json(), options_by_key(FLAGS), arguments.out)
    return FINDINGS if found.findings else 0
