"""A task by its name, or of a user's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bertkit.config.head import USUAL_KIND, HeadKind
from bertkit.data.tables import Column, Columns
from bertkit.errors import UserError, nearest
from bertkit.recipe import OF_FILES, TaskRecipe, fold_of, share_of
from bertkit.tasks.choices import choice_columns
from bertkit.tasks.kind import Kind
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.named import TASKS
from bertkit.tasks.own import all_names, expand, is_task
from bertkit.tasks.task import Split, Task

OVER_NAMED = ("metric", "positive", "context")
"""Keys of a recipe that change a named task."""


def get_task(name: str, folder: str | Path | None = None) -> Task:
    """The named task of that name, its files in `folder` where that is given.

    Raises:
        UserError: there is none; the nearest name is offered.
    """
    if name not in TASKS and Path(name).exists():
        raise UserError(
            f"There is no task {name!r}, but a {'folder' if Path(name).is_dir() else 'file'} of that name. "
            f"To learn from its labelled rows write ./{name}; from text without labels: "
            f"bertkit pretrain {name}"
        )
    if name not in TASKS:
        raise UserError(f"There is no task {name!r}.{nearest(name, all_names())}")
    return replace(TASKS[name], folder=Path(folder)) if folder else TASKS[name]


def task_from_files(
    train: str | Path | None,
    dev: str | Path | None,
    *,
    text: Column,
    label: Column | tuple[Column, ...] | None,
    label_separator: str = ",",
    pair: Column | None = None,
    choices: str = "",
    label_as: str = "",
    header: bool | None = None,
    kind: HeadKind = USUAL_KIND,
    metric: str = "",
    positive: str = "",
    test: str | Path | None = None,
    split_seed: int = 0,
    separator: str = "",
    encoding: str = "",
    skip_bad: bool = False,
    labels: Mapping[str, str] | None = None,
    title: str = "",
    context: int = 0,
) -> Task:
    """A task of the user's own tables; a split that is not given is None, a share of train is like "20%".

    Raises:
        UserError: the kind or the metric is unknown, no file is given, or shares leave no row to train on.
    """
    given: dict[Split, str | Path | None] = {"train": train, "dev": dev, "test": test}
    shares = _shares(given)
    files = {split: str(train if split in shares else what) for split, what in given.items() if what}
    if not files:
        raise UserError("A task needs a name or files; give --train and --dev.")
    return Task(
        name=title or Path(next(iter(files.values()))).name,
        files=files,
        columns=Columns(
            text=text,
            pair=pair,
            label=label,
            label_separator=label_separator,
            label_as=label_as,
            more=choice_columns(choices),
        ),
        header=header,
        separator=separator,
        encoding=encoding,
        skip_bad=skip_bad,
        context=context,
        metric=metric,
        kind=kind,
        positive=positive,
        shares=shares,
        fold=fold_of(str(dev)) if "dev" in shares else 0,
        split_seed=split_seed,
        labels=labels or _called(label),
    )


def _shares(given: Mapping[Split, str | Path | None]) -> dict[Split, float]:
    """The splits that are a share of the rows of train."""
    shares = {split: share for split, what in given.items() if what and (share := share_of(str(what)))}
    if sum(shares.values()) >= 1 or "train" in shares or (shares and given["train"] is None):
        told = ", ".join(f"{split} {given[split]}" for split in shares)
        raise UserError(
            f"{told}: a share is of the rows of a training file, and some must be left to train on."
        )
    return shares


def _called(label: Column | tuple[Column, ...] | None) -> dict[str, str]:
    """The labels that have a column each, in their order; none where columns are numbers."""
    return {name: name for name in label if isinstance(name, str)} if isinstance(label, tuple) else {}


def label_columns(kind: HeadKind, label: str) -> Column | tuple[Column, ...]:
    """The column of the label, or those of 0 and 1 for each label of rows that may have several."""
    names = tuple(name.strip() for name in label.split(","))
    return names if kind == "multilabel" and len(names) > 1 else label


def kind_of(recipe: TaskRecipe) -> Kind:
    """What the rows of a task ask for; of one that is not known, the usual kind."""
    recipe = expand(recipe) if is_task(recipe.name) else recipe
    task = TASKS.get(recipe.name)
    return KINDS[task.kind if task else recipe.kind or USUAL_KIND]


def find_task(recipe: TaskRecipe) -> Task:
    """The named task, or the one that the user's files make; a file that is missing is missed when read."""
    recipe = expand(recipe)
    if recipe.name:
        if recipe.train or recipe.dev or recipe.test:
            raise UserError(
                f"Give either the task {recipe.name!r} or files of your own (train, dev, test), not both."
            )
        task = get_task(recipe.name, recipe.folder)
        if recipe.kind not in ("", task.kind):
            raise UserError(
                f"The task {task.name!r} is of the kind {task.kind!r}, not {recipe.kind!r}; leave --kind out."
            )
        usual = TaskRecipe()
        known = (*OF_FILES, "encoding", "skip_bad")
        if wrong := [key for key in known if getattr(recipe, key) != getattr(usual, key)]:
            raise UserError(
                f"How the files of task {task.name!r} are read is known; leave "
                f"--{wrong[0].replace('_', '-')} out, or give files of your own."
            )
        asked = {key: value for key in OVER_NAMED if (value := getattr(recipe, key))}
        return replace(task, **asked)
    if not (recipe.train or recipe.dev):
        raise UserError(
            "Say what to learn: the name of a task, or a file of your own rows, such as tickets.csv."
        )
    text, pair, label = kind_of(recipe).usual_columns
    return task_from_files(
        recipe.train or None,
        recipe.dev or None,
        text=recipe.text or text,
        pair=recipe.pair or pair,
        choices=recipe.choices,
        label_as=recipe.label_as,
        label=label_columns(recipe.kind or USUAL_KIND, recipe.label or label),
        label_separator=recipe.label_separator,
        header=recipe.named,
        separator=recipe.separator,
        encoding=recipe.encoding,
        skip_bad=recipe.skip_bad,
        context=recipe.context,
        kind=recipe.kind or USUAL_KIND,
        metric=recipe.metric,
        positive=recipe.positive,
        test=recipe.test or None,
        split_seed=recipe.split_seed,
        labels=recipe.labels,
        title=recipe.title,
    )
