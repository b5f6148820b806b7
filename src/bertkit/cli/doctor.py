"""Say why a run is, or is not, learning.

Of a run, done or going on: whether it learned, and what is wrong with it, from its folder; RUN/doctor.html
has it with pictures. Of a task (or shards) with a model or a recipe: what may go wrong, from its data and a
few steps on a copy of the model, before it begins; nothing is written. The exit code is 0 where nothing is
found, else 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli import finetune, pretrain
from bertkit.cli.arguments import Flag, add_recipe_arguments, add_shared
from bertkit.errors import UserError
from bertkit.health.preflight import SECONDS
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.pretrain import kind_of_recipe
from bertkit.text.jsons import to_json

FINDINGS = 3
"""The exit code where there are any."""

_SHARED = {flag for flag, *_ in finetune.FLAGS} & {flag for flag, *_ in pretrain.FLAGS}
FLAGS: tuple[Flag, ...] = (
    *finetune.FLAGS,
    *((*each[:4], f"pretraining: {each[4]}") for each in pretrain.FLAGS if each[0] not in _SHARED),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what", nargs="?", default="", help="a run folder, a named task, such as cola, or shards"
    )
    add_recipe_arguments(parser, FLAGS)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="for the steps on copies, at most (%(default)g)"
    )
    add_shared(parser, "--json")
    parser.set_defaults(resume=False)


def run(arguments: argparse.Namespace) -> int:
    """Look and print."""
    from bertkit.diagnose.doctor import is_about_a_run

    if is_about_a_run(arguments.what):
        return _look_at_run(arguments)
    recipe = read_recipe(arguments)
    from bertkit import api
    from bertkit.cli.doctor_display import show_preflight

    found = api.doctor(recipe=recipe, seconds=arguments.seconds)
    if arguments.json:
        print(to_json(found))
    else:
        show_preflight(found)
    return FINDINGS if found["findings"] else 0


def _look_at_run(arguments: argparse.Namespace) -> int:
    """Look at a run and print what it came to.

    Raises:
        UserError: an option of what is before a run.
    """
    from bertkit.runs.folder import is_run

    asked = [flag for flag, *_ in FLAGS if getattr(arguments, flag) is not None]
    asked += ["--recipe"] * bool(arguments.recipe) + ["--set"] * bool(arguments.set)
    # What is no run says so itself, when it is read.
    if asked and is_run(Path(arguments.what)):
        raise UserError(f"{arguments.what} is a run, which has its recipe; leave out {', '.join(asked)}.")
    from bertkit import api
    from bertkit.cli.doctor_display import show_run

    found = api.doctor(arguments.what)
    if arguments.json:
        print(to_json(found))
    else:
        show_run(found)
    return 0 if found["healthy"] else FINDINGS


def read_recipe(arguments: argparse.Namespace) -> Recipe | PretrainRecipe:
    """The recipe of what a command line asks about, of the kind that it is of.

    Raises:
        UserError: an option of the other kind, or a recipe that cannot be read.
    """
    from bertkit.data.shards import is_shards

    shards = bool(arguments.what) and is_shards(Path(arguments.what))
    kind = kind_of_recipe(arguments.recipe) if arguments.recipe else Recipe
    if shards and kind is Recipe and arguments.recipe is None:
        kind = PretrainRecipe
    if shards and kind is Recipe:
        raise UserError(f"{arguments.what} is a folder of shards, and {arguments.recipe} is for fine-tuning.")
    mine, others = (finetune.FLAGS, pretrain.FLAGS) if kind is Recipe else (pretrain.FLAGS, finetune.FLAGS)
    for flag, *_ in others:
        if flag not in {each[0] for each in mine} and getattr(arguments, flag) is not None:
            words = "fine-tuning" if kind is Recipe else "pretraining"
            raise UserError(f"{flag} is no option of {words}, which this is about.")
    if kind is Recipe:
        return finetune.read_recipe(argparse.Namespace(**vars(arguments), task=arguments.what))
    return pretrain.read_recipe(argparse.Namespace(**vars(arguments), shards=arguments.what))
