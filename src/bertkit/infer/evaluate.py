"""Score a trained model on labelled rows, beside what needs no model."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from bertkit.errors import UserError
from bertkit.infer.predict import Predictor
from bertkit.recipe import TaskRecipe
from bertkit.tasks.baselines import majority, score_baselines
from bertkit.tasks.calibration import examine
from bertkit.tasks.examples import Examples, leaks, load_examples
from bertkit.tasks.metrics import confusion_matrix, summary
from bertkit.tasks.registry import Task, find_task
from bertkit.tasks.scoring import mistakes, status
from bertkit.version import __version__


def evaluate(predictor: Predictor, recipe: TaskRecipe) -> dict[str, Any]:
    """Score a model on the dev rows of a task.

    The baselines learn from the task's training rows. Files of a user's own may come without: then the
    majority is that of the scored rows themselves, and there is no n-gram model.

    Args:
        predictor: the model.
        recipe: the task. Files of a user's own are scored with the metric of the model's training unless it
            names one.

    Returns:
        An object like `result.json` of a run; `baselines_from` is "train" or "dev", the rows that told the
        majority, and `leaks` counts scored rows that also stand in train (None without train).
        `calibration` and `thresholds` are of the probabilities as the model gives them, with the
        `temperature` that its folder keeps (or None).

    Raises:
        UserError: bad data, or labels that are not those of the model.
    """
    task = _task_for(predictor, recipe)
    rows, labels = load_examples(task, "dev", predictor.labels)
    train = load_examples(task, "train", predictor.labels)[0] if "train" in task.files else None
    baselines = _baselines(train, rows, len(labels), task.metric)

    began = time.perf_counter()
    sequences = predictor.encode(rows.texts, rows.pairs)
    logs = predictor.log_probabilities(sequences)
    seconds = time.perf_counter() - began

    truth, predicted = rows.known_labels, logs.argmax(axis=1)
    confusion = confusion_matrix(truth, predicted, len(labels))
    found = summary(confusion, task.metric)
    outcome = status(predicted, found["interval"], baselines["majority"]["score"])
    return {
        "task": task.name,
        "kind": task.kind,
        "model": predictor.name,
        "rows": len(rows),
        "train_rows": None if train is None else len(train),
        **found,
        "loss": -float(logs[np.arange(len(truth)), truth].mean()),
        "baselines": baselines,
        "baselines_from": "dev" if train is None else "train",
        "leaks": None if train is None else len(leaks(train, rows)),
        "seeds": [{"seed": None, "score": found["score"], "status": outcome}],
        "labels": list(labels),
        "confusion": confusion.tolist(),
        "temperature": predictor.temperature,
        **examine(np.exp(logs), truth, labels, task.metric),
        "mistakes": mistakes(rows, labels, np.exp(logs)),
        "truncated": sequences.truncated,
        "precision": predictor.precision,
        "seconds": seconds,
        "pieces_per_second": float(sequences.lengths.sum() / seconds),
        "version": __version__,
    }


def _baselines(train: Examples | None, rows: Examples, classes: int, metric: str) -> dict[str, Any]:
    if train is not None:
        return score_baselines(train, rows, classes, metric)
    return {"majority": summary(majority(rows.known_labels, rows.known_labels, classes), metric)}


def _task_for(predictor: Predictor, recipe: TaskRecipe) -> Task:
    """The task to score on; one whose classes are not the model's is refused before a row is read."""
    if not (recipe.name or recipe.dev):
        raise UserError("Say what to score on: the name of a task, or --dev FILE of your own.")
    if not recipe.name and not recipe.metric:
        recipe = replace(recipe, metric=predictor.card.get("metric", ""))
    task = find_task(recipe)
    theirs = list(task.labels.values())
    if theirs and set(theirs) != set(predictor.labels):
        raise UserError(
            f"{predictor.name} was trained to tell {', '.join(predictor.labels)}, and the labels of task "
            f"{task.name!r} are {', '.join(theirs)}; take a model that was fine-tuned on {task.name}."
        )
    return task
