"""The command line: a table of commands. Nothing slow is imported before a command runs."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from bertkit.cli.clock import process_began
from bertkit.cli.parser import MEANT, CommandParser
from bertkit.cli.streams import mend_streams, tell
from bertkit.errors import UserError, nearest
from bertkit.version import __version__

# What a system says of a place that cannot be written to; anything else is a fault of ours.
UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EFBIG),
)


@dataclass(frozen=True)
class Command:
    """A row: the module `bertkit.cli.<module>` has `add_arguments(parser)`, `run(arguments) -> int` and,
    if it likes, `EXAMPLES`. The results of one that is `lasting` are in files: it goes on when nobody is left
    to read what it prints. A group has no module but `commands`, whose names follow its own.
    """

    name: str
    help: str
    module: str = ""
    lasting: bool = False
    commands: tuple[Command, ...] = ()


COMMANDS: tuple[Command, ...] = (
    Command("demo", "the life of a small model in about two minutes, offline", "demo", lasting=True),
    Command("vocab", "learn a WordPiece vocabulary from text", "vocab", lasting=True),
    Command("prepare", "cut text into tokens for pretraining: memory-mapped shards", "prepare", lasting=True),
    Command("pretrain", "train an encoder on prepared text", "pretrain", lasting=True),
    Command(
        "finetune",
        "train a classifier on labelled text, from fresh or pretrained weights",
        "finetune",
        lasting=True,
    ),
    Command("doctor", "say why a run is, or is not, learning", "doctor"),
    Command("evaluate", "score a trained model on labelled text, beside baselines", "evaluate"),
    Command("predict", "label raw text with a trained model", "predict"),
    Command("embed", "turn texts into vectors: any layers, any pooling", "embed"),
    Command("fill", "say what may stand at the [MASK]s of a text", "fill"),
    Command("score", "say how likely sentences are, and which of two a model prefers", "score"),
    Command(
        "study", "answer a question by experiment: recipes over seeds, with intervals", "study", lasting=True
    ),
    Command("glue", "measure a model on all of GLUE that is here, beside the paper", "glue", lasting=True),
    Command("compare", "lay runs side by side, and say which differences are significant", "compare"),
    Command("convert", "write a model in another format: transformers' or Google's", "convert", lasting=True),
    Command("inspect", "say what is in a model folder", "inspect"),
    Command(
        "data",
        "named data sets, and a look at rows of your own",
        commands=(
            Command("list", "say which are here, and of what licence", "data_list"),
            Command("fetch", "download one, checked, and go on where it was cut", "data_fetch", lasting=True),
            Command("check", "say what is wrong with labelled rows: copies, leaks, odd texts", "data_check"),
        ),
    ),
)


def overview(words: str = "bertkit", commands: Sequence[Command] = COMMANDS) -> str:
    """The text of `bertkit --help`, and of a group of commands, which `words` call."""
    width = max(len(command.name) for command in commands)
    rows = "\n".join(f"  {command.name:<{width}}  {command.help}" for command in commands)
    about = (
        "" if words != "bertkit" else "Train a BERT of your own and know whether to believe its score.\n\n"
    )
    version = "" if words != "bertkit" else "; bertkit --version the version"
    return (
        f"usage: {words} COMMAND [options]\n\n{about}"
        f"commands:\n{rows}\n\n"
        f"{words} COMMAND --help tells the options of one{version}."
    )


def leaves(commands: Sequence[Command] = COMMANDS) -> dict[str, Command]:
    """All commands that do something, by the words that call them: of a group two."""
    return {
        " ".join([command.name, *words.split()]): each
        for command in commands
        for words, each in (leaves(command.commands) if command.commands else {"": command}).items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code is 0, 1 for a failure, 2 for a user's mistake, 130 for Ctrl-C."""
    # What a program asks for began now; a command, with its process.
    began = process_began() if argv is None else time.monotonic()
    arguments = list(sys.argv[1:] if argv is None else argv)
    lasting = {words for words, command in leaves().items() if command.lasting}
    mend_streams(output_needed=lasting.isdisjoint({" ".join(arguments[:1]), " ".join(arguments[:2])}))
    try:
        code = _run(arguments, began)
        # Here and not at exit, where nobody could answer a reader that has gone.
        sys.stdout.flush()
        return code
    except UserError as error:
        tell(error)
        return 2
    except KeyboardInterrupt:
        tell("interrupted.")
        return 130
    except BrokenPipeError:
        return 1  # The reader of our output has gone.
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        where = f" {error.filename}" if error.filename else ""
        tell(f"cannot write{where}: {error.strerror}. Choose another place or free it.")
        return 1


def _run(arguments: list[str], began: float) -> int:
    if arguments[:1] == ["--version"]:
        print(f"bertkit {__version__}")
        return 0
    words, commands, rest = "bertkit", COMMANDS, arguments
    while commands:
        if not rest or rest[0] in ("-h", "--help", "help"):
            print(overview(words, commands))
            return 0 if rest else 2
        name, *rest = rest
        by_name = {command.name: command for command in commands}
        if name not in by_name:
            called = f"{words} {name}".removeprefix("bertkit ")
            raise UserError(f"There is no command {called!r}.{nearest(name, list(by_name), MEANT)}")
        command = by_name[name]
        words, commands = f"{words} {name}", command.commands
    module = import_module(f"bertkit.cli.{command.module}")
    parser = CommandParser(words.removeprefix("bertkit "), module.__doc__, getattr(module, "EXAMPLES", None))
    module.add_arguments(parser)
    # Intermixed: an option may stand between a model and the files.
    parsed = parser.parse_intermixed_args(rest)
    parsed.began = began
    code: int = module.run(parsed)
    return code
