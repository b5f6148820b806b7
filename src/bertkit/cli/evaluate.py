"""Score a trained model on labelled text, with a 95 % interval, beside the baselines."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from bertkit.cli.arguments import Flag, add_flags, add_shared
from bertkit.cli.finetune import FLAGS
from bertkit.errors import UserError
from bertkit.recipe import OF_FILES, Recipe, TaskRecipe, from_table
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """examples:
  bertkit evaluate RUN test.csv                            read as the rows that the run was trained on
  bertkit evaluate RUN test.csv --text review --label stars
  bertkit evaluate RUN test.csv --train train.csv --json   with the baselines of those training rows
  bertkit evaluate RUN cola                                the dev rows of a named task"""
# What is known here: the file stands behind the model, which tells the kind.
_KNOWN = ("--dev", "--test", "--kind")
TASK_FLAGS: tuple[Flag, ...] = tuple(
    (*flag[:-1], f"{flag[-1].partition(' (default')[0]} (default: as in training)")
    if flag[2] in OF_FILES
    else flag
    for flag in FLAGS
    if flag[1] == "task" and flag[0] not in _KNOWN
)
MISTAKES_SHOWN = CONFUSIONS_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", help="a run or a model folder")
    parser.add_argument(
        "task", nargs="?", default="", metavar="FILE", help="labelled rows of your own, or a named task"
    )
    add_flags(parser, TASK_FLAGS, Recipe)
    add_shared(parser, "--precision", "--window", "--stride", "--decode", "--json")


def run(arguments: argparse.Namespace) -> int:
    """Score it and print what was found."""
    given = {key: getattr(arguments, flag) for flag, _, key, _, _ in TASK_FLAGS}
    asked = {key: value for key, value in given.items() if value is not None}
    if arguments.task and "name" in asked:
        raise UserError(f"{arguments.task} and --task are two things to score on; give one.")
    recipe = from_table(TaskRecipe, {"name": arguments.task, **asked}, "task.")
    from bertkit import api
    from bertkit.show.display import RowsDisplay

    windows = {"window": arguments.window, "stride": arguments.stride, "decode": arguments.decode}
    with RowsDisplay("scoring") as progress:
        result = api.evaluate(
            arguments.model, recipe, precision=arguments.precision, progress=progress, **windows
        )
    if arguments.json:
        print(to_json(result))
    else:
        _show(result)
    return 0


def _show(result: dict[str, Any]) -> None:
    from bertkit.show.display import CLASSES_SHOWN, class_table, plain_console
    from bertkit.show.run_display import score_table
    from bertkit.tasks.kinds import get_kind

    console = plain_console()
    console.show(score_table(result))
    if result["left_out"]:
        console.say(f"{result['left_out']:,} rows that cannot be used are left out.", "yellow")
    if result["baselines_from"] == "dev":
        blind = get_kind(result["kind"]).baselines[0].title
        console.say(f"The {blind} is that of the scored rows; --train FILE adds the baselines of training.")
    elif result["leaks"]:
        console.say(f"{result['leaks']:,} of these rows stand in the training file too.", "red")
    console.print()
    classes = class_table(result)
    if classes:
        console.show(classes)
    if result.get("confusion") and len(result["labels"]) <= CLASSES_SHOWN:
        console.show(_confusion_table(result))
    elif result.get("confusions"):
        console.say(_confusions(result))
    if result.get("calibration"):
        console.say(_calibration(result))
    if result["mistakes"]:
        surest = "probability" in result["mistakes"][0]
        console.print("\nThe surest of its mistakes:" if surest else "The rows that it is furthest off:")
    for row in result["mistakes"][:MISTAKES_SHOWN]:
        texts = "  |  ".join(filter(None, [row["text"], row["pair"]]))
        said = f"{row['predicted']} {row['probability']:.1%}" if surest else f"{row['predicted']:.4g}"
        true = row["label"] if surest else f"{row['score']:.4g}"
        console.print(
            f"  line {row['line']}: {said}, is {true}: {texts}",
            overflow="ellipsis" if console.is_terminal else "ignore",
            no_wrap=True,
            soft_wrap=not console.is_terminal,
        )
    cut = f"; {result['truncated']:,} texts cut" if result["truncated"] else ""
    console.print(
        f"\n{result['seconds']:.1f} s, {result['tokens_per_second']:,.0f} tokens/s, "
        f"{result['precision']}{cut}"
    )


def _calibration(result: dict[str, Any]) -> str:
    found = result["calibration"]
    kept = result["temperature"]
    with_it = f", with the temperature {kept:.2f} that the model keeps" if kept else ""
    return (
        f"\nCalibration error (ECE, {found['bin_count']} equal bins) {found['ece']:.3f}, of it "
        f"{found['ece_expected']['mean']:.3f} expected from sampling noise; "
        f"log loss {found['log_loss']:.3f}, Brier {found['brier']:.3f}{with_it}."
    )


def _confusions(result: dict[str, Any]) -> str:
    """The largest, where there are too many classes for a matrix."""
    told = [
        f"{each['label']} predicted as {each['predicted']} {each['rows']:,} times"
        for each in result["confusions"][:CONFUSIONS_SHOWN]
    ]
    return f"Largest confusions: {', '.join(told)}."


def _confusion_table(result: dict[str, Any]) -> Table:
    """Rows are the true labels, columns what the model said."""
    from rich.table import Column, Table
    from rich.text import Text

    labels = result["labels"]
    heads = [Column(label, justify="right") for label in labels]
    table = Table("true, predicted", *heads, title="confusion matrix", title_justify="left")
    for index, (label, counts) in enumerate(zip(labels, result["confusion"], strict=True)):
        cells = [Text(f"{count:,}", "bold" if place == index else "") for place, count in enumerate(counts)]
        table.add_row(label, *cells)
    return table
