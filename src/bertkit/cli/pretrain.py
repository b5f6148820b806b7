"""Train an encoder on prepared text, and leave a run folder.

Many processes: torchrun --nproc-per-node N -m bertkit pretrain ...; the batches are the same with any number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli.arguments import RUN_FLAGS, Flag, add_run_arguments, read_recipe, train
from bertkit.recipe import PretrainRecipe

FLAGS: tuple[Flag, ...] = (
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
  bertkit prepare text/ --vocab vocab.txt -o shards             first: text into tokens
  bertkit pretrain shards --model mini --budget 1h -o runs/mini
  bertkit pretrain shards --model RUN --steps 2000 --lr 5e-5 -o runs/more   go on from a model
  bertkit pretrain shards -o runs/mini --resume                 go on after an interruption"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("shards", nargs="?", type=Path, help="a folder that `bertkit prepare` made")
    add_run_arguments(parser, FLAGS, PretrainRecipe)


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    return train("pretrain", arguments, read_recipe(PretrainRecipe, FLAGS, arguments, arguments.shards))
