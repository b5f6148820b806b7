"""Train an encoder on text, and leave a run folder.

Of files and folders of text the run makes a vocabulary and shards itself, once, and keeps them; a folder of
shards is what `bertkit prepare` has made of them.

Many processes: torchrun --nproc-per-node N -m bertkit pretrain ...; the batches are the same with any number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli import finetune
from bertkit.cli.arguments import RUN_FLAGS, Flag, add_run_arguments, read_recipe, train
from bertkit.recipe import PretrainRecipe
from bertkit.recipe.pretrain import recipe_for_text

FLAGS: tuple[Flag, ...] = (
    (
        "--documents",
        "corpus",
        "documents",
        str,
        "documents of plain text: files, blank (between blank lines), lines, or auto: see `bertkit prepare`",
    ),
    (
        "--column",
        "corpus",
        "column",
        str,
        "where the text of a table is: a name, or a number from 1 (default: text)",
    ),
    ("--heldout", "corpus", "heldout", float, "share of the documents to hold out (default: by the amount)"),
    ("--vocab-size", "vocabulary", "size", int, "tokens of the vocabulary (default: by the amount of text)"),
    *(flag for flag in finetune.FLAGS if flag[1] == "vocabulary" and flag[0] != "--vocab-size"),
    ("--model", "model", "start", str, "a preset (fresh weights), a model folder or a run to go on from"),
    ("--pairs", "objective", "pairs", str, "the second objective: nsp (as in the paper), sop or none"),
    ("--masking", "objective", "masking", str, "what is masked together: token, whole-word or span"),
    ("--rate", "objective", "rate", float, "share of the tokens that are masked"),
    ("--batch", "batch", "tokens", int, "tokens of a step, over all processes"),
    (
        "--at-once",
        "batch",
        "at_once",
        int,
        "tokens computed at once; gradients add up to the step (default: all)",
    ),
    ("--length", "batch", "length", int, "tokens of a sequence at most"),
    ("--replay", "training", "replay", str, "a run folder whose learning rates are followed (default: none)"),
    (
        "--patience",
        "training",
        "patience",
        int,
        "stop after so many evaluations without a better held-out loss; the last model is kept "
        "(default: never)",
    ),
    *RUN_FLAGS,
)

EXAMPLES = """examples:
  bertkit pretrain text/ --budget 1h -o runs/own                files or folders of text
  bertkit pretrain text/ --model RUN --budget 1h -o runs/more   go on from a trained model, on text
  bertkit prepare text/ --vocab vocab.txt -o shards             or, in steps: first text into tokens
  bertkit pretrain shards --recipe cram-1h -o runs/mini
  bertkit pretrain shards --model RUN --steps 2000 --lr 5e-5 -o runs/more   go on from a model
  bertkit pretrain shards -o runs/mini --resume                 go on after an interruption
  bertkit pretrain shards -o runs/mini --resume --budget 2h     train on, to two hours in all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "texts",
        nargs="*",
        metavar="TEXT",
        help="files, folders and patterns of text (as `bertkit prepare` reads), or one folder that it made",
    )
    add_run_arguments(parser, FLAGS, PretrainRecipe)


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    from bertkit.api import text_or_shards
    from bertkit.runs.folder import is_run

    what = text_or_shards(arguments.texts)
    goes_on = arguments.resume and (arguments.out is None or is_run(arguments.out))
    if isinstance(what, list) and arguments.recipe is None and not goes_on:
        arguments.recipe = Path(recipe_for_text(getattr(arguments, "--model") or ""))
    return train("pretrain", FLAGS, arguments, read_recipe(PretrainRecipe, FLAGS, arguments, what))
