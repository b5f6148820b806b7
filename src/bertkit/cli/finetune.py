"""Train a classifier on a named task or on your own labelled files, and leave a run folder.

Many processes: torchrun --nproc-per-node N -m bertkit finetune ...; the batches are the same with any number.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bertkit.cli.arguments import RUN_FLAGS, Flag, add_run_arguments, read_recipe, train
from bertkit.cli.parser import group
from bertkit.errors import UserError
from bertkit.recipe import Recipe, names_file
from bertkit.text.jsons import to_json

FLAGS: tuple[Flag, ...] = (
    (
        "--model",
        "model",
        "start",
        str,
        "a model as the hub calls it (all-MiniLM-L6-v2), a model folder, a run, or a preset (fresh weights) "
        "(default: for own rows a pretrained one on this machine, for a named task mini)",
    ),
    (
        "--freeze",
        "model",
        "freeze",
        bool,
        "train the head alone, on features that are computed once (default: no)",
    ),
    (
        "--task",
        "task",
        "name",
        str,
        "a named task, or a TOML file that describes your own (default: what the command line names)",
    ),
    ("--data", "task", "folder", str, "the folder of the named task's files (default: looked for)"),
    (
        "--train",
        "task",
        "train",
        str,
        "training rows: CSV, TSV, JSON, Excel, Parquet or Arrow, compressed or not (default: the task's)",
    ),
    ("--dev", "task", "dev", str, "rows to score on: a file, or a share of own rows (default: 20%%)"),
    ("--test", "task", "test", str, "rows that choose nothing, for a last score: likewise (default: none)"),
    ("--text", "task", "text", str, "column of the text: a name, or a number from 1 (default: guessed)"),
    ("--pair", "task", "pair", str, "column of the second text, if there are pairs (default: guessed)"),
    (
        "--choices",
        "task",
        "choices",
        str,
        "of several texts of which one is right: their columns, between commas, or one that holds lists "
        "(default: guessed)",
    ),
    (
        "--label",
        "task",
        "label",
        str,
        "column of the label, or of several labels; or the columns of 0 and 1 for one label each, as "
        "anger,joy (default: guessed)",
    ),
    (
        "--label-separator",
        "task",
        "label_separator",
        str,
        "what stands between the labels of a row that may have several (default: comma)",
    ),
    (
        "--label-as",
        "task",
        "label_as",
        str,
        "how a label tells the right choice: index (from 0), number (from 1), letter, name (what the file "
        "calls it) or text (default: told by the rows)",
    ),
    ("--header", "task", "header", str, "yes, no or auto: whether the first line names the columns"),
    (
        "--separator",
        "task",
        "separator",
        str,
        "what parts the columns of CSV, TSV and text: comma, semicolon, tab, bar or any one character "
        "(default: found)",
    ),
    (
        "--encoding",
        "task",
        "encoding",
        str,
        "of text files, such as cp1252 or gb18030 (default: UTF-8, or what a byte-order mark says)",
    ),
    (
        "--skip-bad",
        "task",
        "skip_bad",
        bool,
        "leave out rows that cannot be used (default: no, they are counted and nothing is trained)",
    ),
    (
        "--context",
        "task",
        "context",
        int,
        "of words with tags: sentences of the document on either side that one is read with (default: none)",
    ),
    (
        "--kind",
        "task",
        "kind",
        str,
        "kind of task: classify, multilabel, regress, tag, answer or choose (default: guessed)",
    ),
    (
        "--metric",
        "task",
        "metric",
        str,
        "the score that counts: accuracy, macro_f1, mcc, or f1 of two labels; of rows with several labels "
        "micro_f1, macro_f1, average_precision or subset_accuracy; of numbers pearson, spearman, mse or mae "
        "(default: the task's, or accuracy, micro_f1 and pearson)",
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
    (
        "--epochs",
        "training",
        "epochs",
        int,
        "passes over the training rows (default: 3, and at least 150 updates)",
    ),
    ("--batch", "batch", "sequences", int, "sequences of a batch"),
    (
        "--class-weights",
        "training",
        "class_weights",
        str,
        "weights of the classes in the loss: none, balanced (small classes count as much as large ones) or "
        "sqrt (halfway)",
    ),
    ("--sampling", "batch", "sampling", str, "rows of an epoch: natural, or balanced: as many of each class"),
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
  bertkit finetune tickets.csv                                  own rows, a pretrained model: runs/tickets
  bertkit finetune train.csv dev.csv --text message --label category --model all-MiniLM-L6-v2
  bertkit finetune cola --model mini -o runs/cola               fresh weights, a named task
  bertkit finetune mine.toml                                    a task that a file describes: docs/tasks.md
  bertkit finetune cola --model RUN --epochs 5 --seeds 3 -o runs/three
  bertkit finetune tickets.csv --folds 5                        cross-validation
  bertkit finetune cola -o runs/cola --resume                   go on after an interruption
  bertkit finetune cola -o runs/cola --resume --epochs 6        train on, to 6 epochs in all"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what",
        nargs="*",
        metavar="WHAT",
        help="a named task, such as cola, your own rows, train.csv [dev.csv], or your own task, mine.toml",
    )
    add_run_arguments(parser, FLAGS, Recipe)
    group(parser, "data").add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="cross-validation: score every row by one of N models that did not learn from it, in RUN/fold-1 "
        "and so on (default: no)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    what = rows_or_task(arguments)
    recipe = read_recipe(Recipe, FLAGS, arguments, what)
    return (
        _cross_validate(arguments, recipe) if arguments.folds else train("finetune", FLAGS, arguments, recipe)
    )


def _cross_validate(arguments: argparse.Namespace, recipe: Recipe) -> int:
    """One run after the other, and what they say together."""
    from bertkit.runs.folder import has_begun, is_finished, usual_out
    from bertkit.show.display import plain_console
    from bertkit.show.run_display import folds_table, score_table
    from bertkit.studies.folds import FOLDS, cross_validate
    from bertkit.train.processes import launcher

    if launcher():
        raise UserError("torchrun trains one run in many processes; leave --folds out.")
    resume, folds = arguments.resume, arguments.folds
    out = arguments.out or usual_out(recipe, resume=resume, overwrite=arguments.overwrite)
    console, codes = plain_console(to_stderr=arguments.json), [0]

    def one(each: Recipe, place: Path, number: int) -> bool:
        if resume and is_finished(place):
            return True
        console.print(f"fold {number} of {folds}: {place}", style="bold")
        own = argparse.Namespace(**{**vars(arguments), "out": place, "resume": resume and has_begun(place)})
        codes.append(train("finetune", FLAGS, own, each, result_too=False))
        return codes[-1] == 0

    result = cross_validate(recipe, out, folds, one)
    if result is None:
        return codes[-1]
    if arguments.json:
        print(to_json(result))
        return 0
    console.show(folds_table(result))
    console.show(score_table(result))
    console.say(f"Each row is scored by the model of its fold. All figures: {out / FOLDS}")
    return 0


def rows_or_task(arguments: argparse.Namespace) -> str:
    """The named task or the training file; a second file stands for `--dev`.

    Raises:
        UserError: there are more, or a second word beside a task.
    """
    what: str
    what, *others = arguments.what or [""]
    if len(others) > 1 or (others and not names_file(what)):
        raise UserError(
            f"{others[-1]} is too much: give the name of a task, or train.csv and perhaps dev.csv."
        )
    if what and getattr(arguments, "--task") is not None:
        raise UserError(f"{what} and --task are two things to learn from; give one.")
    if others and getattr(arguments, "--dev") is not None:
        raise UserError(f"{others[0]} and --dev are two files to score on; give one.")
    if others:
        setattr(arguments, "--dev", others[0])
    return what
