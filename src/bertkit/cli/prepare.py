"""Cut text into pieces for pretraining, once: into a folder of memory-mapped shards.

Interrupted at any moment, the same command goes on where it was. The shards depend on the text and the
options, not on the number of workers. Documents whose text stood before are dropped.
"""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bertkit.config import check_at_least
from bertkit.errors import UserError

if TYPE_CHECKING:
    from bertkit.data.prepare import Options, Progress
    from bertkit.text.tokenizer import Tokenizer

FORMATS = ("txt", "jsonl", "parquet", "tsv", "csv")
SEGMENTERS = ("jieba",)
# Without a terminal there is no bar: a line of progress every so many seconds instead.
SECONDS_BETWEEN_LINES = 30.0
EXAMPLES = """examples:
  bertkit prepare corpus/*.jsonl.gz --vocab vocab.txt -o shards      a document a line, its key "text"
  bertkit prepare books/ --model RUN -o shards                       all text files in a folder
  bertkit prepare google.txt --vocab vocab.txt -o shards --sentences lines
                                  a sentence a line, blank lines between documents
  zcat old.gz | bertkit prepare - --vocab vocab.txt -o shards        cannot be continued if interrupted"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    add = parser.add_argument
    add(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="files (plain text, JSON lines, Parquet, TSV, CSV; all but Parquet also as .gz or .zst), "
        "folders of such files, patterns in quotes, or - for standard input",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--vocab", type=Path, metavar="FILE", help="the vocab.txt to cut with, uncased")
    which.add_argument("--model", metavar="DIR", help="cut with the tokenizer of this run or model folder")
    add("--cased", action="store_true", help="with --vocab: keep upper and lower case, and accents")
    add("-o", "--out", type=Path, required=True, metavar="SHARDS", help="the folder to make")
    add(
        "--heldout",
        type=_share,
        default=0.005,
        metavar="SHARE",
        help="share of the documents to hold out, such as 0.5%% (default) or 0.005; a hash of the text "
        "chooses",
    )
    add(
        "--sentences",
        default="auto",
        metavar="HOW",
        help="where sentences end: auto (default) splits lines by rules that know the full stops of all "
        "scripts and the abbreviations of English; de, zh, ... by those of a language; lines: each line is a "
        "sentence; length:N: after N pieces, wherever lines end",
    )
    add(
        "--documents",
        choices=("auto", "blank", "lines"),
        default="auto",
        help="documents of plain text: blank (between blank lines), lines (a document a line), or auto "
        "(default): blank if lines are sentences or there is a blank line in the first million characters of "
        "the file, else lines",
    )
    add("--column", "--field", metavar="NAME", help="where the text is: a name, or a number from 1 (text)")
    add(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first row of TSV and CSV names columns; by default if the column is given by name",
    )
    add("--format", choices=FORMATS, help="what all files are, where their names do not tell")
    add("--words", choices=SEGMENTERS, help="find Chinese words, for masking whole ones")
    add("--workers", type=int, metavar="N", help="processes; by default one for each processor")
    add("--strict", action="store_true", help="stop at the first place that cannot be read")
    add("--overwrite", action="store_true", help="replace the shards that are there, finished or not")
    add("--json", action="store_true", help="print the result object alone on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    if arguments.workers is not None:
        check_at_least("prepare", "workers", arguments.workers, 1)
    if arguments.cased and arguments.model:
        raise UserError("--cased is for --vocab; a model folder says itself whether it is cased.")

    from bertkit.data.prepare import prepare

    with Display(arguments) as display:
        result = prepare(
            arguments.texts,
            _tokenizer(arguments),
            arguments.out,
            _options(arguments),
            workers=arguments.workers,
            strict=arguments.strict,
            overwrite=arguments.overwrite,
            listener=display,
        )
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def _tokenizer(arguments: argparse.Namespace) -> Tokenizer:
    from bertkit.text.tokenizer import Tokenizer

    if arguments.vocab:
        return Tokenizer.from_vocabulary(arguments.vocab, lowercase=not arguments.cased)
    from bertkit.checkpoint.folder import read_tokenizer
    from bertkit.checkpoint.locate import find_model

    folder = find_model(arguments.model)
    if folder is None:
        raise UserError(f"{arguments.model} is a preset, which has no vocabulary; name one with --vocab.")
    return read_tokenizer(folder)


def _options(arguments: argparse.Namespace) -> Options:
    from bertkit.data.corpus import Reading
    from bertkit.data.prepare import Options

    layout = arguments.documents
    if layout == "auto" and arguments.sentences == "lines":
        layout = "blank"
    return Options(
        heldout=arguments.heldout,
        sentences=arguments.sentences,
        words=arguments.words,
        reading=Reading(
            layout=layout,
            column=arguments.column,
            header=arguments.header,
            kind=f".{arguments.format}" if arguments.format else None,
        ),
    )


def _share(text: str) -> float:
    """`0.5%` or `0.005`."""
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


class Display:
    """What a person sees: a bar and the report. A context manager: the bar goes whatever happens."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        self._out: Path = arguments.out
        self._piped = "-" in arguments.texts
        self._console = Console(stderr=arguments.json, highlight=False, markup=False, emoji=False)
        self._bar = Progress(
            DownloadColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[documents]:,} documents  {task.fields[speed]:.1f} MB/s"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._begin = self._said = time.monotonic()
        self._before = 0
        self._begun = False

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if not self._begun or not isinstance(error, KeyboardInterrupt | OSError):
            return
        if self._piped:
            text = (
                "Standard input cannot be read again: what was done is of no use; say --overwrite next time."
            )
        else:
            text = f"{shlex.quote(str(self._out))} is half done: the same command goes on where it was."
        self._console.print(text, soft_wrap=True)

    def started(self, files: int, progress: Progress) -> None:
        """Begin the bar."""
        self._begun = True
        self._begin = self._said = time.monotonic()
        self._before = progress.characters
        if progress.documents:
            self._console.print(f"Going on after {progress.documents:,} documents.")
        self._task = self._bar.add_task("", total=progress.total or None, documents=0, speed=0.0)
        self._bar.start()
        self.progressed(progress)

    def progressed(self, progress: Progress) -> None:
        """Move the bar; the speed is of text, not of its compressed form."""
        seconds = max(time.monotonic() - self._begin, 1e-3)
        speed = (progress.characters - self._before) / 1e6 / seconds
        self._bar.update(self._task, completed=progress.bytes, documents=progress.documents, speed=speed)
        if not self._console.is_terminal and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            share = f"{progress.bytes / progress.total:.0%}, " if progress.total else ""
            self._console.print(f"  {share}{progress.documents:,} documents, {speed:.1f} MB/s")

    def finished(self, result: dict[str, Any]) -> None:
        """Print the report."""
        from rich.table import Table

        self._bar.stop()
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold")
        grid.add_column(overflow="fold")
        for name, text in _rows(result).items():
            grid.add_row(name, text)
        self._console.print(grid)


