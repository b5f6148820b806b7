"""What a person sees of the preparation of a corpus: a bar and a report."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn

from bertkit.cli.display import BAR_WIDTH, BarDisplay, named_rows, plain_console
from bertkit.data.prepare import Progress


class PrepareDisplay(BarDisplay):
    """A `Listener` of `prepare` for people.

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

    def started(self, files: int, progress: Progress) -> None:
        """Begin the bar."""
        self._begun = True
        self._begin = time.monotonic()
        self._before = progress.characters
        if progress.documents:
            self._console.print(f"Going on after {progress.documents:,} documents.")
        self._task = self._bar.add_task("", total=progress.total or None, documents=0, speed=0.0)
        self.progressed(progress)

    def progressed(self, progress: Progress) -> None:
        """Move the bar; the speed is of text, not of its compressed form."""
        seconds = max(time.monotonic() - self._begin, 1e-3)
        speed = (progress.characters - self._before) / 1e6 / seconds
        self._bar.update(self._task, completed=progress.bytes, documents=progress.documents, speed=speed)
        share = f"{progress.bytes / progress.total:.0%}, " if progress.total else ""
        self._say_at_times(f"{share}{progress.documents:,} documents, {speed:.1f} MB/s")

    def finished(self, result: dict[str, Any]) -> None:
        """Print the report."""
        self._bar.stop()
        self._console.print(named_rows(_rows(result)))


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
