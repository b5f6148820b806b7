"""Label raw text with a trained model: the texts of files, of standard input, or of the command line itself.

Answers come in the order of the input, a line for each row: label and its probability, or a score, then the
text. A row that cannot be read, or has no text, is reported and keeps its place, with no label and with the
reason for a text; the exit code is then 2.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from bertkit.cli.arguments import (
    add_input_arguments,
    add_shared,
    check_out,
    check_sources,
    count_rows,
    input_rows,
    report_tally,
    stderr_bar,
)
from bertkit.cli.parser import group
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from bertkit.infer.predict import Answer
    from bertkit.tasks.kind import Kind

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
    parser.add_argument("model", help="a run or a model folder")
    add_input_arguments(parser)
    add = group(parser, "output").add_argument
    add("--json", action="store_true", help="print a list of objects, with the probabilities of all labels")
    add(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="write to this file; one named .json holds what --json prints (default: standard output)",
    )
    add_shared(parser, "--overwrite")


def run(arguments: argparse.Namespace) -> int:
    """Answer every row; 2 if some could not be answered."""
    check_out(arguments.out, arguments.overwrite)
    check_sources(arguments)
    from bertkit.checkpoint.atomic import replace_file
    from bertkit.infer.model import load
    from bertkit.infer.rows import ROWS_AT_ONCE, Tally

    windows = {"window": arguments.window, "stride": arguments.stride}
    predictor = load(arguments.model, precision=arguments.precision, **windows).predictor
    typed = not arguments.say and not arguments.files and os.isatty(0)
    if typed:
        print("Type one text a line; Ctrl-D ends.", file=sys.stderr)
    tally = Tally()
    # What is typed is answered line by line.
    answers = predictor.predict_rows(input_rows(arguments), tally, at_once=1 if typed else ROWS_AT_ONCE)
    with ExitStack() as stack:
        # Lines that a terminal shows are progress enough.
        total = count_rows(arguments) if arguments.out or not sys.stdout.isatty() else 0
        answers = _told(answers, stack.enter_context(stderr_bar("predicting", total)))
        out: TextIO = sys.stdout
        if arguments.out is not None:
            written = stack.enter_context(replace_file(arguments.out))
            out = stack.enter_context(written.open("w", encoding="utf-8"))
        if arguments.json or (arguments.out is not None and arguments.out.suffix == ".json"):
            lines = json_lines(answers)
        elif out.isatty():
            lines = aligned_lines(answers, predictor.kind, predictor.labels)
        else:
            lines = tab_separated_lines(answers, predictor.kind)
        for line in lines:
            print(line, file=out)
    report_tally(tally, predictor.reading.longest, "answer")
    return 2 if tally.bad else 0


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


def tab_separated_lines(answers: Iterable[Answer], kind: Kind) -> Iterator[str]:
    """The kind's columns, text and the second text, if any; an error stands in the column of the text."""
    for answer in answers:
        said, texts = _cells(answer, kind)
        yield "\t".join([*said, *texts])


def aligned_lines(answers: Iterable[Answer], kind: Kind, labels: Sequence[str]) -> Iterator[str]:
    """The same in columns for people, below a line that names them."""
    from rich.cells import cell_len, set_cell_size

    first, *others = kind.columns
    width = max(cell_len(label) for label in (*labels, first))
    yield "  ".join([set_cell_size(first, width), *others, "text"])
    for answer in answers:
        (label, *more), texts = _cells(answer, kind)
        cells = [f"{cell:>{len(name)}}" for cell, name in zip(more, others, strict=True)]
        yield "  ".join([set_cell_size(label, width), *cells, "  |  ".join(texts)])


def _cells(answer: Answer, kind: Kind) -> tuple[list[str], list[str]]:
    if "error" in answer:
        return [""] * len(kind.columns), [CONTROL.sub(" ", answer["error"])]
    texts = [CONTROL.sub(" ", answer[key]) for key in ("text", "pair") if key in answer]
    return [CONTROL.sub(" ", cell) for cell in kind.cells(answer)], texts


def _told(answers: Iterator[Answer], advance: Callable[[int], None]) -> Iterator[Answer]:
    """The answers, while the bar moves and errors are reported."""
    for answer in answers:
        if "error" in answer:
            print(f"bertkit: {answer['error']}", file=sys.stderr)
        yield answer
        advance(1)
