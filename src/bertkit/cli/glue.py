"""Fine-tune a model on every task of GLUE that is on this machine, and lay it beside published figures.

Each task has its run folder in RUN; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli.arguments import Flag, add_recipe_arguments, add_shared, read_recipe
from bertkit.cli.finetune import FLAGS as OF_FINETUNE
from bertkit.errors import UserError
from bertkit.recipe import Recipe
from bertkit.text.jsons import to_json

FLAGS: tuple[Flag, ...] = tuple(flag for flag in OF_FINETUNE if flag[1] != "task")

EXAMPLES = """examples:
  bertkit glue --model all-MiniLM-L6-v2 -o runs/glue
  bertkit glue --model RUN --tasks rte mrpc stsb --seeds 3 -o runs/three
  bertkit glue --model RUN -o runs/glue --no-runs        tell of what is done so far"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-o", "--out", type=Path, required=True, help="the folder of the runs, made or gone on with")
    add("--tasks", nargs="+", default=[], metavar="TASK", help="of GLUE's (default: all that are here)")
    add("--jobs", type=int, default=1, help="runs at a time; each gets its share of the cores")
    add("--again", action="store_true", help="try runs again that failed")
    add("--no-runs", action="store_true", help="run nothing; tell of what is done so far")
    add_recipe_arguments(parser, FLAGS, Recipe)
    add_shared(parser, "--json")
    parser.set_defaults(resume=False)


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    recipe = read_recipe(Recipe, FLAGS, arguments, "")
    if not recipe.model.start:
        raise UserError("Say which model is measured: --model.")
    from rich.table import Table

    from bertkit.show.display import plain_console
    from bertkit.show.run_display import StudyDisplay
    from bertkit.studies.glue import notes, run_glue, table

    with StudyDisplay(to_stderr=arguments.json) as display:
        result = run_glue(
            recipe,
            arguments.out,
            tasks=arguments.tasks,
            jobs=0 if arguments.no_runs else arguments.jobs,
            again=arguments.again,
            listener=display,
        )
    if arguments.json:
        print(to_json(result))
    else:
        console = plain_console()
        heads, lines = table(result)
        shown = Table(box=None, pad_edge=False)
        for place, head in enumerate(heads):
            shown.add_column(head, justify="right" if place else "left", overflow="fold")
        for line in lines:
            shown.add_row(*line)
        console.print()
        console.show(shown)
        for sentence in notes(result):
            console.say(sentence)
    return 1 if any(task["state"] == "failed" for task in result["tasks"]) else 0
