"""A study from its declaration to its page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError, check_at_least
from bertkit.recipe.study import Study
from bertkit.runs.folder import RESULT
from bertkit.runs.lock import hold
from bertkit.runs.records import write_json
from bertkit.studies.page import write_study_page
from bertkit.studies.plan import RUNS, Planned, Run, distinct, plan
from bertkit.studies.runner import State, run_all
from bertkit.studies.variants import Row, rows_of
from bertkit.studies.words import lines_of, markdown, say
from bertkit.version import __version__

TABLES = "tables.md"
STUDY = "study.toml"
"""A copy of the declaration that the results are of."""


class StudyListener:
    """What a person sees of a study: nothing, unless a method is replaced."""

    def planned(self, question: str, runs: Sequence[Run]) -> None:
        """These are all runs that shall answer it; `runner.state` tells which are done."""

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

    Arguments, result and errors are those of `bertkit.study`; of `settings` each stage has its own, each of
    them as `section.key=value`.
    """
    check_at_least("study", "jobs", jobs, 0)
    check_at_least("study", "seeds", seeds, 0)
    _check_folder(out)
    planned = plan(study, out, settings=settings, seeds=seeds)
    runs = distinct(planned)
    listener.planned(study.question, runs)
    began = time.perf_counter()
    if jobs:
        with hold(out, "runs the study at") as lock:
            with replace_file(out / STUDY) as temporary:
                shutil.copyfile(study.path, temporary)
            try:
                run_all(runs, lock, jobs=jobs, again=again, told=listener.changed)
            except KeyboardInterrupt:
                _tell(study, out, planned, began)  # There is something to tell already.
                raise
    stages, result = _tell(study, out, planned, began)
    if not result["runs"]:
        why = next((why for rows in stages.values() for row in rows for why in row.failed.values()), "")
        raise UserError(f"The study at {out} has no finished run: {why or 'nothing was run yet.'}")
    listener.finished(study, stages, result)
    return result


def _tell(
    study: Study, out: Path, planned: Sequence[Planned], began: float
) -> tuple[dict[str, list[Row]], dict[str, Any]]:
    """What the runs found so far, and, where there is something, the files that say it."""
    stages = {stage: rows_of(planned, stage) for stage in study.stages}
    result = _result(study, planned, stages, time.perf_counter() - began)
    if result["runs"]:
        write_json(out / RESULT, result)
        told = (
            f"## {stage}\n\n{markdown(*lines_of(rows))}\n" + "\n".join(say(rows)) + "\n"
            for stage, rows in stages.items()
        )
        with replace_file(out / TABLES) as temporary:
            temporary.write_text("\n".join(told), encoding="utf-8")
        write_study_page(out, study, stages, result)
    return stages, result


def _check_folder(out: Path) -> None:
    if not out.exists() or (out / STUDY).is_file() or (out.is_dir() and not any(out.iterdir())):
        return
    raise UserError(f"{out} is not the folder of a study (it has no {STUDY}); choose another with -o.")


def _result(
    study: Study, planned: Sequence[Planned], stages: Mapping[str, Sequence[Row]], seconds: float
) -> dict[str, Any]:
    return {
        "kind": "study",
        "study": study.name,
        "question": study.question,
        "runs": _count(stages, lambda row: row.done),
        "planned": len(distinct(planned)),
        "failed": _count(stages, lambda row: row.failed),
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


def _count(stages: Mapping[str, Sequence[Row]], seeds: Callable[[Row], Iterable[int]]) -> int:
    """Runs of those seeds, each once though variants share it: one that is done but damaged has failed."""
    rows = [row for rows in stages.values() for row in rows]
    return len({row.runs[seed].folder for row in rows for seed in seeds(row)})
