"""Train a classifier on a named task or on your own labelled files, and leave a run folder.

Many processes: torchrun --nproc-per-node N -m bertkit finetune ...; the batches are the same with any number.
"""

from __future__ import annotations

import argparse

from bertkit.cli.arguments import RUN_FLAGS, Flag, add_run_arguments, read_recipe, train
from bertkit.recipe import Recipe

FLAGS: tuple[Flag, ...] = (
    ("--model", "model", "start", str, "a preset (fresh weights), a model folder, or a run"),
    (
        "--freeze",
        "model",
        "freeze",
        bool,
        "train the head alone, on features that are computed once (default: no)",
    ),
    ("--data", "task", "folder", str, "the folder of the named task's files (default: looked for)"),
    (
        "--train",
        "task",
        "train",
        str,
        "training rows: TSV, CSV, JSONL or Parquet, plain, .gz or .zst (default: the task's)",
    ),
    ("--dev", "task", "dev", str, "rows to score on (default: the task's)"),
    ("--text", "task", "text", str, "column of the text: a name, or a number from 1 (default: text)"),
    ("--pair", "task", "pair", str, "column of the second text, if there are pairs (default: none)"),
    ("--label", "task", "label", str, "column of the label (default: label)"),
    ("--header", "task", "header", str, "yes, no or auto: whether the first line names the columns"),
    ("--kind", "task", "kind", str, "kind of task: classify or regress (default: classify)"),
    (
        "--metric",
        "task",
        "metric",
        str,
        "the score that counts: accuracy, macro_f1, mcc, or f1 of two labels; of numbers pearson, spearman, "
        "mse or mae (default: the task's, or accuracy and pearson)",
    ),
    (
        "--positive",
        "task",
        "positive",
        str,
        "of two labels the one whose F1 is told (default: the rarer one of training; a named task's own)",
    ),
    (
        "--vocab",
        "vocabulary",
        "file",
        str,
        "vocabulary of fresh weights (default: learned from the training texts)",
    ),
    ("--vocab-size", "vocabulary", "size", int, "tokens of the vocabulary to learn"),
    (
        "--alphabet",
        "vocabulary",
        "alphabet",
        int,
        "single characters in it at most (default: by --alphabet-coverage)",
    ),
    (
        "--alphabet-coverage",
        "vocabulary",
        "alphabet_coverage",
        float,
        "without --alphabet: share of the text's characters that it keeps",
    ),
    ("--lower-case", "vocabulary", "lowercase", bool, "of fresh weights: read text in lower case, or cased"),
    ("--strip-accents", "vocabulary", "strip_accents", bool, "of fresh weights: read text without accents"),
    ("--split-cjk", "vocabulary", "split_cjk", bool, "of fresh weights: make each Chinese character a word"),
    ("--epochs", "training", "epochs", int, "passes over the training rows"),
    ("--batch", "batch", "sequences", int, "sequences of a batch"),
    ("--max-length", "batch", "max_length", int, "tokens of a sequence at most"),
    (
        "--window",
        "batch",
        "window",
        int,
        "read longer texts in windows of so many tokens (default: cut them)",
    ),
    ("--stride", "batch", "stride", int, "tokens from one window to the next (default: 3/4 of a window)"),
    (
        "--patience",
        "training",
        "patience",
        int,
        "stop after so many epochs without a better score (default: never)",
    ),
    *RUN_FLAGS,
)

EXAMPLES = """examples:
  bertkit finetune --train train.csv --dev dev.csv --text message --label category --model M -o runs/tickets
  bertkit finetune cola --model mini -o runs/cola               fresh weights, a named task
  bertkit finetune cola --model RUN --epochs 5 --seeds 3 -o runs/three
  bertkit finetune cola -o runs/cola --resume                   go on after an interruption"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("task", nargs="?", default="", help="a named task, such as cola")
    add_run_arguments(parser, FLAGS, Recipe)


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    return train("finetune", arguments, read_recipe(Recipe, FLAGS, arguments, arguments.task))
