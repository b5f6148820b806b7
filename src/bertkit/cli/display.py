"""What a person sees of a run: a header, a bar, a line per evaluation, a closing table."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bertkit.diagnose.wording import duration, title
from bertkit.health.finding import Finding
from bertkit.train.listener import Plan
from bertkit.train.loop import StepRecord
from bertkit.train.prepare import Facts

# Without a terminal there is no bar: a line of progress every so many seconds instead.
SECONDS_BETWEEN_LINES = 30.0


class Display:
    """A `Listener` for people. A context manager: the bar is taken down whatever happens.

    Args:
        to_stderr: leave standard output to programs.
        out: the run folder, named at the end.
    """

    def __init__(self, *, to_stderr: bool, out: Path) -> None:
        self._console = Console(stderr=to_stderr, highlight=False, markup=False, emoji=False)
        self._out = out
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._features: TaskID | None = None
        self._loss = 0.0
        self._speed = 0.0
        self._steps = 0
        self._said = time.monotonic()
        self._finished = False

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if isinstance(error, KeyboardInterrupt) and self._task is not None and not self._finished:
            command = f"bertkit finetune -o {shlex.quote(str(self._out))} --resume"
            self._console.print(f"Interrupted. Go on with: {command}", soft_wrap=True)

    def planned(self, facts: Facts, plan: Plan) -> None:
        """Print the header."""
        shares = ", ".join(f"{label} {share:.1%}" for label, share in facts.shares.items())
        seeds = f" x {plan.seeds} seeds" if plan.seeds > 1 else ""
        windows = f", read in {facts.windows:,} windows" if facts.windows else ""
        frozen = "" if plan.trained == plan.parameters else f" ({plan.trained:,} of them are trained)"
        rows = {
            "task": f"{facts.task}: {facts.train_rows:,} rows to train on, {facts.dev_rows:,} to score",
            "labels": shares,
            "lengths": f"median {facts.median_length}, longest {facts.longest} pieces; "
            f"{facts.truncated} cut{windows}; {facts.padding_saved:.0%} of the padded work saved",
            "data": f"{facts.duplicates} duplicates within train, {facts.leaks} rows of dev also in train",
            "model": f"{facts.model}: {plan.parameters:,} parameters{frozen}, "
            f"{facts.vocabulary_size:,} pieces, {plan.precision}",
            "run": f"{plan.steps:,} steps{seeds}, {plan.steps_per_epoch:,} an epoch; "
            f"about {duration(plan.expected_seconds)}",
        }
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold")
        grid.add_column(overflow="fold")
        for name, text in rows.items():
            grid.add_row(name, text)
        self._console.print(grid)

    def found(self, findings: Sequence[Finding]) -> None:
        """Print a line each."""
        for finding in findings:
            style = "red" if finding.weight == "grave" else "yellow"
            self._console.print(f"{finding.weight}: {finding.line}", style=style, soft_wrap=True)

    def told(self, sentence: str) -> None:
        """Print it."""
        self._console.print(sentence, style="bold", soft_wrap=True)

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        """Start a bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._steps, self._loss = steps, 0.0
        self._task = self._bar.add_task(f"seed {seed}", total=steps, completed=step, told="")
        self._console.print(f"seed {seed}" + (f", going on after step {step:,}" if step else ""))

    def encoded(self, done: int, rows: int) -> None:
        """Move the bar of the features."""
        if self._features is None:
            self._features = self._bar.add_task("features", total=rows, told="rows")
            self._console.print(f"features of {rows:,} rows, computed once")
        self._bar.update(self._features, completed=done)
        if done == rows:
            self._bar.remove_task(self._features)
            self._features = None

    def stepped(self, record: StepRecord) -> None:
        """Move the bar; the loss and the speed shown are smoothed over some twenty steps."""
        speed = record.pieces / record.seconds
        self._loss = 0.95 * self._loss + 0.05 * record.loss if self._loss else record.loss
        self._speed = 0.95 * self._speed + 0.05 * speed if self._speed else speed
        told = f"loss {self._loss:.3f}  lr {record.learning_rate:.1e}  {self._speed:,.0f} pieces/s"
        if self._task is not None:
            self._bar.update(self._task, completed=record.step, told=told)
        if not self._console.is_terminal and time.monotonic() - self._said > SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self._console.print(f"  step {record.step:,}/{self._steps:,}  {told}", soft_wrap=True)

    def evaluated(self, epoch: float, train_loss: float, evaluation: dict[str, Any], best: bool) -> None:
        """Print a line."""
        low, high = evaluation["interval"]
        self._console.print(
            f"  epoch {epoch:.3g}: train loss {train_loss:.3f}, dev loss {evaluation['loss']:.3f}, "
            f"{title(evaluation['metric'])} {evaluation['score']:.3f} [{low:.3f}, {high:.3f}]"
            + (" best" if best else ""),
            style="bold" if best else None,
            soft_wrap=True,
        )

    def finished(self, result: dict[str, Any]) -> None:
        """Print the closing table."""
        self._bar.stop()
        self._finished = True
        self._console.print(score_table(result))
        many = len(result["seeds"]) > 1
        if many:
            self._console.print(
                f"mean of {len(result['seeds'])} seeds, deviation {result['deviation']:.3f}; "
                f"{result['failed']} of them did not learn",
                soft_wrap=True,
            )
        elif result["seeds"][0]["status"] != "learned":
            self._console.print(f"Status: {result['seeds'][0]['status']}.", style="red")
        self._console.print(
            f"{duration(result['seconds'])} of training, {result['pieces_per_second']:,.0f} pieces/s; "
            f"the best epoch was chosen on the rows that it is scored on\n"
            f"model {self._out / 'model'}\nreport {self._out / 'report.html'}",
            soft_wrap=True,
        )


def score_table(result: dict[str, Any]) -> Table:
    """The model's scores beside the baselines', the task's own metric first with its interval."""
    metric = result["metric"]
    others = [name for name in result["metrics"] if name != metric]
    table = Table(title=Text(f"{result['task']}, scored on {result['rows']:,} rows"), title_justify="left")
    table.add_column("")
    table.add_column(title(metric), justify="right")
    table.add_column("95 % interval", justify="right")
    for name in others:
        table.add_column(title(name), justify="right")
    baselines = result["baselines"]
    # Without training rows there is no n-gram model.
    names = {"ngram": "n-gram", "majority": "majority"}
    rows = {"bertkit": result} | {name: baselines[key] for key, name in names.items() if key in baselines}
    for name, row in rows.items():
        low, high = row["interval"]
        table.add_row(
            name,
            f"{row['score']:.3f}",
            f"{low:.3f} to {high:.3f}",
            *(f"{row['metrics'][other]:.3f}" for other in others),
            style="bold" if name == "bertkit" else None,
        )
    return table
