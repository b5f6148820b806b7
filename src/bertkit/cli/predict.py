"""Label raw text with a trained model: the texts of files, of standard input, or of the command line itself.

Answers come in the order of the input, a line for each row: label, its probability, text. A row that cannot
be read, or has no text, is reported and keeps its place, with no label and with the reason for a text; the
exit code is then 2.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bertkit.cli.recipes import add_window_arguments
from bertkit.errors import UserError

if TYPE_CHECKING:
    from bertkit.data.tables import BadRow, Row
    from bertkit.infer.predict import Answer, Tally

FORMATS = ("tsv", "csv", "jsonl", "txt", "parquet")
EXAMPLES = """examples:
  bertkit predict RUN --say 'The book was read.' --say 'The book was reading.'
  bertkit predict RUN sentences.txt                        one text a line
  zcat old.gz | bertkit predict RUN                        the same from standard input
  bertkit predict RUN reviews.csv --text review --json     a column of a table; all probabilities
  bertkit predict RUN pairs.jsonl --text first --pair second -o answers.tsv"""
# A line of output is one row: what would break a line, a column or a terminal becomes a space.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add("model", help="a run or a model folder")
    add(
        "files",
        nargs="*",
        type=source,
        metavar="FILE",
        help="TXT, TSV, CSV, JSONL or Parquet; none is standard input",
    )
    add("--say", action="append", default=[], metavar="TEXT", help="a text to label; may be repeated")
    add("--say-pair", action="append", default=[], metavar="TEXT", help="the second text of each --say")
    add("--text", metavar="COLUMN", help="column of the text: a name, or a number from 1 (default: text)")
    add("--pair", metavar="COLUMN", help="column of the second text, if there are pairs")
    add(
        "--header",
        choices=("auto", "yes", "no"),
        default="auto",
        help="whether the first line names the columns",
    )
    add(
        "--format",
        choices=FORMATS,
        help="what the files are, where their names do not tell; standard input is txt",
    )
    add_window_arguments(parser)
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="auto, fp32 or bf16")
    add("--json", action="store_true", help="print a list of objects, with the probabilities of all labels")
    add(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="write to this file; one named .json holds what --json prints",
    )
    add("--overwrite", action="store_true", help="replace the file that is there")


def run(arguments: argparse.Namespace) -> int:
    """Answer every row; 2 if some could not be answered."""
    check_out(arguments.out, arguments.overwrite)
    _check_sources(arguments)
    from bertkit.checkpoint.atomic import replace_file
    from bertkit.infer.model import load
    from bertkit.infer.predict import ROWS_AT_ONCE, Tally

    windows = {"window": arguments.window, "stride": arguments.stride}
    predictor = load(arguments.model, precision=arguments.precision, **windows).predictor
    typed = not arguments.say and not arguments.files and os.isatty(0)
    if typed:
        print("Type one text a line; Ctrl-D ends.", file=sys.stderr)
    tally = Tally()
    # What is typed is answered line by line.
    answers = predictor.predict_rows(_rows(arguments), tally, at_once=1 if typed else ROWS_AT_ONCE)
    if sys.stderr.isatty() and (arguments.out or not sys.stdout.isatty()) and _readable_twice(arguments):
        answers = _with_bar(answers, arguments)
    answers = _report_errors(answers)
    with ExitStack() as stack:
        out: TextIO = sys.stdout
        if arguments.out is not None:
            written = stack.enter_context(replace_file(arguments.out))
            out = stack.enter_context(written.open("w", encoding="utf-8"))
        if arguments.json or (arguments.out is not None and arguments.out.suffix == ".json"):
            lines = json_lines(answers)
        elif out.isatty():
            lines = aligned_lines(answers, predictor.labels)
        else:
            lines = tab_separated_lines(answers)
        for line in lines:
            print(line, file=out)
    _report_tally(tally, predictor.reading.longest)
    return 2 if tally.bad else 0


def json_lines(answers: Iterable[Answer]) -> Iterator[str]:
    """A JSON list, an answer a line."""
    yield "["
    before = ""
    for answer in answers:
        if before:
            yield f"{before},"
        before = json.dumps(answer, ensure_ascii=False)
    yield from filter(None, [before])
    yield "]"


def tab_separated_lines(answers: Iterable[Answer]) -> Iterator[str]:
    """Label, probability, text and the second text, if any; an error stands in the column of the text."""
    for answer in answers:
        yield "\t".join(_cells(answer))


def aligned_lines(answers: Iterable[Answer], labels: Sequence[str]) -> Iterator[str]:
    """The same in columns for people, below a line that names them."""
    from rich.cells import cell_len, set_cell_size

    width = max(cell_len(label) for label in (*labels, "label"))
    yield f"{set_cell_size('label', width)}  probability  text"
    for answer in answers:
        label, probability, *texts = _cells(answer)
        yield f"{set_cell_size(label, width)}  {probability:>11}  {'  |  '.join(texts)}"


def _cells(answer: Answer) -> list[str]:
    if "error" in answer:
        return ["", "", CONTROL.sub(" ", answer["error"])]
    texts = [answer[key] for key in ("label", "text", "pair") if key in answer]
    label, *texts = (CONTROL.sub(" ", text) for text in texts)
    return [label, f"{answer['probabilities'][answer['label']]:.4f}", *texts]


def source(name: str) -> Path:
    """A file named on the command line."""
    from bertkit.data.files import STANDARD_INPUT

    return STANDARD_INPUT if name == "-" else Path(name)


def check_out(out: Path | None, overwrite: bool) -> None:
    """Refuse, before anything is computed, a file that could not be written after it."""
    if out is None:
        return
    if out.is_dir():
        raise UserError(f"{out} is a folder; name a file in it.")
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; choose another name or say --overwrite to replace it.")
    if not out.parent.is_dir():
        raise UserError(f"There is no folder {out.parent} to write {out.name} in; make it first.")


def _check_sources(arguments: argparse.Namespace) -> None:
    """Refuse the last file of many before the first one is answered."""
    from bertkit.data.files import open_bytes

    if len(arguments.say_pair) not in (0, len(arguments.say)):
        raise UserError(f"There are {len(arguments.say)} --say but {len(arguments.say_pair)} --say-pair.")
    if arguments.say and arguments.files:
        raise UserError("Give either files or --say, not both.")
    for path in arguments.files:
        ending_of(path, arguments.format)
        if not path.is_fifo():  # which can be opened only once
            open_bytes(path).close()


def _readable_twice(arguments: argparse.Namespace) -> bool:
    return bool(arguments.files) and all(path.is_file() for path in arguments.files)


def _rows(arguments: argparse.Namespace) -> Iterator[Row | BadRow]:
    """All rows of all sources, from the start."""
    from bertkit.data.files import STANDARD_INPUT
    from bertkit.data.tables import Columns
    from bertkit.infer.predict import rows_to_answer

    if arguments.say:
        yield from _said(arguments.say, arguments.say_pair)
        return
    for path in arguments.files or [STANDARD_INPUT]:
        ending = ending_of(path, arguments.format)
        text = arguments.text or ("1" if ending == ".txt" else "text")
        header = {"auto": None, "yes": True, "no": False}[arguments.header]
        yield from rows_to_answer(path, Columns(text=text, pair=arguments.pair), header=header, ending=ending)


def ending_of(path: Path, asked: str | None) -> str:
    """Which of `tables.READERS` reads the file."""
    from bertkit.data.files import STANDARD_INPUT
    from bertkit.data.tables import table_ending

    if asked:
        return f".{asked}"
    return ".txt" if path == STANDARD_INPUT else table_ending(path)


def _said(texts: list[str], pairs: list[str]) -> Iterator[Row | BadRow]:
    from bertkit.data.tables import BadRow, Row, text_problem

    for number, (text, pair) in enumerate(zip_longest(texts, pairs), 1):
        blank = not text.strip() or (pair is not None and not pair.strip())
        problem = "is empty" if blank else text_problem(text) or (pair and text_problem(pair))
        yield BadRow(number, f"The text {number} of --say {problem}.") if problem else Row(number, text, pair)


def _with_bar(answers: Iterator[Answer], arguments: argparse.Namespace) -> Iterator[Answer]:
    """Show on standard error how far it is. Counting the rows first takes a thousandth of the whole time."""
    from rich.console import Console
    from rich.progress import Progress

    total = sum(1 for _ in _rows(arguments))
    console = Console(stderr=True)
    with Progress(console=console, transient=True, redirect_stdout=False) as progress:
        yield from progress.track(answers, total=total, description="predicting")


def _report_errors(answers: Iterator[Answer]) -> Iterator[Answer]:
    for answer in answers:
        if "error" in answer:
            print(f"bertkit: {answer['error']}", file=sys.stderr)
        yield answer


def _report_tally(tally: Tally, max_length: int) -> None:
    if tally.truncated:
        print(f"bertkit: {tally.truncated:,} texts were cut to {max_length} pieces.", file=sys.stderr)
    if tally.bad:
        print(f"bertkit: {tally.bad:,} of {tally.rows:,} rows have no answer.", file=sys.stderr)
