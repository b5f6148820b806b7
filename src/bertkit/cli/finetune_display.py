"""What a person sees of a fine-tuning run: a header, a bar, a line per evaluation, a closing table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from bertkit.cli.display import BAR_WIDTH, RunDisplay, named_rows
from bertkit.diagnose.wording import duration, title
from bertkit.train.listener import Plan
from bertkit.train.loop import StepRecord
from bertkit.train.prepare import Facts


class FinetuneDisplay(RunDisplay):
    """A `Listener` for people.

    Args:
        to_stderr: leave standard output to programs.
        out: the run folder, named at the end.
    """

    def __init__(self, *, to_stderr: bool, out: Path) -> None:
        super().__init__(
            "finetune",
            TextColumn("{task.description}"),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            to_stderr=to_stderr,
            out=out,
        )
        self._features: TaskID | None = None
        self._steps = 0

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
        self._console.print(named_rows(rows))

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        """Start a bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._steps = steps
        self._smooth.pop("loss", None)
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
        """Move the bar; the loss and the speed shown are smoothed."""
        loss = self._smoothed("loss", record.loss)
        speed = self._smoothed("speed", record.pieces / record.seconds)
        told = f"loss {loss:.3f}  lr {record.learning_rate:.1e}  {speed:,.0f} pieces/s"
        if self._task is not None:
            self._bar.update(self._task, completed=record.step, told=told)
        self._say_at_times(f"step {record.step:,}/{self._steps:,}  {told}")

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
        super().finished(result)
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
