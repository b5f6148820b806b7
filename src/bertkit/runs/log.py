"""What a run writes while it trains: a JSON line a record, a log, TensorBoard events where installed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bertkit.text.jsons import to_json

METRICS = "metrics.jsonl"
LOG = "log.txt"
BROKE = "broke"
"""The event of the step in which, or after which, the model was first seen to give no numbers any more."""


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
