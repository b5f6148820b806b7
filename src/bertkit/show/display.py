"""What a person sees of a command that takes long: what all show alike, and how a corpus is prepared."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from bertkit.data.fetch import FetchListener
from bertkit.diagnose.classes import CLASS_HEADS, class_lines
from bertkit.errors import printable

if TYPE_CHECKING:
    from bertkit.data.prepare import Progress as Prepared

BAR_WIDTH = 24
CLASSES_SHOWN = 12
"""Beyond these a table is no longer read by a person."""
# Without a terminal there is no bar: a line of progress every so many seconds instead.
SECONDS_BETWEEN_LINES = 60.0


class PlainConsole(Console):
    """Prints what it is given, as it is.

    On a terminal lines wrap at spaces, below where their words began, and a table that is too wide becomes a
    block a row. Where there is none, for those who search in it, lines and tables stay whole. Of what a
    stranger's file says no control character is printed.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See `rich.console.Console.render`: all that is printed comes this way."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console.render_str`: so that the width of cells is that of what is printed."""
        return super().render_str(printable(text), **options)

    def say(self, text: Text | str, style: str = "") -> None:
        """Print prose: lines that may be wrapped."""
        if not self.is_terminal:
            self.print(text, style=style or None, soft_wrap=True)
            return
        whole = text.copy() if isinstance(text, Text) else Text(text)
        whole.stylize(style)
        for line in whole.split("\n", allow_blank=True):
            indent = len(line.plain) - len(line.plain.lstrip())
            self.print(Padding(line[indent:], (0, 0, 0, indent)))

    def show(self, table: Table) -> None:
        """Print a table that has a heading."""
        wanted = Measurement.get(self, self.options.update(max_width=10_000), table).maximum
        if not self.is_terminal and wanted > self.width:
            usual, self.width = self.width, wanted
            self.print(table)
            self.width = usual
        elif wanted <= self.width:
            self.print(table)
        else:
            self._show_blocks(table)

    def _show_blocks(self, table: Table) -> None:
        if table.title:
            self.say(table.title if isinstance(table.title, Text) else str(table.title))
        first, *others = ([_plain(cell) for cell in (each.header, *each.cells)] for each in table.columns)
        for number, name in enumerate(first[1:], 1):
            self.say(name or "-", "bold")
            for cells in others:
                if cells[number]:
                    self.say(f"  {cells[0]}: {cells[number]}")


def _plain(cell: RenderableType) -> str:
    return cell.plain if isinstance(cell, Text) else str(cell)


def with_options(text: str, options: Mapping[str, str]) -> str:
    """A text in which `--set KEY=VALUE` is the option that stands for the key, where `options` has one."""

    def typed(found: re.Match[str]) -> str:
        flag = options.get(found[1])
        return found[0] if flag is None else f"{flag} {found[2]}"

    return re.sub(r"--set ([\w.]+)=(\S*[^\s.,;)])", typed, text)


def plain_console(*, to_stderr: bool = False) -> PlainConsole:
    """Such a console; on standard error where programs read the output."""
    return PlainConsole(stderr=to_stderr)


