"""All of GLUE (Wang et al. 2019) that is on this machine: a run for each task, and one table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.diagnose.wording import with_interval
from bertkit.errors import UserError, nearest
from bertkit.infer.evaluate import evaluate
from bertkit.infer.model import load
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.runs.folder import RESULT
from bertkit.runs.lock import hold
from bertkit.runs.reader import read_answers, read_result
from bertkit.runs.records import write_json
from bertkit.studies.plan import Run
from bertkit.studies.published import Published, beside
from bertkit.studies.runner import failure, kept_recipe, run_all, state
from bertkit.studies.study import StudyListener
from bertkit.studies.submission import write_answers, write_zip
from bertkit.studies.words import Lines, markdown
from bertkit.tasks.glue import GLUE
from bertkit.tasks.kinds import KINDS, title
from bertkit.tasks.metrics import rows_interval, seeds_interval
from bertkit.tasks.task import Task
from bertkit.version import __version__

TABLE, SUBMISSION, ANSWERS = "glue.md", "submission.zip", "submission"
HALF = "cola"
"""The task whose dev rows are half of those of GLUE's own; it stands for that where GLUE's are not here."""
_WHOLE = "cola-glue"
# What GLUE's leaderboard has of these tasks; of others it is their own metric.
_METRICS = {"mrpc": ("f1", "accuracy"), "qqp": ("f1", "accuracy"), "stsb": ("pearson", "spearman")}


def glue_tasks(names: Sequence[str]) -> list[Task]:
    """The tasks of those names, all of GLUE's of none, in GLUE's order.

    Raises:
        UserError: GLUE has no such task.
    """
    by_name = {task.name: task for task in GLUE}
    if wrong := next((name for name in names if name not in by_name), None):
        raise UserError(f"GLUE has no task {wrong!r}.{nearest(wrong, list(by_name))}")
    other = HALF if by_name[_WHOLE].has("train") else _WHOLE
    return [task for task in GLUE if (task.name in names if names else task.name != other)]


def run_glue(
    recipe: Recipe,
    out: Path,
    *,
    tasks: Sequence[str] = (),
    jobs: int = 1,
    again: bool = False,
    listener: StudyListener | None = None,
) -> dict[str, Any]:
    """Fine-tune and score a model on every task of GLUE that is here.

    Each task has its run folder in `out`, by its name, which is gone on with where it is not finished, and
    not made again where it is. `out` then has `result.json`, `glue.md` and `submission.zip`.

    Args:
        recipe: of each run, but for the task.
        out: the folder: made, or gone on with.
        tasks: names of tasks; all without.
        jobs: runs at a time; 0 runs nothing and tells of what is done.
        again: try those again that failed before.
        listener: is told of every run.

    Returns:
        `model`, `seeds`; `tasks`: of each `task`, `state` ("done", "missing", "waiting" or "failed"), `why`,
        `rows`, `run`, and `figures`: by metric its `score` and `interval` (as in a run's result), and the
        score of the `blind` baseline; `published`: see `Published`; `submission`: its `file`, or None, the
        tasks `answered`, and why others are `missing`.

    Raises:
        UserError: GLUE has no such task, a run there has another recipe, or nothing could be done.
        KeyboardInterrupt: Ctrl-C; the runs under way have saved, and the same call goes on.
    """
    chosen = glue_tasks(tasks)
    runs = {task.name: _run(recipe, task, out) for task in chosen if not (task.trained_on or _absent(task))}
    listener = listener or StudyListener()
    listener.planned(
        f"GLUE with {recipe.model.start}: {len(runs)} of {len(chosen)} tasks to train", [*runs.values()]
    )
    if jobs:
        with hold(out, "runs GLUE at") as lock:
            run_all([*runs.values()], lock, jobs=jobs, again=again, told=listener.changed)
    told = [_told(task, out, runs) for task in chosen]
    if not any(row["state"] == "done" for row in told):
        why = "; ".join(f"{row['task']}: {row['why']}" for row in told if row["why"])
        raise UserError(f"Nothing of GLUE is done at {out}. {why}")
    result = {
        "kind": "glue",
        "model": recipe.model.start,
        "seeds": recipe.training.seeds,
        "tasks": told,
        "published": [asdict(row) for row in beside(recipe.model.start)],
        "submission": _submission(chosen, out),
        "version": __version__,
    }
    write_json(out / RESULT, result)
    with replace_file(out / TABLE) as temporary:
        heads, lines = table(result)
        temporary.write_text(markdown(heads, lines) + "\n".join(["", *notes(result), ""]), encoding="utf-8")
    return result


def _absent(task: Task) -> str:
    """Which rows are not here, and how to get them; "" where all are."""
    missing = [split for split in task.files if not task.has(split)]
    if not missing:
        return ""
    return f"its {' and '.join(missing)} rows are not on this machine: bertkit data fetch {task.name}"


def _run(recipe: Recipe, task: Task, out: Path) -> Run:
    run = Run("finetune", recipe.with_changes({"task": {"name": task.name}}), (out / task.name).absolute())
    before = kept_recipe(run)
    if run.folder.exists() and before is not None and before != run.recipe.to_toml():
        raise UserError(
            f"{run.folder} was made with other options than these; give the same, or another folder with -o."
        )
    return run


def _told(task: Task, out: Path, runs: Mapping[str, Run]) -> dict[str, Any]:
    """What there is of a task."""
    row: dict[str, Any] = {
        "task": task.name,
        "state": "done",
        "why": "",
        "rows": None,
        "run": None,
        "figures": {},
    }
    source = task.trained_on or task.name
    if not task.files:
        return {**row, "state": "missing", "why": "it has no labels here: it is answered for the submission"}
    if why := _absent(task):
        return {**row, "state": "missing", "why": why}
    folder = (out / source).absolute()
    now = state(runs[source]) if source in runs else "done" if read_result(folder) else "waiting"
    if now != "done":
        why = failure(runs[source]) if source in runs else f"it needs the run of {source}"
        return {
            **row,
            "state": "failed" if now == "failed" else "waiting",
            "why": why or "it is not finished",
        }
    row["run"] = str(folder)
    return {**row, **(_evaluated(task, folder) if task.trained_on else _trained(task, folder))}


def _metrics(task: Task) -> tuple[str, ...]:
    return _METRICS.get(task.name, (task.metric,))


def _trained(task: Task, folder: Path) -> dict[str, Any]:
    """Each metric over all seeds of a run, as the run has its own."""
    result, answers = read_result(folder), [each.adds for each in read_answers(folder)]
    if result is None or not answers:
        raise UserError(f"{folder} has lost its result or its answers; remove it to make it again.")
    known = KINDS[task.kind].scoring(tuple(task.labels.values()), task.metric, task.positive).metrics
    blind = result.values["baselines"][KINDS[task.kind].baselines[0].name]["metrics"]
    return {
        "rows": result.whole("rows"),
        "figures": {
            metric.name: {
                "score": statistics.mean(metric.of(each) for each in answers),
                "interval": list(
                    seeds_interval(metric, answers) if len(answers) > 1 else rows_interval(metric, answers[0])
                ),
                "blind": blind[metric.name],
            }
            for metric in known
            if metric.name in _metrics(task)
        },
    }


def _evaluated(task: Task, folder: Path) -> dict[str, Any]:
    """A task without rows to train on, by the model that is kept of another's run."""
    found = evaluate(load(folder).predictor, TaskRecipe(name=task.name))
    blind = found["baselines"][KINDS[task.kind].baselines[0].name]["metrics"][task.metric]
    figure = {"score": found["score"], "interval": found["interval"], "blind": blind}
    return {"rows": found["rows"], "figures": {task.metric: figure}}


def _submission(chosen: Sequence[Task], out: Path) -> dict[str, Any]:
    """Answers to all rows that are here to be answered, and the zip of them."""
    answered: dict[str, str] = {}
    missing: dict[str, str] = {}
    folder = out / ANSWERS
    for task in chosen:
        run = out / (task.trained_on or task.name)
        wanted = task.submission
        if wanted is None:
            missing[task.name] = f"its rows to be answered are of {_WHOLE}: bertkit data fetch {_WHOLE}"
        elif not task.has_file(wanted.file):
            missing[task.name] = f"{wanted.file} is not on this machine: bertkit data fetch {task.name}"
        elif read_result(run) is None:
            missing[task.name] = f"there is no finished run of {task.trained_on or task.name}"
        else:
            folder.mkdir(exist_ok=True)
            path = folder / wanted.name
            # What is there of the same run is not answered again.
            if not path.is_file() or path.stat().st_mtime < (run / RESULT).stat().st_mtime:
                write_answers(load(run).predictor, task, path)
            answered[task.name] = wanted.name
    file = out / SUBMISSION
    if answered:
        write_zip(file, [folder / name for name in answered.values()])
    return {"file": str(file) if answered else None, "answered": answered, "missing": missing}


def table(result: Mapping[str, Any]) -> Lines:
    """A line for each task and metric: ours in percent with its interval, and what is laid beside."""
    rows = [Published(**row) for row in result["published"]]
    heads = ["task", "dev rows", "metric", "majority", "ours (dev) [95 %]", *(row.title for row in rows)]
    lines = []
    for task in result["tasks"]:
        for name, figure in task["figures"].items():
            ours = with_interval(100 * figure["score"], [100 * end for end in figure["interval"]], ".1f")
            known = "cola" if task["task"] == _WHOLE else task["task"]
            others = [row.scores.get(known, {}).get(name) for row in rows]
            cells = [with_interval(value, form=".1f") or "-" for value in others]
            blind = with_interval(100 * figure["blind"], form=".1f")
            lines.append([task["task"], f"{task['rows']:,}", title(name), blind, ours, *cells])
    return heads, lines


def notes(result: Mapping[str, Any]) -> list[str]:
    """What the table does not say: whose figures they are, what they compare with, and what is missing."""
    rows = [Published(**row) for row in result["published"]]
    said = [f"{row.title}: {row.source}." for row in rows]
    said.append("Figures of test rows are not to be compared with those of dev rows.")
    if any(task["task"] == HALF and task["figures"] for task in result["tasks"]):
        said.append(
            "cola: the dev rows are the in-domain half of GLUE's; bertkit data fetch cola-glue has all."
        )
    said += [f"{task['task']}: {task['why']}." for task in result["tasks"] if task["why"]]
    missing = "; ".join(f"{name}: {why}" for name, why in result["submission"]["missing"].items())
    if file := result["submission"]["file"]:
        said.append(f"Submission: {file}" + (f", without {missing}." if missing else "."))
    else:
        said.append(f"There is no submission: {missing}.")
    return said
