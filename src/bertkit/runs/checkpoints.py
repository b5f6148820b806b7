"""The checkpoints of a run, of which the newest few and the last good one are kept.

Each is one safetensors file: weights, the optimiser's state, and how far the run is.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from bertkit.checkpoint.atomic import replace_file
from bertkit.checkpoint.hf import save_tensors
from bertkit.errors import UserError
from bertkit.model.optimisers import Optimiser
from bertkit.runs.folder import seed_folders

FOLDER = "checkpoint"
STATE_FORMAT = "3"
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
        """Delete those of steps after `after`."""
        for step, path in self.by_step().items():
            if step > after:
                path.unlink()
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def keep_newest(self) -> None:
        """Delete all others: the newest is what a finished run may train on from."""
        for path in self.paths()[:-1]:
            path.unlink()


def remove_checkpoints(run: Path) -> None:
    """Delete those of all seeds of a finished run, which then cannot train on."""
    for folder in seed_folders(run).values():
        Checkpoints(folder, 1).remove()


def save_state(path: Path, model: nn.Module, optimiser: Optimiser, progress: dict[str, Any]) -> None:
    """Write atomically: after a crash at any moment `path` holds the state of before or of now."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            if key in optimiser.saved:
                tensors[f"{key}.{name}"] = value
    metadata = {"format": STATE_FORMAT, "optimiser": optimiser.name, "progress": json.dumps(progress)}
    with replace_file(path) as temporary:
        save_tensors(temporary, tensors, metadata)


def load_state(path: Path, model: nn.Module, optimiser: Optimiser) -> dict[str, Any]:
    """Put weights and the optimiser's state back in place and return the progress saved with them.

    Raises:
        UserError: the file is missing, damaged, or of another model or optimiser.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"There is no training state at {path} to resume from.") from None
    except SafetensorError as error:
        raise UserError(
            f"The training state {path} is damaged ({error}); start again with --overwrite."
        ) from None
    if metadata.get("format") != STATE_FORMAT:
        raise UserError(
            f"The training state {path} is of format {metadata.get('format')}, not {STATE_FORMAT}."
        )
    if (name := metadata.get("optimiser")) != optimiser.name:
        raise UserError(
            f"The training state {path} is of the optimiser {name!r}, and the recipe's is "
            f"{optimiser.name!r}; go on with the same one, or start again with --overwrite."
        )
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"The training state {path} belongs to a model of other sizes.") from None
    for name, parameter in model.named_parameters():
        moments = {key: tensors[f"{key}.{name}"] for key in optimiser.saved if f"{key}.{name}" in tensors}
        if moments:
            optimiser.state[parameter] = moments
    progress: dict[str, Any] = json.loads(metadata["progress"])
    return progress