def named_rows(rows: Mapping[str, str]) -> Table:
    """Names in bold, and beside each what there is to say of it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, text in rows.items():
        grid.add_row(name, text)
    return grid


def class_table(result: Mapping[str, Any]) -> Table | None:
    """Precision, recall and F1 of each class or label, of the largest and the smallest of many; else None."""
    found = result.get("by_class") or result.get("by_label")
    if not found:
        return None
    heads = [Column(head, justify="right" if place else "left") for place, head in enumerate(CLASS_HEADS)]
    what = "label" if "by_label" in result else "type" if result.get("scheme") else "class"
    table = Table(*heads, title=f"by {what}", title_justify="left")
    for line in class_lines(found, CLASSES_SHOWN):
        table.add_row(*line)
    return table


def transient_bar(console: Console, *columns: ProgressColumn) -> Progress:
    """A bar that leaves no trace, and that stands only on terminals, and in notebooks with ipywidgets."""
    stands = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
    return Progress(*columns, console=console, transient=True, disable=not stands)


class BarDisplay:
    """A bar while something goes on. A context manager: the bar is taken down whatever happens.

    Args:
        console: where the bar stands, and lines above it.
        columns: what the bar is made of.
    """

    def __init__(self, console: PlainConsole, *columns: ProgressColumn) -> None:
        self._console = console
        self._bar = transient_bar(console, *columns)
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if error is not None and (words := self._last_words(error)):
            self._console.say(words)

    def _last_words(self, error: BaseException) -> str:
        """How to go on after the command ended so; empty where there is nothing to say."""
        return ""

    def _say_at_times(self, line: str) -> None:
        """Print a line of progress where there is no bar and it is time for one."""
        if not self._console.is_terminal and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.say(f"  {line}")


class RowsDisplay(BarDisplay):
    """Shows on standard error how far the rows of a table have come; see `infer.rows.Progress`.

    What is left is told by tokens, for rows are of unlike length: those of the rows that were read are known,
    and those of the others guessed from their characters.

    Args:
        doing: a word for what is done with them.
    """

    def __init__(self, doing: str) -> None:
        super().__init__(
            plain_console(to_stderr=True),
            TextColumn(doing),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[line]}"),
        )
        self._doing = doing
        self._rows, self._characters = 0, 0
        self._done, self._tokens_done = 0.0, 0
        self._seen, self._tokens_seen = 0, 0
        self._began = time.monotonic()
        self._task = self._bar.add_task("", total=None, line="")

    def begin(self, rows: int, characters: int) -> None:
        """There are so many rows, of so many characters; without this call nobody knows."""
        self._began = time.monotonic()
        self._rows, self._characters = rows, characters
        self._bar.update(self._task, total=rows)

    def block(self, characters: int, tokens: int) -> None:
        """Rows of so many characters were read, which are so many tokens to compute."""
        self._seen += characters
        self._tokens_seen += tokens

    def done(self, rows: float, tokens: int) -> None:
        """So many more rows, of so many tokens, are done."""
        self._done += rows
        self._tokens_done += tokens
        line = self.line(time.monotonic() - self._began)
        self._bar.update(self._task, completed=self._done, line=line)
        self._say_at_times(f"{self._doing}: {line}")

    def line(self, seconds: float) -> str:
        """Rows done, their speed and the time left after so many seconds."""
        of = f" of {self._rows:,}" if self._rows else ""
        line = f"{round(self._done):,}{of} rows  {self._done / max(seconds, 1e-3):,.0f} rows/s"
        if not self._rows or not self._tokens_done:
            return line
        unread = max(0, self._characters - self._seen) * self._tokens_seen / max(self._seen, 1)
        left = seconds * (self._tokens_seen - self._tokens_done + unread) / self._tokens_done
        return f"{line}  {timedelta(seconds=round(left))} left"


class PrepareDisplay(BarDisplay):
    """Shows the preparation of a corpus to people: a bar and a report.

    Args:
        to_stderr: leave standard output to programs.
        out: the folder of shards.
        piped: some of the text comes from standard input.
    """

    def __init__(self, *, to_stderr: bool, out: Path, piped: bool) -> None:
        super().__init__(
            plain_console(to_stderr=to_stderr),
            DownloadColumn(),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[documents]:,} documents  {task.fields[speed]:.1f} MB/s"),
            TimeRemainingColumn(),
        )
        self._out = out
        self._piped = piped
        self._begin = time.monotonic()
        self._before = 0
        self._begun = False

    def _last_words(self, error: BaseException) -> str:
        if not self._begun or not isinstance(error, KeyboardInterrupt | OSError):
            return ""
        if self._piped:
            return (
                "Standard input cannot be read again: what was done is of no use; say --overwrite next time."
            )
        return f"{shlex.quote(str(self._out))} is half done: the same command goes on where it was."

    def started(self, files: int, progress: Prepared) -> None:
        """Begin the bar."""
        self._begun = True
        self._begin = time.monotonic()
        self._before = progress.characters
        if progress.documents:
            self._console.print(f"Going on after {progress.documents:,} documents.")
        self._task = self._bar.add_task("", total=progress.total or None, documents=0, speed=0.0)
        self.progressed(progress)

    def progressed(self, progress: Prepared) -> None:
        """Move the bar; the speed is of text, not of its compressed form."""
        seconds = max(time.monotonic() - self._begin, 1e-3)
        speed = (progress.characters - self._before) / 1e6 / seconds
        self._bar.update(self._task, completed=progress.bytes, documents=progress.documents, speed=speed)
        share = f"{progress.bytes / progress.total:.0%}, " if progress.total else ""
        self._say_at_times(f"{share}{progress.documents:,} documents, {speed:.1f} MB/s")

    def finished(self, result: dict[str, Any]) -> None:
        """Print the report."""
        self._bar.stop()
        self._console.print(named_rows(_report(result)))
        for sentence in _warnings(result):
            self._console.say(sentence, "yellow")


# Share of words, and of characters, from which on a person is told.
MANY_UNKNOWN = 0.03
MANY_SIGNS = 0.001


class FetchDisplay(BarDisplay, FetchListener):
    """Shows on standard error how far downloads have come; see `data.fetch.FetchListener`."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=BAR_WIDTH), DownloadColumn())
        super().__init__(plain_console(to_stderr=True), *columns, TimeRemainingColumn())
        self._task = self._bar.add_task("", total=None)
        self._name, self._done, self._total = "", 0, 0

    def began(self, name: str, done: int, total: int) -> None:
        """The download of that file goes on from `done` bytes of `total`, 0 where that is not known."""
        self._name, self._done, self._total = name, done, total
        self._bar.reset(self._task, description=name, total=total or None, completed=done)

    def moved(self, count: int) -> None:
        """So many more bytes are here."""
        self._done += count
        self._bar.update(self._task, completed=self._done)
        of = f" of {self._total / 1e6:,.1f}" if self._total else ""
        self._say_at_times(f"{self._name}: {self._done / 1e6:,.1f}{of} MB")


