"""What a person sees of a run, and of the runs of a study: lines, a bar, tables."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from bertkit.config.terms import MASKED, PAIRS
from bertkit.diagnose.verdict import losses
from bertkit.diagnose.wording import duration, perplexity, said
from bertkit.recipe.study import Study
from bertkit.runs.findings import Finding
from bertkit.show.display import (
    BAR_WIDTH,
    BarDisplay,
    class_table,
    named_rows,
    plain_console,
    with_options,
)
from bertkit.studies.plan import Run
from bertkit.studies.runner import State, failure, state
from bertkit.studies.study import StudyListener
from bertkit.studies.variants import Row
from bertkit.studies.words import lines_of, say
from bertkit.tasks.kinds import KINDS, macro_beside, title, title_of
from bertkit.tasks.named import TASKS
from bertkit.train.listener import LabelledPlan, Listener, Plan, UnlabelledPlan
from bertkit.train.loop import StepRecord

SMOOTHING = 0.95
"""What stays of a figure shown when the next one comes: about twenty steps count."""

Line = tuple[Table | str, str]
"""A table, or words and their style."""


@dataclass(frozen=True)
class Wording:
    """What is shown of the runs of a command.

    Attributes:
        loss: the figure of a step that is shown as its loss.
        header: of the plan, names and what there is to say of each.
        evaluation: of a step and its figures, a line.
        closing: of the result and the run folder, what comes last.
        counts_steps: how far it is is told as steps of all, where these are known, and not as a share.
    """

    loss: str
    header: Callable[[Any], dict[str, str]]
    evaluation: Callable[[int, Mapping[str, Any]], str]
    closing: Callable[[dict[str, Any], Path], Iterator[Line]]
    counts_steps: bool


def watched() -> bool:
    """Whether there is a person who sees standard error: on a terminal, or in a notebook."""
    console = plain_console(to_stderr=True)
    return console.is_terminal or console.is_jupyter


class RunDisplay(BarDisplay, Listener):
    """Shows a run to people.

    Args:
        command: the one that makes such a run.
        to_stderr: leave standard output to programs.
        out: the run folder, named at the end.
        options: those that stand for keys of the recipe, by key.
    """

    def __init__(
        self, command: str, *, to_stderr: bool, out: Path, options: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(
            plain_console(to_stderr=to_stderr),
            TextColumn("{task.description}"),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[place]}"),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
        )
        self._command = command
        self._words = WORDS[command]
        self._out = out
        self._options = options or {}
        self._task: TaskID | None = None
        self._before: TaskID | None = None
        self._steps = 0
        self._seeds = 1
        self._finished = False
        self._smooth: dict[str, float] = {}

    def _last_words(self, error: BaseException) -> str:
        if not isinstance(error, KeyboardInterrupt) or self._finished or self._task is self._before is None:
            return ""
        again = f"bertkit {self._command} -o {shlex.quote(str(self._out))} --resume"
        return f"Interrupted. Go on with: {again}"

    def _smoothed(self, name: str, value: float) -> float:
        """A figure of a step, smoothed over those that came before it under the same name."""
        before = self._smooth.get(name, value)
        self._smooth[name] = SMOOTHING * before + (1 - SMOOTHING) * value
        return self._smooth[name]

    def planned(self, plan: Plan) -> None:
        """Print the header."""
        self._seeds = plan.seeds
        self._console.print(named_rows(self._words.header(plan)))
        if isinstance(plan, UnlabelledPlan) and not plan.heldout_scored:
            self._console.print("There is no held-out text: the training loss alone will be watched.")

    def found(self, findings: Sequence[Finding]) -> None:
        """Print a line each."""
        for finding in findings:
            style = "red" if finding.weight == "grave" else "yellow"
            self._console.say(f"{finding.weight}: {with_options(finding.line, self._options)}", style)

    def told(self, sentence: str) -> None:
        """Print it."""
        self._console.say(sentence, "bold")

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        """Start a bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._steps = steps if self._words.counts_steps else 0
        self._smooth.pop(self._words.loss, None)
        names = [f"seed {seed}"] if self._words.counts_steps or self._seeds > 1 else []
        lines = [*names, *([f"going on after step {step:,}"] if step else [])]
        if lines:
            self._console.print(", ".join(lines))
        name = names[0] if names else "step"
        self._task = self._bar.add_task(name, total=1.0, place=f"{step:,}", told="")

    def encoded(self, what: str, done: int, total: int) -> None:
        """Move the bar of what is done once, before the first step."""
        if self._before is None:
            self._before = self._bar.add_task(what, total=total or None, place="", told="")
            self._console.say(f"{what}, computed once")
        self._bar.update(self._before, completed=done, place=f"{done:,}/{total:,}")
        if done == total:
            self._bar.remove_task(self._before)
            self._before = None

    def stepped(self, record: StepRecord, fraction: float, figures: Mapping[str, float]) -> None:
        """Move the bar; the figures shown are smoothed."""
        name = self._words.loss
        if name in figures:
            self._smoothed(name, figures[name])
        speed = self._smoothed("tokens_per_second", figures["tokens_per_second"])
        told = (
            f"loss {self._smooth.get(name, record.loss):.3f}  lr {record.learning_rate:.1e}  "
            f"{speed:,.0f} tokens/s"
        )
        if "gemm_share" in figures:
            told += f"  {self._smoothed('gemm_share', figures['gemm_share']):.0%} of GEMM"
        if self._steps:
            completed, place = record.step / self._steps, f"{record.step:,}/{self._steps:,}"
            line = f"step {place}  {told}"
        else:
            completed, place = fraction, f"{record.step:,}  {fraction:.0%}"
            line = f"{fraction:4.0%}  step {record.step:,}  {told}"
        if self._task is not None:
            self._bar.update(self._task, completed=completed, place=place, told=told)
        self._say_at_times(line)

    def evaluated(self, step: int, figures: Mapping[str, Any], best: bool) -> None:
        """Print a line."""
        line = self._words.evaluation(step, figures)
        shown = best and self._words.counts_steps
        self._console.say(f"  {line}" + (" best" if shown else ""), "bold" if shown else "")

    def finished(self, result: dict[str, Any]) -> None:
        """Take the bar down, and print the closing table."""
        self._bar.stop()
        self._finished = True
        for words, style in self._words.closing(result, self._out):
            self._console.say(words, style) if isinstance(words, str) else self._console.show(words)


