"""What a run writes while it trains, and how that is read: a JSON line a record; beside it a log for people,
and TensorBoard events where that is installed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bertkit.config.terms import MASKED, PAIRS
from bertkit.errors import UserError
from bertkit.recipe.parts import Phase
from bertkit.runs.folder import METRICS
from bertkit.runs.history import HEALTH, NAN, Evaluation, Health, Step, Track
from bertkit.runs.records import Record, read_records
from bertkit.tasks import kinds
from bertkit.text.jsons import to_json

LOG = "log.txt"
BROKE = "broke"
"""The event of the step in which, or after which, the model was first seen to give no numbers any more."""
PLACE = {"finetune": "epoch", "pretrain": "fraction"}
"""How far a run is, in its records."""
BY_LAYER = {"gradient_norms", "update_ratios", "attention_entropy", "dead_units"}


class RunLog:
    """Appends to the files of a run folder. Use as a context manager.

    Args:
        folder: the run's, which exists.
        size: bytes of `metrics.jsonl` to keep: a resumed run forgets what came after its checkpoint.
        step: the step of that checkpoint.
    """

    def __init__(self, folder: Path, size: int = 0, step: int = 0) -> None:
        self._metrics = (folder / METRICS).open("ab")
        self._metrics.truncate(size)
        self._metrics.seek(size)
        self._log = (folder / LOG).open("a", encoding="utf-8")
        self._board = _tensorboard(folder, step)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *exception: object) -> None:
        self._metrics.close()
        self._log.close()
        if self._board is not None:
            self._board.close()

    def say(self, line: str) -> None:
        """Add a line with the time to log.txt."""
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        self._log.flush()

    def record(self, event: str, step: int, **values: Any) -> None:
        """Add one record; numbers also go to TensorBoard as `event/name` or `event/name/layer`."""
        line = to_json({"event": event, "step": step, **values})
        self._metrics.write(line.encode() + b"\n")
        if self._board is not None:
            for name, value in _flat(values):
                self._board.add_scalar(f"{event}/{name}", value, step)

    def flushed_size(self) -> int:
        """Bytes of metrics.jsonl, all of them on the disk: what a checkpoint remembers."""
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        return self._metrics.tell()


class NoLog(RunLog):
    """The log of a process that writes nothing."""

    def __init__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        """Nothing is open."""

    def say(self, line: str) -> None:
        """Write nothing."""

    def record(self, event: str, step: int, **values: Any) -> None:
        """Write nothing."""

    def flushed_size(self) -> int:
        """Nothing is written."""
        return 0


def open_log(folder: Path, size: int, step: int, *, first: bool) -> RunLog:
    """The log of a run, which the first of its processes writes."""
    return RunLog(folder, size, step) if first else NoLog()


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers, and those of inner tables with both names; of a score's `metrics` with their own."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            beginning = "" if name == "metrics" else f"{name}/"
            yield from ((f"{beginning}{inner}", number) for inner, number in _flat(value))
        elif isinstance(value, int | float):
            yield name, value


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer of event files, or None where the package tensorboard is not installed."""
    if find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)


def read_track(folder: Path, phase: Phase) -> Track:
    """The model whose log is in a folder, as the log tells it; an empty one where there is none yet.

    Raises:
        UserError: a line is no record, lacks what every record has, or has a value of another type.
    """
    path = folder / METRICS
    steps: list[Step] = []
    evaluations: list[Evaluation] = []
    health: list[Health] = []
    floors: dict[str, float] = {}
    shares: list[float] = []
    broke, tokens = None, 0
    for record in read_records(path) if path.is_file() else ():
        event = record.text("event")
        if event == "train":
            # Without a masked token a step has no MLM loss.
            steps.append(_step(record, phase, record.number(MASKED.loss, record.number("loss"))))
            tokens += record.whole("tokens") if record.has("tokens") else 0
            shares.append(record.number("gemm_share", 0.0))
        elif event == BROKE:
            broke = _step(record, phase, NAN)
        elif event == "evaluation":
            evaluations.append(_evaluation(record, phase))
        elif event == "floors":
            floors = {name: record.number(name) for name in ("unigram", "uniform")}
        elif event == HEALTH:
            health.append(_health(record))
    return Track(
        steps=steps,
        evaluations=evaluations,
        health=health,
        floors=floors,
        broke=broke,
        tokens=tokens,
        gemm_shares=shares,
    )


def phase_of_log(folder: Path) -> Phase | None:
    """Which command made the log in a folder without a recipe; None where the log does not tell."""
    path = folder / METRICS
    for record in read_records(path) if path.is_file() else ():
        if record.text("event") == "floors" or MASKED.loss in record.values:
            return "pretrain"
        if PLACE["finetune"] in record.values:
            return "finetune"
    return None


def timed_steps(run: Path) -> list[tuple[float, float]]:
    """The share of a pretraining that was done before each of its steps, and the learning rate of the step.

    Raises:
        UserError: there is no log, or none of such a run.
    """
    path = run / METRICS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a run folder to replay.") from None
    try:
        records = [json.loads(line) for line in lines]
        steps = [(each["fraction"], each["learning_rate"]) for each in records if each["event"] == "train"]
    except (ValueError, KeyError, TypeError):
        steps = []
    if not steps:
        raise UserError(f"{path} is no log of a pretraining run, so it cannot be replayed.")
    return steps


def _step(record: Record, phase: Phase, loss: float) -> Step:
    return Step(
        step=record.whole("step"),
        place=record.number(PLACE[phase], NAN),
        loss=loss,
        learning_rate=record.number("learning_rate", NAN),
        gradient_norm=record.number("gradient_norm", NAN),
        tokens_per_second=record.number("tokens_per_second", NAN),
    )


def _evaluation(record: Record, phase: Phase) -> Evaluation:
    step = record.whole("step")
    if phase == "pretrain":
        return Evaluation(
            step=step,
            place=record.number(PLACE[phase], NAN),
            loss=record.number(MASKED.loss),
            accuracy=record.number(MASKED.accuracy),
            pair_accuracy=record.number(PAIRS.accuracy, NAN),
            pairs=record.number("pairs", NAN),
        )
    low, high = record.interval("interval")
    metric = kinds.ALL_METRICS.get(record.text("metric")) if record.has("metric") else None
    return Evaluation(
        step=step,
        place=record.number(PLACE[phase]),
        loss=record.number("loss"),
        train_loss=record.number("train_loss", NAN),
        score=record.number("score"),
        low=low,
        high=high,
        higher=metric is None or metric.higher,
    )


def _health(record: Record) -> Health:
    """As `Health.from_record`, with every type checked."""
    values: dict[str, Any] = {"step": record.whole("step")}
    for name in (spec.name for spec in fields(Health) if spec.name != "step"):
        if name in BY_LAYER:
            values[name] = record.figures(name)
        elif record.has(name):
            values[name] = record.number(name)
    return Health(**values)
