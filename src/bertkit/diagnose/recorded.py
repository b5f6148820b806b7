"""What was found before and while a run trained, as its folder keeps it, without what its end refutes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertkit.health.labelled import ON_THE_PRIOR
from bertkit.runs.findings import Change, Finding, read_findings
from bertkit.runs.folder import seed_folders
from bertkit.runs.history import History, Track, is_finetuning, last_train_loss
from bertkit.runs.restarts import Restart


def recorded_findings(run: Path, history: History) -> list[Finding]:
    """As `findings.json` of the run and of its seeds have them, oldest first.

    What was found while a seed or a pretraining trained is about a model that had learned nothing so far, and
    is past where it then learned. So is what was found in an attempt that another one followed.

    Raises:
        UserError: such a file is damaged.
    """
    folders = seed_folders(run).values()
    entries = [] if run in folders else read_findings(run)
    for track, folder in zip(history.tracks, folders, strict=True):
        kept = _of_last_attempt(read_findings(folder), track.restarts)
        entries += [entry for entry in kept if not _is_past(entry, history, track)]
    return [_finding(entry) for entry in entries]


def _of_last_attempt(entries: list[dict[str, Any]], restarts: Sequence[Restart]) -> list[dict[str, Any]]:
    """Without what attempts that were given up had heard after the step from which the next one began."""
    for restart in restarts:
        collapse = (restart.step, restart.check, restart.seen)
        told = [(each["step"], each["check"], each["seen"]) for each in entries]
        count = told.index(collapse) + 1 if collapse in told else 0
        before = [e for e in entries[:count] if e["moment"] != "watch" or e["step"] <= restart.from_step]
        entries = [*before, *entries[count:]]
    return entries


def _is_past(entry: dict[str, Any], run: History, track: Track) -> bool:
    """Whether what came of the model later refutes it."""
    if entry["moment"] != "watch":
        return False
    if not is_finetuning(run):
        return run.finished and run.through_at is not None
    if track.outcome is not None and track.outcome.status == "learned":
        return True
    if entry["check"] != "stuck_on_the_prior" or run.floor is None:
        return False
    return last_train_loss(track.evaluations) < ON_THE_PRIOR * run.floor


def _finding(entry: dict[str, Any]) -> Finding:
    """A finding as `append_findings` wrote it; `read_findings` has seen to the rest of it."""
    changes = []
    for change in entry.get("changes") or ():
        if isinstance(change, dict):
            changes.append(
                Change(
                    str(change.get("key", "")),
                    change.get("value"),
                    str(change.get("words", "")),
                    change.get("together") is True,
                )
            )
    return Finding(
        entry["check"],
        entry["weight"],
        entry["sureness"],
        entry["seen"],
        entry["means"],
        tuple(changes),
        str(entry.get("read", "")),
    )
