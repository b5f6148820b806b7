"""Is a run healthy: what its checks find, and what was found before and while it trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertkit.diagnose.histories import History, read_history, seed_folders
from bertkit.health.finding import Change, Finding, by_weight
from bertkit.health.history import FinetuneHistory
from bertkit.health.run_checks import check_run
from bertkit.train.findings import read_findings


def findings_of(run: Path) -> list[Finding]:
    """What is wrong with a run, or clearly could be better, the gravest first; nothing of a healthy one.

    The findings are those of the checks of runs, and those that `findings.json` keeps of the time before and
    during the training. Of a check that found something more than once the last word counts.

    Args:
        run: a run folder of either kind; the run may be done, cut off, stopped or going on.

    Raises:
        UserError: see `read_history`.
    """
    return _findings(run, read_history(run))


def _findings(run: Path, history: History) -> list[Finding]:
    found = {finding.check: finding for finding in _recorded(run, history)}
    found |= {finding.check: finding for finding in check_run(history)}
    return by_weight(list(found.values()))


def _recorded(run: Path, history: History) -> list[Finding]:
    """As `findings.json` of the run and of its seeds have them."""
    folders = [run]
    if isinstance(history, FinetuneHistory):
        folders += [folder for folder in seed_folders(run).values() if folder != run]
    entries: Sequence[dict[str, Any]] = [entry for folder in folders for entry in read_findings(folder)]
    return [
        Finding(
            entry["check"],
            entry["weight"],
            entry["sureness"],
            entry["seen"],
            entry["means"],
            tuple(Change(**change) for change in entry.get("changes", ())),
            entry.get("read", ""),
        )
        for entry in entries
    ]
