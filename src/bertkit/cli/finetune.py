"""Train a classifier on a named task or on your own labelled files, and leave a run folder."""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

from bertkit.errors import UserError
from bertkit.recipe import Recipe

# Flags that stand for one recipe key each: (flag, section, key, type, help).
FLAGS: tuple[tuple[str, str, str, type, str], ...] = (
    ("--model", "model", "start", str, "a preset (fresh weights), a model folder, or a run"),
    ("--data", "task", "folder", str, "the folder of the named task's files"),
    ("--train", "task", "train", str, "your training file: TSV, CSV, JSONL or Parquet, plain, .gz or .zst"),
    ("--dev", "task", "dev", str, "your file to score on"),
    ("--text", "task", "text", str, "column of the text: a name, or a number from 1"),
    ("--pair", "task", "pair", str, "column of the second text, if there are pairs"),
    ("--label", "task", "label", str, "column of the label"),
    ("--header", "task", "header", str, "yes, no or auto: whether the first line names the columns"),
    ("--kind", "task", "kind", str, "kind of task"),
    ("--metric", "task", "metric", str, "the score that counts: mcc, accuracy or f1"),
    (
        "--vocab",
        "vocabulary",
        "file",
        str,
        "vocabulary of fresh weights; learnt from the training texts without",
    ),
    ("--vocab-size", "vocabulary", "size", int, "pieces of the vocabulary to learn"),
    ("--epochs", "training", "epochs", int, "passes over the training rows"),
    ("--steps", "training", "steps", int, "stop after so many updates"),
    ("--batch", "batch", "sequences", int, "sequences of a batch"),
    ("--max-length", "batch", "max_length", int, "pieces of a sequence at most"),
    ("--lr", "optimiser", "lr", float, "highest learning rate"),
    ("--patience", "training", "patience", int, "stop after so many epochs without a better score"),
    ("--seed", "training", "seed", int, "the first seed"),
    ("--seeds", "training", "seeds", int, "how many seeds to train"),
    ("--precision", "training", "precision", str, "auto, fp32 or bf16"),
    ("--save-every", "training", "save_every", float, "minutes between checkpoints"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("task", nargs="?", default="", help="a named task, such as cola")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the run folder to make")
    parser.add_argument("--recipe", type=Path, help="a TOML file with the recipe; other options change it")
    for flag, _, key, kind, text in FLAGS:
        parser.add_argument(flag, type=kind, dest=flag, metavar=key.upper(), help=text)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any recipe key, as optimiser.clip=0.5",
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    parser.add_argument(
        "--json", action="store_true", help="print the result object alone on standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    recipe = read_recipe(arguments)
    from bertkit import api
    from bertkit.cli.display import Display

    display = Display(to_stderr=arguments.json, out=arguments.out)
    with display:
        result = api.finetune(
            out=arguments.out,
            recipe=recipe,
            resume=arguments.resume,
            overwrite=arguments.overwrite,
            listener=display,
        )
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def read_recipe(arguments: argparse.Namespace) -> Recipe:
    """The recipe file (or that of the run to resume, or the defaults) with the command's changes."""
    from bertkit.train.runfolder import RECIPE

    recipe = Recipe()
    if arguments.recipe is not None:
        recipe = Recipe.from_toml(arguments.recipe)
    elif arguments.resume and (arguments.out / RECIPE).is_file():
        recipe = Recipe.from_toml(arguments.out / RECIPE)
    changes: dict[str, dict[str, Any]] = {}
    if arguments.task:
        changes["task"] = {"name": arguments.task}
    for flag, section, key, _, _ in FLAGS:
        if (value := getattr(arguments, flag)) is not None:
            changes.setdefault(section, {})[key] = value
    for text in arguments.set:
        section, key, value = _assignment(text)
        if section == "model" and key.startswith("options."):
            options = changes.setdefault("model", {}).setdefault("options", dict(recipe.model.options))
            options[key.removeprefix("options.")] = value
        else:
            changes.setdefault(section, {})[key] = value
    return recipe.with_changes(changes)


def _assignment(text: str) -> tuple[str, str, Any]:
    """`section.key=value` in its parts; the value as TOML reads it, or as plain text where it does not."""
    name, equals, value = text.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot):
        raise UserError(f"--set takes SECTION.KEY=VALUE, not {text!r}.")
    try:
        return section, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return section, key, value.strip()
