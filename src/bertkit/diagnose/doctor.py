"""Whether a run is healthy: what its checks find, and what was found before and while it trained."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bertkit.data.shards import is_shards
from bertkit.diagnose.answers import Answer, answers_of
from bertkit.diagnose.remedy import name_pretrained, remedy_after
from bertkit.diagnose.verdict import Level, sentence_on
from bertkit.diagnose.wording import duration
from bertkit.health.checks import answered, check_after
from bertkit.health.labelled import ON_THE_PRIOR
from bertkit.runs.findings import Change, Finding, by_weight, read_findings
from bertkit.runs.folder import is_run, last_logged, seed_folders
from bertkit.runs.history import History, Track, is_finetuning, last_train_loss
from bertkit.runs.reader import read_history
from bertkit.runs.restarts import Restart
from bertkit.tasks.own import is_task


@dataclass(frozen=True)
class Examination:
    """What the doctor says of a run.

    Attributes:
        run: the folder.
        kind: "fine-tuning" or "pretraining".
        finished: it came to its end.
        verdict: whether it learned, in one sentence.
        answers: to what one would ask about it.
        findings: what is wrong or clearly could be better, the gravest first.
        again: the command that does it again, with the first change of each finding.
    """

    run: Path
    kind: str
    finished: bool
    verdict: str
    answers: tuple[Answer, ...]
    findings: tuple[Finding, ...]
    again: str

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def level(self) -> Level:
        """Good, open or bad; what is not done is open at best."""
        if any(finding.weight == "grave" for finding in self.findings):
            return "bad"
        return "good" if self.healthy and self.finished else "open"

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "run": str(self.run),
            "kind": self.kind,
            "finished": self.finished,
            "healthy": self.healthy,
            "level": self.level,
            "verdict": self.verdict,
            "answers": [asdict(answer) for answer in self.answers],
            "findings": [finding.to_json() for finding in self.findings],
            "again": self.again,
        }


def is_about_a_run(what: str | Path) -> bool:
    """Whether `what` is meant as a run, not a task, rows or shards: a folder, or a path with no ending."""
    path = Path(what)
    try:
        if not str(what) or is_shards(path) or is_task(what):
            return False
        if path.suffix not in ("", ".toml") and not path.is_dir():
            return False
        return is_run(path) or path.exists() or len(path.parts) > 1
    except OSError:  # It may not be read, which is said when it is.
        return True


def examine(run: Path) -> Examination:
    """Look at a run of either kind that is done, cut off, stopped or going on; nothing is written.

    Raises:
        UserError: see `read_history`.
    """
    return examined(run, read_history(run))


def examined(run: Path, history: History) -> Examination:
    """See `examine`."""
    findings = tuple(name_pretrained(history.recipe, findings_in(run, history)))
    return Examination(
        run=run,
        kind="fine-tuning" if history.phase == "finetune" else "pretraining",
        finished=history.finished,
        verdict=sentence_on(history) + ("" if history.finished else _written(run)),
        answers=answers_of(history),
        findings=findings,
        again=remedy_after(run, history, findings),
    )


def _written(run: Path) -> str:
    """How long ago a run that is not done has last written to its log."""
    last = last_logged(run)
    return (
        "" if last is None else f" Its log was last written to {duration(max(0.0, time.time() - last))} ago."
    )


def findings_of(run: Path) -> list[Finding]:
    """What is wrong with a run, or clearly could be better, the gravest first; nothing of a healthy one.

    The findings are those of the checks of runs, and those that `findings.json` keeps of the time before and
    during the training. Of a check that found something more than once the last word counts.

    Args:
        run: a run folder of either kind; the run may be done, cut off, stopped or going on.

    Raises:
        UserError: see `read_history`.
    """
    return findings_in(run, read_history(run))


def findings_in(run: Path, history: History) -> list[Finding]:
    """See `findings_of`."""
    found = check_after(history)
    said = answered(found)
    recorded = {finding.check: finding for finding in _recorded_findings(run, history)}
    return by_weight([*found, *(finding for check, finding in recorded.items() if check not in said)])


def _recorded_findings(run: Path, history: History) -> list[Finding]:
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
        return run.finished and bool(run.learned)
    if track.outcome is not None and track.outcome.status == "learned":
        return True
    if entry["check"] != "stuck_at_baseline_loss" or run.floor is None:
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
