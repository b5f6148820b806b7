"""What is done when a run has collapsed: another attempt, with a recipe that was changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from bertkit.errors import UserError
from bertkit.recipe import BaseRecipe
from bertkit.runs.findings import Finding
from bertkit.runs.folder import METRICS
from bertkit.runs.records import write_json

RESTARTS = "restarts.json"
MOST = 2
"""Restarts of a run or a seed: what two lower rates don't mend, a third will not."""

AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)


@dataclass(frozen=True)
class Restart:
    """One restart of a run, or of a seed, after a collapse.

    Attributes:
        step: after which the collapse was seen.
        check: that saw it.
        seen: what it saw.
        change: the recipe keys that were changed, as `section.key`, and their new values.
        from_step: where the new attempt began: 0, or the step of the last state that was good.
    """

    step: int
    check: str
    seen: str
    change: dict[str, Any] = field(default_factory=dict)
    from_step: int = 0

    @property
    def how(self) -> str:
        """Where the new attempt began, and with what."""
        changes = " ".join(f"{key}={value:g}" for key, value in self.change.items())
        where = f"from step {self.from_step:,}" if self.from_step else "from the beginning"
        return f"{where} with {changes}" if changes else where

    def __str__(self) -> str:
        return f"Starting again {self.how}."


class Collapsed(RuntimeError):
    """A run is lost and is to begin again with the changes of `finding`."""

    def __init__(self, finding: Finding, step: int) -> None:
        super().__init__(finding.line)
        self.finding = finding
        self.step = step


def read_restarts(folder: Path) -> list[Restart]:
    """The restarts of the run or the seed in `folder` so far, oldest first.

    Raises:
        UserError: their file is not what was written.
    """
    path = folder / RESTARTS
    if not path.is_file():
        return []
    try:
        return [Restart(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["restarts"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}), so the run can't go on; start again with --overwrite."
        ) from None


def add_restart(folder: Path, restart: Restart) -> None:
    """Remember a restart, and keep the log of the attempt that it ends as `attempt-N.jsonl`.

    From here on what was saved in the attempt no longer counts: whatever ends the process, the next attempt
    is the one that a resumed run makes.
    """
    before = read_restarts(folder)
    shutil.copyfile(folder / METRICS, folder / f"attempt-{len(before) + 1}.jsonl")
    write_json(folder / RESTARTS, {"restarts": [asdict(each) for each in (*before, restart)]})


def change_of(finding: Finding) -> dict[str, Any]:
    """What another attempt changes: all that the finding proposes for the optimiser.

    Other changes make another model or read other data, which is for a person to decide.
    """
    return {change.key: change.value for change in finding.changes if change.key.startswith("optimiser.")}


def settings(restarts: Sequence[Restart]) -> dict[str, Any]:
    """What `restarts` changed in the end: values by `section.key`."""
    return {key: value for restart in restarts for key, value in restart.change.items()}


def with_settings(recipe: AnyRecipe, values: Mapping[str, Any]) -> AnyRecipe:
    """A recipe with other values by `section.key`."""
    sections: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, {})[key] = value
    return recipe.with_changes(sections)


def changed(recipe: AnyRecipe, restarts: Sequence[Restart]) -> AnyRecipe:
    """The recipe of the attempt after `restarts`."""
    return with_settings(recipe, settings(restarts))


def begins_at(good_step: int, restarts: list[Restart]) -> int:
    """The step from which the attempt after `restarts` goes on: that of the last state that looked good.

    Where an attempt from that very state was lost too, its weights are what is broken: 0, the beginning.
    """
    return 0 if restarts and restarts[-1].from_step == good_step else good_step


def remembered(watch: dict[str, Any], step: int, restarts: list[Restart]) -> dict[str, Any]:
    """What an attempt at `step` remembers of its run, as `Watch` has it.

    One that begins there compares with nothing that the attempt before it saw at another rate.
    """
    begins = bool(restarts) and restarts[-1].from_step == step
    return {name: value for name, value in watch.items() if not (begins and name in ("looks", "peaks"))}


def may_restart(on_collapse: str, restarts: list[Restart]) -> bool:
    """Whether a run with that setting begins again after a collapse."""
    return on_collapse == "restart" and len(restarts) < MOST
