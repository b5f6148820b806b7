"""What a person sees of a pretraining run: a header, a bar, a line per evaluation, a closing table."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from bertkit.cli.display import SECONDS_BETWEEN_LINES
from bertkit.diagnose.pretrain_verdict import losses
from bertkit.diagnose.wording import duration
from bertkit.health.finding import Finding
from bertkit.train.listener import PretrainFacts
from bertkit.train.loop import StepRecord

SMOOTHING = 0.95


class PretrainDisplay:
    """A `PretrainListener` for people. A context manager: the bar is taken down whatever happens.

    Args:
        to_stderr: leave standard output to programs.
        out: the run folder, named at the end.
    """

    def __init__(self, *, to_stderr: bool, out: Path) -> None:
        self._console = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
        self._out = out
        self._bar = Progress(
            TextColumn("step {task.fields[step]:,}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:.0f} %"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._smooth: dict[str, float] = {}
        self._said = time.monotonic()
        self._finished = False

    def __enter__(self) -> PretrainDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if isinstance(error, KeyboardInterrupt) and self._task is not None and not self._finished:
            command = f"bertkit pretrain -o {shlex.quote(str(self._out))} --resume"
            self._console.print(f"Interrupted. Go on with: {command}", soft_wrap=True)

    def planned(self, facts: PretrainFacts) -> None:
        """Print the header and start the bar."""
        encoder = facts.encoder
        rows = {
            "corpus": f"{facts.corpus}: {facts.documents:,} documents, {facts.train_pieces:,} pieces to "
            f"train on, {facts.heldout_pieces:,} held out",
            "model": f"{facts.model}: {encoder.layers} layers of {encoder.hidden_size}, {encoder.positions} "
            f"positions, {facts.parameters:,} parameters, {encoder.vocabulary_size:,} pieces",
            "machine": f"{facts.precision}, {facts.gemm_rate / 1e9:,.0f} GFLOP/s in large matrix products"
            + (f", {facts.processes} processes" if facts.processes > 1 else ""),
            "floors": f"knowing nothing {facts.uniform:.3f}, knowing word frequencies {facts.unigram:.3f}",
        }
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold")
        grid.add_column(overflow="fold")
        for name, text in rows.items():
            grid.add_row(name, text)
        self._console.print(grid)
        if not facts.heldout_scored:
            self._console.print("There is no held-out text: the training loss alone will be watched.")
        if facts.step:
            self._console.print(f"going on after step {facts.step:,}")
        self._task = self._bar.add_task("", total=1.0, step=facts.step, figures="")

    def found(self, findings: Sequence[Finding]) -> None:
        """Print a line each."""
        for finding in findings:
            style = "red" if finding.weight == "grave" else "yellow"
            self._console.print(f"{finding.weight}: {finding.line}", style=style, soft_wrap=True)

    def stepped(self, record: StepRecord, fraction: float, figures: dict[str, float]) -> None:
        """Move the bar; the figures shown are smoothed over some twenty steps."""
        for name in ("mlm_loss", "pieces_per_second", "gemm_share"):
            if name in figures:
                before = self._smooth.get(name, figures[name])
                self._smooth[name] = SMOOTHING * before + (1 - SMOOTHING) * figures[name]
        shown = (
            f"loss {self._smooth.get('mlm_loss', record.loss):.3f}  lr {record.learning_rate:.1e}  "
            f"{self._smooth['pieces_per_second']:,.0f} pieces/s  "
            f"{self._smooth['gemm_share']:.0%} of GEMM"
        )
        if self._task is not None:
            self._bar.update(self._task, completed=fraction, step=record.step, figures=shown)
        if not self._console.is_terminal and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.print(f"  {fraction:4.0%}  step {record.step:,}  {shown}", soft_wrap=True)

    def evaluated(self, step: int, fraction: float, figures: dict[str, float]) -> None:
        """Print a line."""
        pairs = f", pairs {figures['pair_accuracy']:.1%}" if "pair_accuracy" in figures else ""
        self._console.print(
            f"  {fraction:4.0%}  step {step:,}: held-out loss {figures['mlm_loss']:.3f}, accuracy "
            f"{figures['mlm_accuracy']:.1%}{pairs}",
            soft_wrap=True,
        )

    def told(self, sentence: str) -> None:
        """Print it."""
        self._console.print(sentence, style="bold", soft_wrap=True)

    def finished(self, result: dict[str, Any]) -> None:
        """Print the closing table."""
        self._bar.stop()
        self._finished = True
        self._console.print(losses_table(result))
        self._console.print(
            f"{result['steps']:,} steps, {result['pieces']:,} pieces ({result['epochs']:.2f} times the text) "
            f"in {duration(result['seconds'])}, {result['pieces_per_second']:,.0f} pieces/s\n"
            f"model {self._out / 'model'}\nreport {self._out / 'report.html'}\n"
            f'Use it: bertkit fill {shlex.quote(str(self._out))} "the man went to the [MASK] ."\n'
            f"        bertkit finetune TASK --model {shlex.quote(str(self._out))} -o RUN",
            soft_wrap=True,
        )


def losses_table(result: dict[str, Any]) -> Table:
    """The held-out figures before and after, and the floors."""
    table = Table()
    table.add_column("")
    table.add_column("MLM loss", justify="right")
    table.add_column("perplexity", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("pairs right", justify="right")
    for name, row in losses(result).items():
        shares = [f"{row[key]:.1%}" if key in row else "" for key in ("mlm_accuracy", "pair_accuracy")]
        loss = row["mlm_loss"]
        style = "bold" if name.startswith("after") else None
        table.add_row(name, f"{loss:.3f}", f"{math.exp(loss):,.1f}", *shares, style=style)
    return table
