"""Options that commands share: those that stand for keys of a recipe, and those that say what to read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from bertkit.cli.parser import group
from bertkit.cli.streams import tell
from bertkit.errors import UserError, one_line
from bertkit.recipe import OptimiserName, PretrainRecipe, Recipe, TaskRecipe
from bertkit.recipe.base import Changes, What, add_settings
from bertkit.recipe.keywords import minutes, with_last_word
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from bertkit.data.tables import BadRow, Row
    from bertkit.infer.rows import Tally
    from bertkit.tasks.kind import Kind

Flag = tuple[str, str, str, Callable[[str], Any], str]
"""A flag and what it stands for: (flag, section, key, type, help). One of type bool has a `--no-` too."""

GROUP_OF = {"task": "data", "corpus": "data", "model": "model", "vocabulary": "model"}
"""In which group of the help the keys of a recipe's section stand; all others are of the training."""

FORMATS = ("tsv", "csv", "jsonl", "json", "txt", "parquet", "arrow", "xlsx", "conll")


RUN_FLAGS: tuple[Flag, ...] = (
    ("--lr", "optimiser", "lr", float, "highest learning rate"),
    ("--optimiser", "optimiser", "name", str, f"{', '.join(get_args(OptimiserName))}"),
    (
        "--steps",
        "training",
        "steps",
        int,
        "number of updates (default: as many as the epochs or the budget have)",
    ),
    (
        "--budget",
        "training",
        "budget",
        minutes,
        "wall time instead of steps, of all seeds: 30m, 1h, 8h (default: no limit)",
    ),
    ("--seed", "training", "seed", int, "the first seed: of weights, order and masks (default: 0)"),
    ("--seeds", "training", "seeds", int, "how many seeds to train"),
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

AnyRecipe = TypeVar("AnyRecipe", Recipe, PretrainRecipe)


class Case(argparse.Action):
    """`--lower-case` for true and `--cased` for false."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None) -> None:
        """Note which of the two was said."""
        setattr(namespace, self.dest, option == "--lower-case")


CLEANING = {"--lower-case": "lowercase", "--strip-accents": "strip_accents", "--split-cjk": "split_cjk"}
"""What is done to a text before it is cut into tokens, and what a tokenizer calls it."""

SHARED: dict[str, dict[str, Any]] = {
    "--lower-case": {
        "action": Case,
        "nargs": 0,
        "dest": "lowercase",
        "help": "make text lower case, or keep upper and lower case",
    },
    "--strip-accents": {
        "action": argparse.BooleanOptionalAction,
        "help": "remove accents, and vowel signs of Hindi, Thai and others",
    },
    "--split-cjk": {
        "action": argparse.BooleanOptionalAction,
        "help": "make each Chinese character a word",
    },
    "--column": {"metavar": "NAME", "help": "where the text is: a name, or a number from 1 (default: text)"},
    "--header": {
        "action": argparse.BooleanOptionalAction,
        "help": "whether the first row of TSV and CSV names columns; by default if the column is given "
        "by name",
    },
    "--format": {"choices": FORMATS, "help": "what the files are (default: by their names)"},
    "--separator": {
        "metavar": "SIGN",
        "help": "what parts the columns of CSV, TSV and text: comma, semicolon, tab, bar or any "
        "one character (default: found)",
    },
    "--encoding": {
        "metavar": "NAME",
        "help": "of text, such as cp1252 or gb18030 (default: UTF-8, or what a byte-order mark says)",
    },
    "--window": {
        "type": int,
        "metavar": "TOKENS",
        "help": "read longer texts in windows of so many; 0: cut them (default: as trained)",
    },
    "--stride": {
        "type": int,
        "metavar": "TOKENS",
        "help": "from one window to the next (default: as trained)",
    },
    "--decode": {
        "choices": ("viterbi", "greedy"),
        "default": "",
        "help": "tags of words: the likeliest ones that follow the scheme, or each the likeliest (default: "
        "viterbi)",
    },
    "--precision": {"choices": ("auto", "fp32", "bf16"), "default": "auto", "help": "auto, fp32 or bf16"},
    "--json": {"action": "store_true", "help": "print the result object alone on standard output"},
    "--overwrite": {"action": "store_true", "help": "replace what is there"},
}
"""Options that mean the same in every command that has them."""

ALIASES = {"--column": ("--field",), "--lower-case": ("--cased",)}


def add_shared(parser: argparse._ActionsContainer, *flags: str) -> None:
    """Declare some of the options that commands share."""
    for flag in flags:
        options = group(parser, "output" if flag in ("--json", "--overwrite") else "data")
        options.add_argument(flag, *ALIASES.get(flag, ()), **SHARED[flag])


def add_run_arguments(
    parser: argparse.ArgumentParser, flags: Sequence[Flag], kind: type[Recipe] | type[PretrainRecipe]
) -> None:
    """Declare what every training command has, and `flags` of that kind of recipe."""
    output = group(parser, "output")
    output.add_argument("-o", "--out", type=Path, help="the run folder to make (default: runs/NAME)")
    add_recipe_arguments(parser, flags, kind)
    output.add_argument("--resume", action="store_true", help="continue an interrupted run, or train on")
    output.add_argument("--overwrite", action="store_true", help="replace the run that is there")
    add_shared(parser, "--json")


def add_recipe_arguments(
    parser: argparse.ArgumentParser, flags: Sequence[Flag], *kinds: type[Recipe] | type[PretrainRecipe]
) -> None:
    """Declare what a recipe of one of `kinds` is read from: a file, `flags` and single keys."""
    add_flags(parser, flags, *kinds)
    add = group(parser, "training").add_argument
    what = "a TOML file, or a name such as micro; other options change what it says"
    add("--recipe", type=Path, metavar="RECIPE", help=what)
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any recipe key, as optimiser.clip=0.5; may be repeated",
    )


def add_flags(
    parser: argparse.ArgumentParser, flags: Sequence[Flag], *kinds: type[Recipe] | type[PretrainRecipe]
) -> None:
    """Declare flags in the group of their section, with the default that the recipe has.

    A flag that is not given is None, so that a recipe file's word counts. Where the recipe's default is the
    absence of a value, the flag's own help says what that comes to.
    """
    for flag, section, key, kind, text in flags:
        default = next(
            (value for each in kinds if (value := getattr(getattr(each(), section, None), key, None))), None
        )
        if default is not None and "(default:" not in text:
            text += f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"
        how: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if flag in CLEANING:
            how = SHARED[flag]
        elif kind is not bool:
            how = {"type": kind, "metavar": key.upper()}
        options = group(parser, GROUP_OF.get(section, "training"))
        options.add_argument(flag, *ALIASES.get(flag, ()), **{**how, "dest": flag, "help": text})


def read_recipe(
    kind: type[AnyRecipe],
    flags: Sequence[Flag],
    arguments: argparse.Namespace,
    about: What,
) -> AnyRecipe:
    """The recipe file, that of the run to resume, or the defaults; changed by `flags` and single keys.

    Args:
        kind: of recipe.
        flags: those of the command.
        arguments: what was parsed.
        about: what is learned from; empty for the recipe's.
    """
    from bertkit.runs.folder import RECIPE, is_run, usual_out

    path = arguments.recipe
    if arguments.resume:
        if arguments.out is None:
            arguments.out = usual_out(_changed(kind.of(path), flags, arguments, about), resume=True)
        if path is None and is_run(arguments.out):
            path = arguments.out / RECIPE
    return _changed(kind.of(path), flags, arguments, about)


def _changed(
    recipe: AnyRecipe, flags: Sequence[Flag], arguments: argparse.Namespace, about: What
) -> AnyRecipe:
    changes: Changes = {}
    for flag, section, key, _, _ in flags:
        if (value := getattr(arguments, flag)) is not None:
            changes.setdefault(section, {})[key] = value
    changes = add_settings(changes, arguments.set, recipe.model.options)
    return recipe.with_changes(with_last_word(recipe, changes)).about(about)


def options_by_key(flags: Sequence[Flag]) -> dict[str, str]:
    """The options that stand for keys of a recipe; what is true or false has two, and `--set` says either."""
    return {f"{section}.{key}": flag for flag, section, key, kind, _ in flags if kind is not bool}


def train(
    command: str,
    flags: Sequence[Flag],
    arguments: argparse.Namespace,
    recipe: Recipe | PretrainRecipe,
    *,
    result_too: bool = True,
) -> int:
    """Run what a training command asks for, and print what was found: with --json the `result_too`."""
    from contextlib import nullcontext

    from bertkit import api
    from bertkit.runs.folder import usual_out
    from bertkit.show.run_display import RunDisplay
    from bertkit.train.listener import Listener
    from bertkit.train.loop import deferred_signals
    from bertkit.train.processes import NotStarted, ProcessLost, is_first, launcher
    from bertkit.train.seedfolder import Stopped

    if arguments.out is None:
        if launcher():
            raise UserError("Processes that torchrun started need the run folder: name it with -o.")
        arguments.out = usual_out(recipe, resume=arguments.resume, overwrite=arguments.overwrite)
    options = options_by_key(flags)
    display = RunDisplay(command, to_stderr=arguments.json, out=arguments.out, options=options)
    # Held back until all is said: torchrun ends the other processes as soon as one of them has ended.
    with deferred_signals() if launcher() else nullcontext():
        try:
            # The others have nothing to show, and an empty bar would wipe the first one's.
            with display if is_first() else nullcontext():
                result = getattr(api, command)(
                    out=arguments.out,
                    recipe=recipe,
                    resume=arguments.resume,
                    overwrite=arguments.overwrite,
                    listener=display if is_first() else Listener(),
                    began=arguments.began,
                )
        except (ProcessLost, Stopped, UserError) as error:
            # One speaks for all, but where it may be the first that is gone.
            speaks = is_first() or (isinstance(error, ProcessLost) and not isinstance(error, NotStarted))
            if speaks:
                tell(error)
            return 2 if isinstance(error, UserError) else 1
        if result_too and arguments.json and is_first():
            print(to_json(result))
        return 0


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the texts are, how they are read, and in which number format is computed."""
    parser.add_argument(
        "files",
        nargs="*",
        type=source,
        metavar="FILE",
        help="TXT, TSV, CSV, JSONL or Parquet; none is standard input",
    )
    add = group(parser, "data").add_argument
    add("--say", action="append", default=[], metavar="TEXT", help="a text; may be repeated")
    add("--say-pair", action="append", default=[], metavar="TEXT", help="the second text of each --say")
    add(
        "--text",
        metavar="COLUMN",
        help="column of the text: a name, or a number from 1 (default: that of the training rows, or text)",
    )
    add(
        "--pair",
        metavar="COLUMN",
        help="column of the second text, if there are pairs (default: that of the training rows)",
    )
    add(
        "--header",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether the first line names the columns (default: as of the training rows)",
    )
    add(
        "--format",
        choices=FORMATS,
        help="what the files are (default: by their names; standard input is txt)",
    )
    add_shared(parser, "--separator", "--encoding", "--window", "--stride", "--precision")


def source(name: str) -> Path:
    """A file named on the command line."""
    from bertkit.data.files import STANDARD_INPUT

    return STANDARD_INPUT if name == "-" else Path(name)


def check_out(out: Path | None, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse, before anything is computed, a file that could not be written after it, or that is read."""
    if out is None:
        return
    if out.is_dir():
        raise UserError(f"{out} is a folder; name a file in it.")
    if out.exists() and any(path.exists() and path.samefile(out) for path in inputs):
        raise UserError(f"{out} is what is read; choose another name.")
    if out.exists() and not out.is_file():
        raise UserError(f"{out} is no regular file; choose another name.")
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; choose another name or say --overwrite to replace it.")
    if not out.parent.is_dir():
        raise UserError(f"There is no folder {out.parent} to write {out.name} in; make it first.")


def check_sources(arguments: argparse.Namespace) -> None:
    """Refuse the last file of many before the first one is read."""
    from bertkit.data.files import STANDARD_INPUT, open_bytes

    if len(arguments.say_pair) not in (0, len(arguments.say)):
        raise UserError(f"There are {len(arguments.say)} --say but {len(arguments.say_pair)} --say-pair.")
    if arguments.say and arguments.files:
        raise UserError("Give either files or --say, not both.")
    for path in arguments.files:
        ending_of(path, arguments.format)
        # What can be opened only once is not, and a folder is a table.
        if path.is_file() or (not path.exists() and path != STANDARD_INPUT):
            open_bytes(path).close()


def input_rows(
    arguments: argparse.Namespace,
    card: Mapping[str, Any],
    files: Sequence[Path] | None = None,
    *,
    kind: Kind | None = None,
    whole: bool = False,
) -> Iterator[Row | BadRow]:
    """All rows of all sources, or of some files, from the start.

    Args:
        arguments: what was parsed.
        card: of the model: where its training rows had their texts, files have them that nothing is said of.
        files: the files.
        kind: of task, which may have files of its own; None: only tables of texts.
        whole: give each row all its cells.
    """
    from bertkit.data.files import STANDARD_INPUT, text_problem
    from bertkit.data.tables import BadRow, Columns, Row, iterate_rows
    from bertkit.infer.reading import as_trained
    from bertkit.infer.rows import rows_to_answer
    from bertkit.tasks.choices import choice_columns

    for number, (text, pair) in enumerate(zip_longest(arguments.say, arguments.say_pair), 1):
        cells = {"text": text, **({} if pair is None else {"pair": pair})}
        blank = not text.strip() or (pair is not None and not pair.strip())
        problem = "is empty" if blank else text_problem(text) or (pair and text_problem(pair))
        said = f"The text {number} of --say {problem}."
        yield BadRow(number, said, cells) if problem else Row(number, text, pair, cells=cells)
    if arguments.say:
        return
    asked = TaskRecipe(
        text=arguments.text or "",
        pair=arguments.pair or "",
        choices=getattr(arguments, "choices", ""),
        header=arguments.header,
        **text_options(arguments),
    )
    trained = as_trained(asked, card)
    for path in (arguments.files if files is None else files) or [STANDARD_INPUT]:
        ending = ending_of(path, arguments.format)
        # The lines of a plain file are one column, whatever the training rows had.
        task = asked if ending == ".txt" else trained
        text, pair, _ = ("text", None, "") if kind is None else kind.usual_columns
        columns = Columns(
            text=task.text or ("1" if ending == ".txt" else text),
            pair=task.pair or pair,
            more={} if kind is None else choice_columns(task.choices),
        )
        told: dict[str, Any] = {"header": task.named, "separator": task.separator, "encoding": task.encoding}
        reads = iterate_rows if kind is None else kind.reads
        yield from rows_to_answer(path, columns, reads, ending=ending, whole=whole, **told)


def text_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What `iterate_rows` is told of separators and encodings."""
    return {name: getattr(arguments, name) or "" for name in ("separator", "encoding")}


def ending_of(path: Path, asked: str | None) -> str:
    """Which of `tables.READERS` reads the file."""
    from bertkit.data.formats import format_of

    return f".{asked}" if asked else format_of(path)


def can_be_read_again(files: Sequence[Path]) -> bool:
    """Whether all are files or folders, and not pipes or standard input."""
    return bool(files) and all(path.is_file() or path.is_dir() for path in files)


def report_tally(tally: Tally, longest: int, what: str) -> None:
    """Say on standard error what was cut, and how many rows have no `what`."""
    if tally.truncated:
        tell(f"{tally.truncated:,} texts were cut to {longest} tokens.")
    if tally.bad:
        first = ", the first of them" if tally.bad > len(tally.problems) else ""
        tell(f"{tally.bad:,} of {tally.rows:,} rows have no {what}{first}:")
        for problem in tally.problems:
            print(f"  {one_line(problem)}", file=sys.stderr)
