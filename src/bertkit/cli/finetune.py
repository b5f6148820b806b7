"""Train a classifier on a named task or on your own labelled files, and leave a run folder.

Many processes: torchrun --nproc-per-node N -m bertkit finetune ...; the batches are the same with any number.
"""

from __future__ import annotations

import argparse

from bertkit.cli.arguments import RUN_FLAGS, Flag, add_run_arguments, read_recipe, train
from bertkit.recipe import Recipe

FLAGS: tuple[Flag, ...] = (
    ("--model", "model", "start", str, "a preset (fresh weights), a model folder, or a run"),
    ("--freeze", "model", "freeze", bool, "train the head alone, on features that are computed once"),
    ("--data", "task", "folder", str, "the folder of the named task's files"),
    ("--train", "task", "train", str, "your training file: TSV, CSV, JSONL or Parquet, plain, .gz or .zst"),
    ("--dev", "task", "dev", str, "your file to score on"),
    ("--text", "task", "text", str, "column of the text: a name, or a number from 1"),
    ("--pair", "task", "pair", str, "column of the second text, if there are pairs"),
    ("--label", "task", "label", str, "column of the label"),
    ("--header", "task", "header", str, "yes, no or auto: whether the first line names the columns"),
    ("--kind", "task", "kind", str, "kind of task: classify or regress"),
    (
        "--metric",
        "task",
        "metric",
        str,
        "the score that counts: mcc, accuracy or f1; of numbers pearson, spearman, mse or mae",
    ),
    (
        "--vocab",
        "vocabulary",
        "file",
        str,
        "vocabulary of fresh weights; learnt from the training texts without",
    ),
    ("--vocab-size", "vocabulary", "size", int, "tokens of the vocabulary to learn"),
    ("--alphabet", "vocabulary", "alphabet", int, "single characters in it at most"),
    (
        "--alphabet-coverage",
        "vocabulary",
        "alphabet_coverage",
        float,
        "without --alphabet: share of the text's characters that it keeps (0.9995)",
    ),
    ("--lower-case", "vocabulary", "lowercase", bool, "of fresh weights: read text in lower case, or cased"),
    ("--strip-accents", "vocabulary", "strip_accents", bool, "of fresh weights: read text without accents"),
    ("--split-cjk", "vocabulary", "split_cjk", bool, "of fresh weights: make each Chinese character a word"),
    ("--epochs", "training", "epochs", int, "passes over the training rows"),
    ("--batch", "batch", "sequences", int, "sequences of a batch"),
    ("--max-length", "batch", "max_length", int, "tokens of a sequence at most"),
    ("--window", "batch", "window", int, "read longer texts in windows of so many tokens, uncut"),
    ("--stride", "batch", "stride", int, "tokens from one window to the next (default: 3/4 of a window)"),
    ("--patience", "training", "patience", int, "stop after so many epochs without a better score"),
    *RUN_FLAGS,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("task", nargs="?", default="", help="a named task, such as cola")
    add_run_arguments(parser, FLAGS)


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    return train("finetune", arguments, read_recipe(Recipe, FLAGS, arguments, arguments.task))