def _labelled_header(plan: LabelledPlan) -> dict[str, str]:
    facts = plan.facts
    heading, targets = facts.targets
    copies = f"{facts.duplicates} duplicates within train, {facts.leaks} rows of dev also in train"
    seeds = f" x {plan.seeds} seeds" if plan.seeds > 1 else ""
    windows = f", read in {facts.windows:,} windows" if facts.windows else ""
    frozen = "" if plan.trained == plan.parameters else f" ({plan.trained:,} of them are trained)"
    processes = f", {plan.processes} processes" if plan.processes > 1 else ""
    return {
        "task": f"{facts.task}: {facts.train_rows:,} rows to train on, {facts.dev_rows:,} to score",
        heading: targets,
        "lengths": f"median {facts.median_length}, longest {facts.longest} tokens; "
        f"{facts.truncated} cut{windows}; {facts.padding_saved:.0%} of the padded work saved",
        "data": "\n".join([copies, *facts.notes]),
        "model": f"{facts.model}: {plan.parameters:,} parameters{frozen}, "
        f"{facts.vocabulary_size:,} tokens, {plan.precision}{processes}",
        "run": f"{_updates(plan)}{seeds}; about {duration(plan.expected_seconds)}",
    }


def _updates(plan: LabelledPlan) -> str:
    """How long the run is, in updates."""
    an_epoch = plan.steps_per_epoch
    if not plan.steps:
        return f"as many updates as there is time for, {an_epoch:,} an epoch"
    epochs, rest = divmod(plan.steps, an_epoch)
    if rest:
        return f"{plan.steps:,} updates, {an_epoch:,} an epoch"
    times = "1 epoch" if epochs == 1 else f"{epochs:,} epochs"
    return f"{times} of {plan.facts.train_rows:,} rows = {plan.steps:,} updates"


def _labelled_evaluation(step: int, figures: Mapping[str, Any]) -> str:
    low, high = figures["interval"]
    return (
        f"epoch {figures['epoch']:.3g}: train loss {figures['train_loss']:.3f}, "
        f"dev loss {figures['loss']:.3f}, {title_of(figures)} {figures['score']:.3f} "
        f"[{low:.3f}, {high:.3f}]{macro_beside(figures)}"
    )