def _rows(result: dict[str, Any]) -> dict[str, str]:
    """The report for people."""
    held = result["splits"]["heldout"]
    rows = {
        "shards": result["shards"],
        "documents": f"{result['documents']:,}, of which {held['documents']:,} held out",
        "left out": f"{result['duplicates']:,} duplicates, {result['dropped']:,} without a word",
        "sentences": f"{result['sentences']:,}: {_lengths(result['sentence_lengths'])}",
        "pieces": f"{result['pieces']:,}, {result['pieces_per_word']:.3f} a word; "
        f"{result['unknown']:.3%} of the words unknown",
        "a document": _lengths(result["document_lengths"]),
        "problems": "none",
        "as the model sees it": "\n".join(result["samples"]),
        "time": f"{result['seconds']:.1f} s",
    }
    if result["passed_over"]:
        rows["passed over"] = f"{result['passed_over']:,} files in folders, whose endings tell no format"
    if result["problems"]:
        shown = result["first_problems"]
        more = f"\nall in {result['shards']}/problems.txt" if len(shown) < result["problems"] else ""
        rows["problems"] = f"{result['problems']:,} places could not be read:\n" + "\n".join(shown) + more
    return rows


def _lengths(percentiles: dict[str, int]) -> str:
    return (
        f"median {percentiles['50']:,} pieces, 90 % have at most {percentiles['90']:,}, "
        f"the longest {percentiles['100']:,}"
    )
