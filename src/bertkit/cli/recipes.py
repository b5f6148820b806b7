"""Options that stand for keys of a recipe: shared by the commands that train."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bertkit.recipe import BaseRecipe
from bertkit.recipe.base import Changes, add_settings

Flag = tuple[str, str, str, Callable[[str], Any], str]
"""A flag and what it stands for: (flag, section, key, type, help). One of type bool has a `--no-` too."""

RUN_FLAGS: tuple[Flag, ...] = (
    ("--precision", "training", "precision", str, "auto, fp32 or bf16"),
    (
        "--on-collapse",
        "training",
        "on_collapse",
        str,
        "what to do with a run that has collapsed: continue, stop or restart",
    ),
    ("--save-every", "training", "save_every", float, "minutes between checkpoints"),
)
"""Of both kinds of runs."""

OPTIMISER_FLAGS: tuple[Flag, ...] = (
    ("--lr", "optimiser", "lr", float, "highest learning rate"),
    ("--optimiser", "optimiser", "name", str, "adamw, adam, lamb or muon"),
)

AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)


def add_run_arguments(parser: argparse.ArgumentParser, flags: Sequence[Flag]) -> None:
    """Declare what every training command has, and `flags`."""
    parser.add_argument("-o", "--out", type=Path, required=True, help="the run folder to make")
    add_recipe_arguments(parser, flags)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    parser.add_argument(
        "--json", action="store_true", help="print the result object alone on standard output"
    )


def add_recipe_arguments(parser: argparse.ArgumentParser, flags: Sequence[Flag]) -> None:
    """Declare what a recipe is read from: a file, `flags` and single keys."""
    parser.add_argument("--recipe", type=Path, help="a TOML file with the recipe; other options change it")
    for flag, _, key, kind, text in flags:
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, dest=flag, help=text)
        else:
            parser.add_argument(flag, type=kind, dest=flag, metavar=key.upper(), help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any recipe key, as optimiser.clip=0.5",
    )


def add_window_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how the commands that ask a trained model read long texts."""
    add = parser.add_argument
    add(
        "--window",
        type=int,
        metavar="PIECES",
        help="read longer texts in windows of so many; 0: cut them",
    )
    add(
        "--stride",
        type=int,
        metavar="PIECES",
        help="from one window to the next (default: as trained)",
    )


def recipe_to_change(kind: type[AnyRecipe], arguments: argparse.Namespace) -> AnyRecipe:
    """The recipe file, or the recipe of the run to resume, or the defaults."""
    from bertkit.runs.folder import RECIPE

    path = arguments.recipe
    if path is None and arguments.resume and (arguments.out / RECIPE).is_file():
        path = arguments.out / RECIPE
    return kind.of(path)


def changes_of(arguments: argparse.Namespace, flags: Sequence[Flag], options: Mapping[str, Any]) -> Changes:
    """What a command line changes in a recipe whose model has these `options`, as `with_changes` takes it."""
    changes: Changes = {}
    for flag, section, key, _, _ in flags:
        if (value := getattr(arguments, flag)) is not None:
            changes.setdefault(section, {})[key] = value
    return add_settings(changes, arguments.set, options)
