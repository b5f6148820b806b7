"""Label raw text with a trained model: the rows of files, texts of standard input, or of the command line.

The answers to a file are a table in the folder where you are, in its format: `new.csv` becomes
`new.predicted.csv`, with all its columns and then the label and its probability, or a score. -o names another
file and, by its ending, another format; `-o -` is standard output. Texts of --say and of standard input are
answered a line each: what the columns hold, and then the text.

Answers come in the order of the input. A row that cannot be read, or has no text, is counted and keeps its
place, without an answer; the exit code is then 2.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.cli.arguments import (
    add_input_arguments,
    add_shared,
    can_be_read_again,
    check_out,
    check_sources,
    ending_of,
    input_rows,
    report_tally,
)
from bertkit.cli.parser import group
from bertkit.cli.streams import tell
from bertkit.errors import CONTROL, UserError, shown
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from bertkit.data.tables import BadRow, Row
    from bertkit.infer.model import Model
    from bertkit.infer.predict import Answer
    from bertkit.infer.rows import Progress, Tally
    from bertkit.tasks.kind import Kind, Wanted

EXAMPLES = """examples:
  bertkit predict RUN new.csv                              makes new.predicted.csv
  bertkit predict RUN new.csv --text review --top 3 -o answers.jsonl
  bertkit predict RUN new.csv --min-probability 0.8        the label of others is unsure
  bertkit predict RUN --say 'The book was read.' --say 'The book was reading.'
  zcat old.gz | bertkit predict RUN                        one text a line, answered a line each
  bertkit predict RUN reviews.csv --json                   a list of objects; all probabilities"""
STANDARD_OUTPUT = Path("-")
COUNTS_SHOWN = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", help="a run or a model folder")
    add_input_arguments(parser)
    group(parser, "data").add_argument(
        "--choices",
        default="",
        metavar="COLUMNS",
        help="of a model that chooses: the columns of the choices, between commas, or one that holds lists "
        "(default: those of the training rows)",
    )
    add = group(parser, "output").add_argument
    add(
        "--all",
        action="store_true",
        help="the probability of every label too, a column each; of words their tags",
    )
    add(
        "--top",
        type=int,
        default=1,
        metavar="N",
        help="the N likeliest labels, each with its probability (default: 1)",
    )
    add(
        "--min-probability",
        type=float,
        default=0.0,
        metavar="P",
        help="give a label that is less likely as unsure (default: 0)",
    )
    add("--json", action="store_true", help="print a list of objects, with the probabilities of all labels")
    add(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="write to this .csv, .tsv, .jsonl, .json, .parquet or .conll file; - is standard output "
        "(default, of a file: its name with .predicted)",
    )
    add(
        "--official",
        type=Path,
        metavar="FOLDER",
        help="of questions about texts: write what SQuAD's scripts read, predictions.json and null_odds.json "
        "(default: none)",
    )
    add_shared(parser, "--overwrite", "--decode")


def run(arguments: argparse.Namespace) -> int:
    """Answer every row; 2 if some could not be answered."""
    if arguments.top < 1 or not 0 <= arguments.min_probability <= 1:
        raise UserError("--top is a whole number of at least 1, and --min-probability one from 0 to 1.")
    check_sources(arguments)
    tables = _tables(arguments)
    from bertkit.infer.model import load
    from bertkit.infer.rows import Tally
    from bertkit.tasks.kind import Wanted

    windows = {"window": arguments.window, "stride": arguments.stride}
    model = load(arguments.model, precision=arguments.precision, decode=arguments.decode, **windows)
    wanted = Wanted(arguments.all, arguments.top, arguments.min_probability)
    model.predictor.kind.columns(model.labels, wanted)  # What cannot be asked of it is said at once.
    tally = Tally()
    if arguments.official:
        _write_official(arguments, model, tally)
    elif not tables:
        _print_lines(arguments, model, wanted, tally)
    for table in tables:
        _write_table(arguments, model, wanted, tally, table)
    report_tally(tally, model.reading.longest, "answer")
    return 2 if tally.bad else 0


@dataclass(frozen=True)
class Table:
    """A table to write: the answers to one file, or to --say; `out` None is standard output."""

    source: Path
    out: Path | None
    ending: str


def _tables(arguments: argparse.Namespace) -> list[Table]:
    """The tables to write; none where answers are lines, or JSON, on standard output."""
    from bertkit.data.files import STANDARD_INPUT
    from bertkit.data.write import answers_name, output_ending

    asked, files = arguments.out, arguments.files
    if arguments.official:
        if asked or arguments.json or len(files) != 1:
            raise UserError("--official answers one file, and writes a folder; leave out -o and --json.")
        return []
    if arguments.json:
        if asked or arguments.all or arguments.top > 1 or arguments.min_probability:
            raise UserError(
                "--json prints all probabilities on standard output; leave out -o, --all, --top and "
                "--min-probability, or name a file .json with -o."
            )
        return []
    if asked and len(files) > 1:
        raise UserError(f"-o names one file, and there are {len(files)} to answer; leave it out.")
    if not asked and not can_be_read_again(files):
        return []
    tables: list[Table] = []
    for source in files or [STANDARD_INPUT]:
        usual = Path(answers_name(source, ending_of(source, arguments.format)))
        out = usual if asked is None else None if asked == STANDARD_OUTPUT else asked
        check_out(out, arguments.overwrite, files)
        ending = output_ending(out or usual)
        if out and out in [table.out for table in tables]:
            raise UserError(f"The answers to two of the files would both be {out}; answer them one by one.")
        tables.append(Table(source, out, ending))
    return tables


def _write_table(
    arguments: argparse.Namespace, model: Model, wanted: Wanted, tally: Tally, table: Table
) -> None:
    """Answer one file, or what else there is, and tell what came of it."""
    from bertkit.data.formats import WORD_A_LINE
    from bertkit.infer.answers import names_beside, write_answers
    from bertkit.infer.rows import survey
    from bertkit.show.display import named_rows, plain_console

    predictor, source = model.predictor, table.source
    wanted = replace(wanted, every=True) if table.ending == WORD_A_LINE else wanted
    kind = "" if arguments.say else ending_of(source, arguments.format)

    def every_row() -> Iterator[Row | BadRow]:
        return input_rows(arguments, model.card, [source], kind=predictor.kind, whole=True)

    rows = every_row()
    again = bool(arguments.say) or can_be_read_again([source])
    first = [] if again else [next(rows)]
    known = survey(
        input_rows(arguments, model.card, [source], kind=predictor.kind, whole=True) if again else first
    )
    if not again and kind == ".jsonl" and table.ending not in (".json", ".jsonl"):
        raise UserError("JSON lines that come from a pipe may have any keys; name the output .jsonl with -o.")
    if known.breaks and table.ending == ".tsv":
        tell("TSV holds no tabs and line ends in a cell; they become spaces.")
    columns = list(predictor.kind.columns(model.labels, wanted))
    for column, called in zip(columns, names_beside(columns, known.types), strict=True):
        if called != column:
            said = f"{source} has a column {shown(column)!r} already; the answers are in {shown(called)!r}."
            tell(said)
    began, before = time.monotonic(), tally.bad
    with _progress(hidden=table.out is None and sys.stdout.isatty()) as progress:
        if again:
            progress.begin(known.rows, known.characters)
        answers = write_answers(
            predictor,
            chain(first, rows),
            known.types,
            table.out,
            table.ending,
            wanted,
            tally,
            like=source if kind == ".parquet" else None,
            progress=progress,
        )
    seconds, bad = time.monotonic() - began, tally.bad - before
    count = len(answers) + bad
    name = table.out or "standard output"
    print(f"{name}: {count:,} rows, {seconds:.1f} s, {count / seconds:,.0f} rows/s", file=sys.stderr)
    overview = predictor.kind.overview(answers) if answers else {}
    told = {shown(label): text for label, text in islice(overview.items(), COUNTS_SHOWN)}
    if len(overview) > len(told):
        told["..."] = f"{len(overview) - len(told):,} other labels"
    if bad:
        told["no answer"] = f"{bad:,}"
    plain_console(to_stderr=True).print(named_rows(told))


@contextmanager
def _progress(*, hidden: bool) -> Iterator[Progress]:
    """A display; none beside lines that a terminal shows, which are progress enough."""
    from bertkit.infer.rows import SILENT
    from bertkit.show.display import RowsDisplay

    if hidden:
        yield SILENT
    else:
        with RowsDisplay("predicting") as progress:
            yield progress


def _print_lines(arguments: argparse.Namespace, model: Model, wanted: Wanted, tally: Tally) -> None:
    """A line for each row, or a JSON list, on standard output."""
    from bertkit.infer.rows import ROWS_AT_ONCE, survey

    predictor = model.predictor
    typed = not arguments.say and not arguments.files and os.isatty(0)
    if typed:
        print("Type one text a line; Ctrl-D ends.", file=sys.stderr)
    with _progress(hidden=sys.stdout.isatty()) as progress:
        if can_be_read_again(arguments.files):
            known = survey(input_rows(arguments, model.card, kind=predictor.kind))
            progress.begin(known.rows, known.characters)
        # What is typed is answered line by line.
        answers = predictor.predict_rows(
            input_rows(arguments, model.card, kind=predictor.kind),
            tally,
            at_once=1 if typed else ROWS_AT_ONCE,
            progress=progress,
        )
        if arguments.json:
            lines = json_lines(answers)
        elif sys.stdout.isatty():
            lines = aligned_lines(answers, predictor.kind, predictor.labels, wanted)
        else:
            lines = tab_separated_lines(answers, predictor.kind, predictor.labels, wanted)
        for line in lines:
            print(line)


def _write_official(arguments: argparse.Namespace, model: Model, tally: Tally) -> None:
    """The files that official scripts read, in a folder that is whole or not there."""
    from bertkit.checkpoint.atomic import replace_folder

    predictor = model.predictor
    if predictor.kind.official is None:
        raise UserError(
            f"There are no official files of the kind of task {predictor.kind.name!r}; leave --official out."
        )
    with replace_folder(arguments.official, arguments.overwrite) as folder:
        rows = input_rows(arguments, model.card, kind=predictor.kind)
        with _progress(hidden=False) as progress:
            answers = list(predictor.predict_rows(rows, tally, progress=progress))
        good = [answer for answer in answers if "error" not in answer]
        for name, content in predictor.kind.official(good).items():
            (folder / name).write_text(to_json(content) + "\n", encoding="utf-8")
    print(f"{arguments.official}: {len(good):,} answers", file=sys.stderr)


def json_lines(answers: Iterable[Answer]) -> Iterator[str]:
    """A JSON list, an answer a line."""
    yield "["
    before = ""
    for answer in answers:
        if before:
            yield f"{before},"
        before = to_json(answer)
    yield from filter(None, [before])
    yield "]"


def tab_separated_lines(
    answers: Iterable[Answer], kind: Kind, labels: tuple[str, ...], wanted: Wanted
) -> Iterator[str]:
    """The kind's columns, text and the second text, if any; an error stands in the column of the text.

    A line is one row: what would break it becomes a space.
    """
    columns = kind.columns(labels, wanted)
    for answer in answers:
        said, texts = _cells(answer, kind, wanted, len(columns))
        yield "\t".join([*said, *texts])


def aligned_lines(
    answers: Iterable[Answer], kind: Kind, labels: tuple[str, ...], wanted: Wanted
) -> Iterator[str]:
    """The same in columns for people, below a line that names them."""
    from rich.cells import cell_len, set_cell_size

    columns = kind.columns(labels, wanted)
    longest = max(map(cell_len, labels), default=0)
    widths = [max(cell_len(name), longest if of is str else 0) for name, of in columns.items()]
    yield "  ".join([*map(set_cell_size, columns, widths), "text"])
    for answer in answers:
        said, texts = _cells(answer, kind, wanted, len(columns))
        cells = [
            set_cell_size(cell, max(width, cell_len(cell))) if column is str else f"{cell:>{width}}"
            for cell, width, column in zip(said, widths, columns.values(), strict=True)
        ]
        yield "  ".join([*cells, "  |  ".join(texts)])


def _cells(answer: Answer, kind: Kind, wanted: Wanted, width: int) -> tuple[list[str], list[str]]:
    if "error" in answer:
        return [""] * width, [CONTROL.sub(" ", answer["error"])]
    texts = [CONTROL.sub(" ", answer[key]) for key in kind.shown if key in answer]
    cells = kind.cells(answer, wanted)
    return [_shown(cell) for cell in cells], texts


def _shown(cell: Any) -> str:
    """A cell in a line; of a list its parts, of an entity its text and label."""
    if isinstance(cell, float):
        return f"{cell:.4f}"
    if isinstance(cell, list):
        entities = any(isinstance(part, dict) for part in cell)
        return ("; " if entities else " ").join(map(_shown, cell))
    if isinstance(cell, dict):
        return f"{_shown(cell['text'])} ({_shown(cell['label'])})"
    return CONTROL.sub(" ", str(cell))
