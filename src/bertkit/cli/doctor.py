"""Say why a run is, or is not, learning.

Of a run, done or going on: whether it learned, and what is wrong with it, from its folder; RUN/doctor.html
has it with pictures. Of a task (or shards) with a model or a recipe: what may go wrong, from its data and a
few steps on a copy of the model, before it begins; nothing is written. The exit code is 0 where nothing is
found, else 3.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from bertkit.cli import finetune, pretrain
from bertkit.cli.arguments import Flag, add_recipe_arguments, add_shared, options_by_key, read_recipe
from bertkit.cli.parser import group
from bertkit.errors import UserError
from bertkit.health.preflight import SECONDS
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.text.jsons import to_json

FINDINGS = 3
"""The exit code where there are any."""

_SHARED = {flag for flag, *_ in finetune.FLAGS} & {flag for flag, *_ in pretrain.FLAGS}
FLAGS: tuple[Flag, ...] = (
    *finetune.FLAGS,
    *((*each[:4], f"pretraining: {each[4]}") for each in pretrain.FLAGS if each[0] not in _SHARED),
)

EXAMPLES = """examples:
  bertkit doctor RUN                                    a run that is done, stopped or going on
  bertkit doctor tickets.csv --model M                  rows and a model, before a run
  bertkit doctor cola --recipe recipe.toml --lr 5e-4    a recipe, before a run"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "what",
        nargs="*",
        metavar="WHAT",
        help="a run folder, a named task, such as cola, shards, or your own rows: train.csv [dev.csv]",
    )
    add_recipe_arguments(parser, FLAGS, Recipe, PretrainRecipe)
    limit = "seconds for the steps on copies, at most (default: %(default)g)"
    group(parser, "training").add_argument("--seconds", type=float, default=SECONDS, help=limit)
    add_shared(parser, "--json")
    parser.set_defaults(resume=False, out=None)


def run(arguments: argparse.Namespace) -> int:
    """Look at a run, or at what would be one, and print what it came to."""
    from bertkit import api
    from bertkit.cli.doctor_display import show_preflight, show_run
    from bertkit.diagnose.doctor import is_about_a_run
    from bertkit.diagnose.remedy import examine_recipe
    from bertkit.runs.folder import is_run

    arguments.what = finetune.rows_or_task(arguments)
    about_a_run = is_about_a_run(arguments.what)
    if about_a_run:
        asked = [flag for flag, *_ in FLAGS if getattr(arguments, flag) is not None]
        asked += ["--recipe"] * bool(arguments.recipe) + ["--set"] * bool(arguments.set)
        # What is no run says so itself, when it is read.
        if asked and is_run(Path(arguments.what)):
            words = f"leave out {', '.join(asked)}"
            raise UserError(f"{arguments.what} is a run, which has its recipe; {words}.")
        found = api.doctor(arguments.what)
    else:
        recipe = asked_recipe(arguments)
        found = examine_recipe(recipe, seconds=arguments.seconds, file=arguments.recipe)
    if arguments.json:
        print(to_json(found))
    else:
        phase = shlex.split(found["again"])[1:2]
        flags = pretrain.FLAGS if phase == ["pretrain"] else finetune.FLAGS
        (show_run if about_a_run else show_preflight)(found, options_by_key(flags))
    healthy = found["healthy"] if about_a_run else not found["findings"]
    return 0 if healthy else FINDINGS


def asked_recipe(arguments: argparse.Namespace) -> Recipe | PretrainRecipe:
    """The recipe of what a command line asks about, of the kind that it is of.

    Raises:
        UserError: an option of the other kind, or a recipe that cannot be read.
    """
    from bertkit.api import kind_asked

    finetuning = kind_asked(arguments.what, arguments.recipe) is Recipe
    others = pretrain.FLAGS if finetuning else finetune.FLAGS
    for flag, *_ in others:
        if flag not in _SHARED and getattr(arguments, flag) is not None:
            words = "fine-tuning" if finetuning else "pretraining"
            raise UserError(f"{flag} is no option of {words}, which this is about.")
    if finetuning:
        return read_recipe(Recipe, finetune.FLAGS, arguments, arguments.what)
    shards = Path(arguments.what) if arguments.what else None
    return read_recipe(PretrainRecipe, pretrain.FLAGS, arguments, shards)