def _warnings(result: dict[str, Any]) -> list[str]:
    """What would spoil a training and is no problem of reading."""
    found = []
    if result["unknown"] > MANY_UNKNOWN:
        found.append(
            f"{result['unknown']:.1%} of the words are [UNK]: the vocabulary is of another language, case or "
            "kind of text. Learn one from this text with `bertkit vocab`, or see --cased, --strip-accents, "
            "--split-cjk."
        )
    if result["vowel_signs"] > MANY_SIGNS * result["characters"]:
        found.append(
            f"{result['vowel_signs']:,} vowel signs of the text are lost, for lower case strips accents, and "
            "different words become one. Learn a vocabulary with `bertkit vocab --no-strip-accents`."
        )
    return found


ONE_A = {"auto": "", "files": ", one a file", "blank": ", between blank lines", "lines": ", one a line"}
"""How documents of plain text were told apart, where it was asked for or is so for a whole folder."""


def _report(result: dict[str, Any]) -> dict[str, str]:
    """The report for people."""
    held = result["splits"]["heldout"]
    rows = {
        "shards": result["shards"],
        "documents": f"{result['documents']:,}{ONE_A[result['layout']]}, "
        f"of which {held['documents']:,} held out",
        "left out": f"{result['duplicates']:,} duplicates, {result['dropped']:,} without a word",
        "sentences": f"{result['sentences']:,}: {_lengths(result['sentence_lengths'])}",
        "tokens": f"{result['tokens']:,}, {result['tokens_per_word']:.3f} a word; "
        f"{result['unknown']:.3%} of the words are [UNK]",
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
        f"median {percentiles['50']:,} tokens, 90 % have at most {percentiles['90']:,}, "
        f"the longest {percentiles['100']:,}"
    )
