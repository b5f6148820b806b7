"""Say what may stand at each [MASK] of a text: the likeliest tokens, with their probabilities.

Texts come from the command line, from files, or from standard input, a text a line. Several masks of one text
are filled each for itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from bertkit.cli.arguments import add_shared, ending_of, source, text_options
from bertkit.cli.predict import json_lines
from bertkit.errors import CONTROL, UserError

if TYPE_CHECKING:
    from bertkit.infer.masked import Filled

EXAMPLES = """examples:
  bertkit fill RUN 'the man went to the [MASK] .'
  bertkit fill RUN --top 10 'she [MASK] the door .' 'he lost [MASK] keys .' --json
  bertkit fill RUN --file gaps.txt                         one text a line
  bertkit fill RUN --file gaps.csv --column sentence       a column of a table"""
TEXTS_AT_ONCE = 1_024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", help="a pretrained run or model folder")
    add("texts", nargs="*", metavar="TEXT", help="with at least one [MASK]; none is standard input")
    add("--top", type=int, default=5, metavar="N", help="candidates for each mask (default: 5)")
    add(
        "--file",
        action="append",
        default=[],
        type=source,
        metavar="FILE",
        help="read the texts of a TXT, TSV, CSV, JSONL or Parquet file; may be repeated",
    )
    add("--column", metavar="COLUMN", help="of the file: a name, or a number from 1 (default: text)")
    add_shared(parser, "--format", "--separator", "--encoding", "--precision")
    add("--json", action="store_true", help="print a list of objects, one a text")


def run(arguments: argparse.Namespace) -> int:
    """Fill and print."""
    if arguments.texts and arguments.file:
        raise UserError("Give either texts or --file, not both.")
    if arguments.top < 1:
        raise UserError(f"--top must be at least 1, not {arguments.top}.")
    for text in arguments.texts:
        if "[MASK]" not in text and Path(text).is_file():
            raise UserError(f"{text} is a file; to fill the texts in it say --file {text}.")
    from bertkit.infer.masked import fill
    from bertkit.infer.model import load

    model = load(arguments.model, precision=arguments.precision).masked
    typed = not arguments.texts and not arguments.file and os.isatty(0)
    if typed:
        print("Type one text a line; Ctrl-D ends.", file=sys.stderr)

    def answers() -> Iterator[Filled]:
        following = _texts(arguments)
        while together := list(islice(following, 1 if typed else TEXTS_AT_ONCE)):
            places, texts = zip(*together, strict=True)
            yield from fill(model, texts, top=arguments.top, places=places)

    for line in json_lines(answers()) if arguments.json else _lines(answers()):
        print(line)
    return 0


def _texts(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """What messages call each text, and the text."""
    yield from ((f"Text {number}", text) for number, text in enumerate(arguments.texts, 1))
    if arguments.texts:
        return
    from bertkit.data.files import STANDARD_INPUT
    from bertkit.data.tables import Columns, place, read_rows

    for path in arguments.file or [STANDARD_INPUT]:
        ending = ending_of(path, arguments.format)
        column = arguments.column or ("1" if ending == ".txt" else "text")
        for row in read_rows(path, Columns(column), ending=ending, **text_options(arguments)):
            yield place(path, row.line), row.text


def _lines(answers: Iterator[Filled]) -> Iterator[str]:
    """What a person reads: the text, and below it each mask's candidates."""
    for answer in answers:
        yield CONTROL.sub(" ", answer["text"])
        several = len(answer["masks"]) > 1
        for number, mask in enumerate(answer["masks"], 1):
            if several:
                yield f"  mask {number}"
            for candidate in mask["candidates"]:
                yield f"  {candidate['probability']:.4f}  {candidate['token']}"
        yield f"  > {CONTROL.sub(' ', answer['filled'])}"
