"""How every command reads its options: in groups, with defaults, an error with its reason first."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from bertkit.cli.streams import tell
from bertkit.errors import nearest

GROUPS = ("data", "model", "training", "output")
"""In which a command's options stand, in this order; those of no group come before them."""
MEANT = {
    word: name
    for name, words in {
        "--lr": "--learning-rate",
        "--batch": "--batch-size --per-device-train-batch-size",
        "--epochs": "--num-train-epochs",
        "--steps": "--max-steps",
        "--optimiser": "--optimizer",
        "--max-length": "--max-seq-length",
        "--out": "--output --output-dir",
        "--dev": "--validation",
        "--label": "--target",
        "finetune": "train fit fine-tune",
        "predict": "classify infer label",
        "evaluate": "test validate",
        "vocab": "tokenizer",
        "prepare": "tokenize preprocess",
        "pretrain": "mlm",
        "embed": "encode vectors",
        "fill": "mask unmask",
        "score": "perplexity",
        "study": "experiment",
        "compare": "diff",
        "doctor": "check diagnose debug",
        "convert": "export",
        "inspect": "info show",
    }.items()
    for word in words.split()
}
"""What others call an option, or a command."""


class CommandParser(argparse.ArgumentParser):
    """The options of one command.

    Args:
        name: of the command.
        description: its module's own; laid out as it shall be read.
        examples: command lines with what they do; shown last.
    """

    def __init__(self, name: str, description: str | None, examples: str | None) -> None:
        super().__init__(
            prog=f"bertkit {name}", description=description, epilog=examples, formatter_class=Help
        )
        for group in GROUPS:
            self.add_argument_group(group)

    def parse_known_intermixed_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `argparse` does it; the usage names what must be given, the groups below it all the rest."""
        formatter = self._get_formatter()
        needed = [
            " ".join([*action.option_strings[:1], formatter._format_args(action, action.dest.upper())])
            for action in self._actions
            if action.required or not action.option_strings
        ]
        self.usage = " ".join([self.prog, *needed, "[options]"])
        return super().parse_known_intermixed_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, then how the command is called, and exit with 2."""
        tell(f"{message[:1].upper()}{message[1:]}.{self._near(message)}")
        print(f"usage: {self.usage}\n{self.prog} --help lists the options.", file=sys.stderr)
        raise SystemExit(2)

    def _near(self, message: str) -> str:
        """Options that may have been meant, where one is not known."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown == message or not unknown.startswith("-"):
            return ""
        option = unknown.split()[0].split("=")[0]
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        meant = {name: flag for name, flag in MEANT.items() if flag in known}
        return nearest(option, known, meant).partition(" Known:")[0]


class Help(argparse.RawDescriptionHelpFormatter):
    """Tells the default of each option that takes a value and does not tell it itself."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        untold = action.default in (None, argparse.SUPPRESS, "", []) or action.nargs == 0
        if not action.option_strings or untold or "(default:" in (text or ""):
            return text
        return f"{text} (default: %(default)s)"


def group(parser: argparse._ActionsContainer, title: str) -> argparse._ActionsContainer:
    """Where options of that group are added; the parser itself where it has no such group."""
    return next((each for each in parser._action_groups if each.title == title), parser)
