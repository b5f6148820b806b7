"""Train an encoder on prepared text, and leave a run folder.

Many processes: torchrun --nproc-per-node N -m bertkit pretrain ...; the batches are the same with any number.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import nullcontext
from pathlib import Path

from bertkit.cli.arguments import (
    OPTIMISER_FLAGS,
    RUN_FLAGS,
    Flag,
    add_run_arguments,
    changes_of,
    recipe_to_change,
)
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.text.jsons import to_json


def minutes(text: str) -> float:
    """`30m`, `1h`, `1h30m`, `90s` or a plain number of minutes.

    Raises:
        ValueError: it is none of these.
    """
    found = re.fullmatch(r"(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?", text.strip())
    if found is None or not any(found.groups()):
        return float(text)
    hours, whole, seconds = (float(part or 0) for part in found.groups())
    return 60 * hours + whole + seconds / 60


FLAGS: tuple[Flag, ...] = (
    ("--model", "model", "start", str, "a preset (fresh weights), a model folder or a run to go on from"),
    ("--pairs", "objective", "pairs", str, "the second objective: nsp (as in the paper), sop or none"),
    ("--masking", "objective", "masking", str, "what is masked together: piece, whole-word or span"),
    ("--rate", "objective", "rate", float, "share of the pieces that are masked"),
    ("--batch", "batch", "pieces", int, "pieces of a step, over all processes"),
    ("--at-once", "batch", "at_once", int, "pieces computed at once; gradients add up to the step"),
    ("--length", "batch", "length", int, "pieces of a sequence at most"),
    *OPTIMISER_FLAGS,
    ("--steps", "training", "steps", int, "number of updates"),
    ("--budget", "training", "budget", minutes, "wall time instead of steps: 30m, 1h, 8h"),
    ("--replay", "training", "replay", str, "a run folder whose log of learning rates is followed"),
    ("--seed", "training", "seed", int, "of weights, order and masks"),
    *RUN_FLAGS,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shards", nargs="?", default="", help="a folder that `bertkit prepare` made")
    add_run_arguments(parser, FLAGS)


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    recipe = read_recipe(arguments)
    from bertkit.train.loop import deferred_signals

    # Held back until all is said: torchrun ends the other processes as soon as one of them has ended.
    with deferred_signals():
        return _run(arguments, recipe)


def _run(arguments: argparse.Namespace, recipe: PretrainRecipe) -> int:
    from bertkit import api
    from bertkit.cli.pretrain_display import PretrainDisplay
    from bertkit.train.listener import SilentPretrain
    from bertkit.train.pretrainfolder import Stopped
    from bertkit.train.processes import NotStarted, ProcessLost, is_first

    display = PretrainDisplay(to_stderr=arguments.json, out=arguments.out)
    try:
        # The others have nothing to show, and an empty bar would wipe the first one's.
        with display if is_first() else nullcontext():
            result = api.pretrain(
                out=arguments.out,
                recipe=recipe,
                resume=arguments.resume,
                overwrite=arguments.overwrite,
                listener=display if is_first() else SilentPretrain(),
            )
    except (ProcessLost, Stopped, UserError) as error:
        # One speaks for all, but where it may be the first that is gone.
        speaks = is_first() or (isinstance(error, ProcessLost) and not isinstance(error, NotStarted))
        if speaks:
            print(f"bertkit: {error}", file=sys.stderr, flush=True)
        return 2 if isinstance(error, UserError) else 1
    if arguments.json and is_first():
        print(to_json(result))
    return 0


def read_recipe(arguments: argparse.Namespace) -> PretrainRecipe:
    """The recipe file (or that of the run to resume, or the defaults) with the command's changes."""
    recipe = recipe_to_change(PretrainRecipe, arguments)
    changes = changes_of(arguments, FLAGS, recipe.model.options)
    if arguments.shards:
        changes.setdefault("corpus", {})["shards"] = str(Path(arguments.shards))
    # The last word on how long wins over what a recipe file says.
    how_long = {"steps", "budget", "replay"}
    if said := how_long & changes.get("training", {}).keys():
        zero = {"steps": 0, "budget": 0.0, "replay": ""}
        changes["training"] = {**{key: zero[key] for key in how_long - said}, **changes["training"]}
    return recipe.with_changes(changes)
