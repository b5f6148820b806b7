"""A study from its declaration to its page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bertkit import __version__
from bertkit.checkpoint.atomic import replace_file
from bertkit.config import check_at_least
from bertkit.errors import UserError
from bertkit.recipe.study import Study
from bertkit.study.outcomes import Row, rows_of
from bertkit.study.page import write_study_page
from bertkit.study.plan import RUNS, Planned, Run, distinct, plan
from bertkit.study.runner import State, run_all, state
from bertkit.study.sentences import say
from bertkit.study.tables import lines_of, markdown
from bertkit.train.results import write_json
from bertkit.train.runfolder import RESULT

TABLES = "tables.md"
STUDY = "study.toml"
"""A copy of the declaration that the results are of."""


class StudyListener(Protocol):
    """What a person sees of a study."""

    def planned(self, study: Study, runs: Sequence[Run]) -> None:
        """These are all runs; `runner.state` tells which are done."""

    def changed(self, run: Run, now: State) -> None:
        """A run began or ended."""

    def finished(self, study: Study, stages: Mapping[str, Sequence[Row]], result: Mapping[str, Any]) -> None:
        """All that could be run is done, and the page is written."""


def run_study(
    study: Study,
    out: Path,
    *,
    settings: Mapping[str, Sequence[str]],
    seeds: int,
    jobs: int,
    again: bool,
    listener: StudyListener,
) -> dict[str, Any]:
    """Run what is not done, and write `result.json`, `tables.md`, `picture-STAGE.svg` and `report.html`.

    Args:
        study: the question.
        out: the study's folder: made, or gone on with.
        settings: for each stage what the user changes, each as `section.key=value`.
        seeds: of every variant; 0 is as the study says.
        jobs: runs at a time; 0 runs nothing and tells of what is done.
        again: try those again that failed before.
        listener: told of everything as it happens.

    Returns:
        What `result.json` holds.

    Raises:
        UserError: a recipe that cannot be read, or `out` is something else.
        KeyboardInterrupt: Ctrl-C; the runs under way have saved, and the same command goes on.
    """
    check_at_least("study", "jobs", jobs, 0)
    check_at_least("study", "seeds", seeds, 0)
    _check_folder(out)
    planned = plan(study, out, settings=settings, seeds=seeds)
    runs = distinct(planned)
    out.mkdir(parents=True, exist_ok=True)
    with replace_file(out / STUDY) as temporary:
        shutil.copyfile(study.path, temporary)
    listener.planned(study, runs)
    began = time.perf_counter()
    try:
        if jobs:
            run_all(runs, out, jobs=jobs, again=again, told=listener.changed)
    finally:  # Also of a study that was interrupted there is something to tell.
        if any(state(run) == "done" for run in runs):
            stages = {stage: rows_of(planned, stage) for stage in study.stages}
            result = _result(study, planned, stages, time.perf_counter() - began)
            _write(study, out, planned, stages, result)
    if not any(state(run) == "done" for run in runs):
        failures = [row for stage in study.stages for row in rows_of(planned, stage) if row.runs.failed]
        why = next(iter(failures[0].runs.failed.values())) if failures else "nothing was run yet."
        raise UserError(f"The study at {out} has no finished run: {why}")
    listener.finished(study, stages, result)
    return result


def _check_folder(out: Path) -> None:
    if not out.exists() or (out / STUDY).is_file() or (out.is_dir() and not any(out.iterdir())):
        return
    raise UserError(f"{out} is not the folder of a study (it has no {STUDY}); choose another with -o.")


def _result(
    study: Study, planned: Sequence[Planned], stages: Mapping[str, Sequence[Row]], seconds: float
) -> dict[str, Any]:
    every = [row.runs for rows in stages.values() for row in rows]
    return {
        "kind": "study",
        "study": study.name,
        "question": study.question,
        "runs": sum(len(runs.done) for runs in every),
        "planned": sum(runs.planned for runs in every),
        "failed": sum(len(runs.failed) for runs in every),
        "stages": {
            stage: {"rows": [row.to_json() for row in rows], "sentences": say(rows)}
            for stage, rows in stages.items()
        },
        "folders": {
            variant.name: {
                stage: [f"{RUNS}/{run.folder.name}" for run in runs] for stage, runs in variant.runs.items()
            }
            for variant in planned
        },
        "wall_seconds": seconds,
        "version": __version__,
    }


def _write(
    study: Study,
    out: Path,
    planned: Sequence[Planned],
    stages: Mapping[str, Sequence[Row]],
    result: Mapping[str, Any],
) -> None:
    write_json(out / RESULT, dict(result))
    with replace_file(out / TABLES) as temporary:
        temporary.write_text(
            "\n".join(
                f"## {stage}\n\n{markdown(*lines_of(rows))}\n" + "\n".join(say(rows)) + "\n"
                for stage, rows in stages.items()
            ),
            encoding="utf-8",
        )
    write_study_page(out, study, planned, stages)
