"""How often the doctor is right about runs whose end is known: finished fine-tunings, as a study leaves them.

    python benchmarks/doctor.py STUDY...

A run is *stuck* if its model gives every dev row the same answer (or its loss broke), *learned* if the 95 %
interval of its score lies above the majority's, and *open* in between. What the watch would have said while
it trained is replayed from its log with the checks of today; logs without looks at the model are left out of
that. What is said after it is judged from its folder. A grave finding of a run that learned is a false alarm.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bertkit.errors import UserError
from bertkit.health.checks import check_after, replayed
from bertkit.recipe import Recipe
from bertkit.runs.findings import Finding
from bertkit.runs.folder import finished_runs, is_run
from bertkit.runs.history import RunHistory, is_finetuning
from bertkit.runs.reader import read_history
from common import emit

ENDS = ("stuck", "open", "learned")


@dataclass(frozen=True)
class Judged:
    """What was said of a run.

    Attributes:
        end: one of `ENDS`.
        during: (share of the run that was done, finding) of each finding of the watch; None where its log has
            no looks.
        after: what the checks of runs find.
    """

    end: str
    during: list[tuple[float, Finding]] | None
    after: list[Finding]


def judge(history: RunHistory[Recipe]) -> Judged:
    """Of a finished run."""
    watched = all(any(look.cls_spread is not None for look in seed.health) for seed in history.tracks)
    during = [said for seed in history.tracks for said in replayed(history, seed)] if watched else None
    return Judged(end_of(history), during, check_after(history))


def end_of(history: RunHistory[Recipe]) -> str:
    """What came of a run, by its answers and its score alone."""
    scores = history.scores
    assert scores is not None
    if all(seed.outcome and seed.outcome.status in ("collapsed", "diverged") for seed in history.tracks):
        return "stuck"
    return "learned" if scores.learned else "open"


def finished(folders: Sequence[Path]) -> Iterator[Judged]:
    """Every finished fine-tuning of some study folders."""
    for folder in folders:
        runs = finished_runs(folder / "runs")
        if not runs:
            raise UserError(f"{folder} is no study's folder: it has no finished run in runs/.")
        for run in runs:
            history = read_history(run) if is_run(run) else None
            if history is not None and is_finetuning(history):
                yield judge(history)


def emit_moment(moment: str, runs: Sequence[Judged], said: Sequence[Sequence[Finding]]) -> None:
    """The figures of what was said during runs or after them, `said` of each run."""
    for end in ENDS:
        here = [findings for run, findings in zip(runs, said, strict=True) if run.end == end]
        grave = sum(any(finding.weight == "grave" for finding in findings) for findings in here)
        if here:
            emit(f"{end}, {moment}", grave, "runs with a grave finding", of=len(here))
        found = Counter(
            (f.check, f.weight) for findings in here for f in {g.check: g for g in findings}.values()
        )
        for (check, weight), count in found.most_common():
            emit(f"{end}, {moment}", count, "runs", of=len(here), check=check, weight=weight)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("studies", nargs="+", type=Path, metavar="STUDY")
    runs = list(finished(parser.parse_args().studies))
    watched = [(run, run.during) for run in runs if run.during is not None]
    during = [[finding for _, finding in said] for _, said in watched]
    emit_moment("during the run", [run for run, _ in watched], during)
    heard = [
        min(share for share, finding in said if finding.weight == "grave")
        for run, said in watched
        if run.end == "stuck" and any(finding.weight == "grave" for _, finding in said)
    ]
    if heard:
        emit("stuck, first grave finding", 100 * statistics.median(heard), "% of the run done, the median")
    emit_moment("after the run", runs, [run.after for run in runs])


if __name__ == "__main__":
    main()
