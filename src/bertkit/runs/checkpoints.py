"""The checkpoints of a pretraining run: a file each, the newest few and the last good one kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from torch import nn

from bertkit.checkpoint.state import load_state, save_state
from bertkit.errors import UserError
from bertkit.model.optimisers import Optimiser

FOLDER = "checkpoint"
_NAME = re.compile(r"step-(\d+)\.safetensors")


class Checkpoints:
    """Those of one run folder, of which the newest `keep` stay, and the last one that is known to be good."""

    def __init__(self, run: Path, keep: int) -> None:
        self._folder = run / FOLDER
        self._keep = keep

    def paths(self) -> list[Path]:
        """All there are, the oldest first."""
        return list(self.by_step().values())

    def by_step(self) -> dict[int, Path]:
        """All there are, the oldest first."""
        found = [(path, _NAME.fullmatch(path.name)) for path in self._folder.glob("*")]
        return dict(sorted((int(match[1]), path) for path, match in found if match))

    def save(
        self,
        step: int,
        model: nn.Module,
        optimiser: Optimiser,
        progress: dict[str, Any],
        *,
        good: int,
    ) -> Path:
        """Write one atomically, then remove those that are too old, but not that of step `good`."""
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"step-{step:08d}.safetensors"
        save_state(path, model, optimiser, progress)
        for other, old in list(self.by_step().items())[: -self._keep]:
            if other != good:
                old.unlink()
        return path

    def load(self, model: nn.Module, optimiser: Optimiser) -> dict[str, Any] | None:
        """Put the newest in place and return its progress; None where there is none.

        Raises:
            UserError: it is damaged, or of another model or optimiser.
        """
        paths = self.paths()
        try:
            return load_state(paths[-1], model, optimiser) if paths else None
        except UserError as error:
            older = f" Remove it to go on from {paths[-2].name}." if len(paths) > 1 else ""
            raise UserError(f"{error}{older}") from None

    def remove(self, after: int = -1) -> None:
        """Delete those of steps after `after`: all of them when the run is finished."""
        for step, path in self.by_step().items():
            if step > after:
                path.unlink()
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()
