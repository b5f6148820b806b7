"""What a person sees of a pretraining run: a header, a bar, a line per evaluation, a closing table."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from bertkit.cli.display import BAR_WIDTH, RunDisplay, named_rows
from bertkit.diagnose.verdict import losses
from bertkit.diagnose.wording import duration, perplexity, said
from bertkit.train.listener import PretrainFacts
from bertkit.train.loop import StepRecord


class PretrainDisplay(RunDisplay):
    """A `PretrainListener` for people.

    Args:
        to_stderr: leave standard output to programs.
        out: the run folder, named at the end.
    """

    def __init__(self, *, to_stderr: bool, out: Path) -> None:
        super().__init__(
            "pretrain",
            TextColumn("step {task.fields[step]:,}"),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.percentage:.0f} %"),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            to_stderr=to_stderr,
            out=out,
        )

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
        self._console.print(named_rows(rows))
        if not facts.heldout_scored:
            self._console.print("There is no held-out text: the training loss alone will be watched.")
        if facts.step:
            self._console.print(f"going on after step {facts.step:,}")
        self._task = self._bar.add_task("", total=1.0, step=facts.step, figures="")

    def stepped(self, record: StepRecord, fraction: float, figures: dict[str, float]) -> None:
        """Move the bar; the figures shown are smoothed."""
        for name in ("mlm_loss", "pieces_per_second", "gemm_share"):
            if name in figures:
                self._smoothed(name, figures[name])
        shown = (
            f"loss {self._smooth.get('mlm_loss', record.loss):.3f}  lr {record.learning_rate:.1e}  "
            f"{self._smooth['pieces_per_second']:,.0f} pieces/s  "
            f"{self._smooth['gemm_share']:.0%} of GEMM"
        )
        if self._task is not None:
            self._bar.update(self._task, completed=fraction, step=record.step, figures=shown)
        self._say_at_times(f"{fraction:4.0%}  step {record.step:,}  {shown}")

    def evaluated(self, step: int, fraction: float, figures: dict[str, float]) -> None:
        """Print a line."""
        pairs = f", pairs {figures['pair_accuracy']:.1%}" if "pair_accuracy" in figures else ""
        self._console.print(
            f"  {fraction:4.0%}  step {step:,}: held-out loss {figures['mlm_loss']:.3f}, accuracy "
            f"{figures['mlm_accuracy']:.1%}{pairs}",
            soft_wrap=True,
        )

    def finished(self, result: dict[str, Any]) -> None:
        """Print the closing table."""
        super().finished(result)
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
        table.add_row(name, said(loss, 3), said(perplexity(loss), 1), *shares, style=style)
    return table