def _labelled_closing(result: dict[str, Any], out: Path) -> Iterator[Line]:
    seeds = result["seeds"]
    yield score_table(result), ""
    if classes := class_table(result):
        yield classes, ""
    if len(seeds) > 1:
        yield (
            f"mean of {len(seeds)} seeds, deviation {result['deviation']:.3f}; "
            f"{result['failed']} of them did not learn",
            "",
        )
    elif seeds[0]["status"] != "learned":
        yield f"Status: {seeds[0]['status']}.", "red"
    yield (
        f"{duration(result['seconds'])} of training, {result['tokens_per_second']:,.0f} tokens/s; "
        f"the best epoch was chosen on the rows that it is scored on\n"
        f"model {out / 'model'}\nreport {out / 'report.html'}",
        "",
    )
    if tested := result.get("test"):
        low, high = tested["interval"]
        scored = f"{title_of(tested)} {tested['score']:.3f} [{low:.3f}, {high:.3f}]"
        yield f"On the {tested['rows']:,} rows of test, which chose nothing: {scored}", "bold"
    columns = result.get("columns", {})
    # Files of a user's own are not read as those of a named task.
    options = " --pair pair" if "pair" in columns and result["task"] in TASKS else ""
    yield f"Next: bertkit predict {shlex.quote(str(out))} new.csv{options}", ""
    if columns:
        yield f"      new.csv has the column{'s' * (len(columns) > 1)} {' and '.join(columns.values())}", ""


def _text_header(plan: UnlabelledPlan) -> dict[str, str]:
    encoder = plan.encoder
    seeds = f"; {plan.seeds} seeds" if plan.seeds > 1 else ""
    return {
        "corpus": f"{plan.corpus}: {plan.documents:,} documents, {plan.train_tokens:,} tokens to "
        f"train on, {plan.heldout_tokens:,} held out",
        "model": f"{plan.model}: {encoder.layers} layers of {encoder.hidden_size}, {encoder.positions} "
        f"positions, {plan.parameters:,} parameters, {encoder.vocabulary_size:,} tokens{seeds}",
        "machine": f"{plan.precision}, {plan.gemm_rate / 1e9:,.0f} GFLOP/s in large matrix products"
        + (f", {plan.processes} processes" if plan.processes > 1 else ""),
        "baseline loss": f"uniform guessing {plan.uniform:.3f}, token frequencies {plan.unigram:.3f}",
    }


def _text_evaluation(step: int, figures: Mapping[str, Any]) -> str:
    pairs = f", pairs {figures[PAIRS.accuracy]:.1%}" if PAIRS.accuracy in figures else ""
    return (
        f"{figures['fraction']:4.0%}  step {step:,}: held-out loss {figures[MASKED.loss]:.3f}, accuracy "
        f"{figures[MASKED.accuracy]:.1%}{pairs}"
    )


def _text_closing(result: dict[str, Any], out: Path) -> Iterator[Line]:
    yield losses_table(result), ""
    if "seeds" in result:
        low, high = result["interval"]
        yield (
            f"mean of {len(result['seeds'])} seeds: held-out loss {result['heldout_loss']:.3f} "
            f"[{low:.3f}, {high:.3f}]; the table is of the best one, seed {result['best_seed']}",
            "",
        )
    yield (
        f"{result['steps']:,} steps, {result['tokens']:,} tokens ({result['epochs']:.2f} times the text) "
        f"in {duration(result['seconds'])}, {result['tokens_per_second']:,.0f} tokens/s\n"
        f"model {out / 'model'}\nreport {out / 'report.html'}\n"
        f'Use it: bertkit fill {shlex.quote(str(out))} "the man went to the [MASK] ."\n'
        f"        bertkit finetune TASK --model {shlex.quote(str(out))} -o RUN",
        "",
    )


WORDS: dict[str, Wording] = {
    "finetune": Wording("loss", _labelled_header, _labelled_evaluation, _labelled_closing, True),
    "pretrain": Wording(MASKED.loss, _text_header, _text_evaluation, _text_closing, False),
}
"""By command."""


