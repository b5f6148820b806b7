"""Score a trained model on labelled rows, beside what needs no model."""

from __future__ import annotations

import time
import tomllib
from dataclasses import asdict, replace
from typing import Any

from bertkit.config.head import HEAD_KINDS
from bertkit.errors import UserError
from bertkit.infer.predict import Predictor
from bertkit.infer.reading import as_trained
from bertkit.infer.rows import SILENT, Progress
from bertkit.recipe import Recipe, TaskRecipe, from_table, names_file
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, leaks
from bertkit.tasks.kind import HeadOutputs, Outputs, Predictions, Scale, Scoring
from bertkit.tasks.load import load_examples
from bertkit.tasks.own import expand
from bertkit.tasks.registry import find_task
from bertkit.tasks.task import Split, Task
from bertkit.version import __version__


def evaluate(predictor: Predictor, recipe: TaskRecipe, *, progress: Progress = SILENT) -> dict[str, Any]:
    """Score a model on the dev rows of a task.

    The baselines learn from the task's training rows. Files of a user's own may come without, and those of a
    named task may not be on this machine: then the one that reads no text is that of the scored rows
    themselves, and there is no other.

    Args:
        predictor: the model.
        recipe: the task, whose name may be that of a file. A user's own files are read, and scored, as the
            model's training rows were, unless it says otherwise. Without any: the test, or dev, rows of the
            model's run.
        progress: is told how far the rows have come.

    Returns:
        An object like `result.json` of a run; `split` is "dev" or "test", `baselines_from` is "train" or
        "dev", the rows that told the blind baseline, and `leaks` counts scored rows that also stand in train
        (None without train). Of classes, `calibration` and `thresholds` are of what the model says with its
        `temperature` (or None). The `loss` of numbers is in the unit of training, the variance of the
        training rows; of a model of others, in their own unit squared.

    Raises:
        UserError: bad data, or labels that are not those of the model.
    """
    task, kind, names = _task_for(predictor, recipe), predictor.kind, predictor.labels
    split, rows = _rows_to_score(predictor, task, own=not (recipe.name or recipe.dev))
    train = load_examples(task, "train", names)[0] if task.has("train") else None
    # Without training rows the blind baseline learns from those that are scored.
    positive = kind.positive(task.positive, (train or rows).known, names)
    scoring = kind.scoring(names, task.metric, positive)
    baselines = scoring.baselines(train or rows, rows, blind=train is None)

    encoded, said, figures = _answered(predictor, rows, progress)
    outputs = kind.collect(encoded, said)
    predictions = _predicted(predictor, rows, outputs, scoring)
    found = scoring.summary(rows, predictions)
    blind = baselines[kind.baselines[0].name]["score"]
    outcome = scoring.status(rows, predictions, found["interval"], blind)
    return {
        "task": task.name,
        "kind": task.kind,
        "model": predictor.name,
        "split": split,
        "rows": len(rows),
        "left_out": len(rows.left_out),
        "train_rows": None if train is None else len(train),
        **found,
        "loss": float(kind.losses(encoded, said, Scale(**predictor.card.get("scale", {}))).mean()),
        "baselines": baselines,
        "baselines_from": "dev" if train is None else "train",
        "leaks": None if train is None else len(leaks(train, rows)),
        "seeds": [{"seed": None, "score": found["score"], "status": outcome}],
        "temperature": predictor.temperature,
        **kind.scored(rows, predictions, names),
        **kind.examine(rows, outputs, scoring),
        "mistakes": kind.mistakes(rows, outputs, predictions, names),
        **figures,
        "version": __version__,
    }


def _predicted(predictor: Predictor, rows: Examples, outputs: Outputs, scoring: Scoring) -> Predictions:
    """By the model's decision; of rows on which it was fitted, where scores would be too good, by others."""
    kind, names = predictor.kind, predictor.labels
    dev = predictor.card.get("rows", {}).get("dev")
    if kind.decide is not None and dev == rows.fingerprint(kind.told(rows.known, names)):
        return kind.decided(rows, outputs, scoring)[1]
    return kind.predict(rows, outputs, names, predictor.decision)


def _answered(
    predictor: Predictor, rows: Examples, progress: Progress
) -> tuple[Encoded, HeadOutputs, dict[str, Any]]:
    """All rows encoded, what the head says of them, and what a result says of how it was computed."""
    began = time.perf_counter()
    progress.begin(len(rows), 0)
    encoded = predictor.encode(rows)
    said = predictor.outputs(encoded, progress=progress)
    seconds, sequences = time.perf_counter() - began, encoded.sequences
    return (
        encoded,
        said,
        {
            "truncated": sequences.truncated,
            "precision": predictor.compute.precision,
            "seconds": seconds,
            "tokens_per_second": float(sequences.lengths.sum() / seconds),
        },
    )


def _task_for(predictor: Predictor, recipe: TaskRecipe) -> Task:
    """The task to score on; one whose classes are not the model's is refused before a row is read."""
    if names_file(recipe.name):
        recipe = replace(recipe, name="", dev=recipe.name)
    recipe = expand(recipe)
    if not (recipe.name or recipe.dev):
        recipe = replace(_own_task(predictor, recipe), **_given(recipe))
    recipe = as_trained(recipe, predictor.card)
    if not recipe.name:
        kind = recipe.kind or predictor.kind.name
        kept = predictor.card if kind == predictor.kind.name else {}
        metric, positive = recipe.metric or kept.get("metric"), recipe.positive or kept.get("positive")
        recipe = replace(recipe, kind=kind, metric=metric or "", positive=positive or "")
    task = find_task(recipe)
    if task.kind != predictor.kind.name:
        raise UserError(
            f"{predictor.name} has a head that {HEAD_KINDS[predictor.kind.name].does}, and task "
            f"{task.name!r} asks for one that {HEAD_KINDS[task.kind].does}; take a model that was fine-tuned "
            "on such rows."
        )
    theirs = list(task.labels.values())
    if theirs and set(theirs) != set(predictor.labels):
        raise UserError(
            f"{predictor.name} was trained to tell {', '.join(predictor.labels)}, and the labels of task "
            f"{task.name!r} are {', '.join(theirs)}; take a model that was fine-tuned on {task.name}."
        )
    return task


def _given(recipe: TaskRecipe) -> dict[str, Any]:
    """The keys that are not as they are by default."""
    usual = asdict(TaskRecipe())
    return {key: value for key, value in asdict(recipe).items() if value != usual[key]}


def _own_task(predictor: Predictor, recipe: TaskRecipe) -> TaskRecipe:
    """The task of the run that made the model."""
    text = predictor.card.get("recipe")
    if recipe.train or not text:
        raise UserError("Say what to score on: the name of a task, or a file of your own.")
    return from_table(Recipe, tomllib.loads(text), "").task


def _rows_to_score(predictor: Predictor, task: Task, *, own: bool) -> tuple[Split, Examples]:
    """The dev rows of a task, or those that the model's `own` run had to score on.

    Of a file that has changed others would be set aside, perhaps some that the model was trained on.
    """
    split: Split = "test" if own and "test" in task.files else "dev"
    rows, names = load_examples(task, split, predictor.labels)
    if not own:
        return split, rows
    fingerprint = rows.fingerprint(predictor.kind.told(rows.known, names))
    before = predictor.card.get("rows", {}).get(split)
    if before is not None and before != fingerprint:
        raise UserError(
            f"The {split} rows of {predictor.name} are not those of its training: their file has changed, or "
            "is read otherwise. Name a file to score on."
        )
    return split, rows