def score_table(result: dict[str, Any]) -> Table:
    """The model's scores beside the baselines', the task's own metric first with its interval."""
    metric = result["metric"]
    others = [name for name in result["metrics"] if name != metric]
    positive = result.get("positive", "")
    heads = [title(metric, positive), "95 % interval", *(title(other, positive) for other in others)]
    words = Text(f"{result['task']}, scored on {result['rows']:,} rows")
    table = Table("", *(Column(head, justify="right") for head in heads), title=words, title_justify="left")
    known = result["baselines"]
    # Without training rows there is only the one that is blind.
    better_first = reversed(KINDS[result["kind"]].baselines)
    rows = {"bertkit": result} | {each.short: known[each.name] for each in better_first if each.name in known}
    for name, row in rows.items():
        table.add_row(
            name,
            f"{row['score']:.3f}",
            "{:.3f} to {:.3f}".format(*row["interval"]) if "interval" in row else "",
            *(f"{row['metrics'][other]:.3f}" for other in others),
            style="bold" if name == "bertkit" else None,
        )
    return table


def folds_table(result: dict[str, Any]) -> Table:
    """What each fold of a cross-validation scored on its rows."""
    heads = ("fold", "rows", title_of(result), "95 % interval", "status")
    table = Table(*(Column(head, justify="right") for head in heads))
    for number, fold in enumerate(result["each"], 1):
        interval = "{:.3f} to {:.3f}".format(*fold["interval"])
        table.add_row(str(number), f"{fold['rows']:,}", f"{fold['score']:.3f}", interval, fold["status"])
    return table


def losses_table(result: dict[str, Any]) -> Table:
    """The held-out figures before and after, and the floors."""
    heads = ("MLM loss", "perplexity", "accuracy", "pairs right")
    table = Table("", *(Column(head, justify="right") for head in heads))
    for name, row in losses(result).items():
        shares = [f"{row[key]:.1%}" if key in row else "" for key in (MASKED.accuracy, PAIRS.accuracy)]
        loss = row[MASKED.loss]
        style = "bold" if name.startswith("after") else None
        table.add_row(name, said(loss, 3), said(perplexity(loss), 1), *shares, style=style)
    return table


class StudyDisplay(BarDisplay, StudyListener):
    """Shows a study to people: a bar, a line for each run that ends, and the tables at the end.

    Args:
        to_stderr: leave standard output to programs.
    """

    def __init__(self, *, to_stderr: bool) -> None:
        super().__init__(
            plain_console(to_stderr=to_stderr),
            TextColumn("runs"),
            BarColumn(bar_width=BAR_WIDTH),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._began: dict[str, float] = {}

    def _last_words(self, error: BaseException) -> str:
        interrupted = isinstance(error, KeyboardInterrupt)
        return "Interrupted; the same command goes on where the study is." if interrupted else ""

    def planned(self, question: str, runs: Sequence[Run]) -> None:
        """The question, and how much there is to do."""
        done = sum(state(run) == "done" for run in runs)
        self._console.print(question, style="bold")
        self._console.print(f"{len(runs)} runs, {done} of them done already")
        self._task = self._bar.add_task("", total=len(runs), completed=done)

    def changed(self, run: Run, now: State) -> None:
        """A line where a run ends."""
        name = run.folder.name
        if now == "running":
            self._began[name] = time.monotonic()
            return
        self._bar.advance(self._task)
        if now == "failed":
            self._console.print(f"{name} failed: {failure(run)}", style="red")
        else:
            self._console.print(f"{name} done in {duration(time.monotonic() - self._began[name])}")

    def finished(self, study: Study, stages: Mapping[str, Sequence[Row]], result: Mapping[str, Any]) -> None:
        """The tables, and what they say."""
        for stage, rows in stages.items():
            heads, lines = lines_of([row for row in rows if row.group or row.failed], brief=True)
            table = Table(title=stage, title_justify="left", title_style="bold", box=None, pad_edge=False)
            for place, head in enumerate(heads):
                table.add_column(head, justify="right" if place else "left", overflow="fold")
            for line in lines:
                table.add_row(*line)
            self._console.print()
            self._console.show(table)
            for sentence in say(rows):
                self._console.say(sentence)
