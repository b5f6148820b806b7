"""Tasks as rows: a new one with files is one entry of `TASKS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from bertkit.config.head import USUAL_KIND, HeadKind
from bertkit.data.files import locate
from bertkit.data.tables import Column, Columns
from bertkit.errors import UserError, check_choice, nearest
from bertkit.recipe import TaskRecipe, share_of
from bertkit.tasks.kind import Kind
from bertkit.tasks.kinds import KINDS, get_kind

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """How a labelled data set becomes examples and how its outputs are scored.

    Attributes:
        name: what it is called.
        data_set: the folder of a registered task's files in `$BERTKIT_DATA` and in the cache.
        files: the table of each split, absolute or in the task's folder.
        columns: where text, pair and label stand in each table.
        metric: the task's own; "" is made the usual one of its kind.
        header: as in `iterate_rows`, and so the next two.
        separator: of the columns.
        encoding: of the text.
        skip_bad: whether rows that cannot be used are left out.
        labels: a label as in the file -> its name, in the order of the classes; empty: the distinct labels
            of the train split.
        kind: what is to be learnt.
        how_to_get: steps that put the files in `{folder}`; empty for a user's own files.
        folder: where the user says the files are.
        positive: of two labels the one whose F1 is told; "": see `Kind.positive`.
        shares: of the rows of train, those that are set aside for another split: see `tasks.split`.
        split_seed: chooses them.
    """

    name: str
    data_set: str = ""
    files: Mapping[Split, str]
    columns: Columns
    metric: str = ""
    header: bool | None = None
    separator: str = ""
    encoding: str = ""
    skip_bad: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: HeadKind = USUAL_KIND
    how_to_get: str = ""
    folder: Path | None = None
    positive: str = ""
    shares: Mapping[Split, float] = field(default_factory=dict)
    split_seed: int = 0

    def __post_init__(self) -> None:
        check_choice(f"task {self.name}", "kind", self.kind, HeadKind)
        object.__setattr__(self, "metric", get_kind(self.kind).metric(self.metric).name)

    def file(self, split: Split) -> Path:
        """The table of a split.

        Raises:
            UserError: the task has no such split, or a registered task's files are not on this machine.
        """
        if split not in self.files:
            raise UserError(f"Task {self.name!r} has no {split} file; give one with --{split}.")
        if not self.how_to_get:
            return Path(self.files[split])
        return (
            locate(self.data_set, list(self.files.values()), self.how_to_get, self.folder) / self.files[split]
        )


_GLUE = (
    "1. download https://dl.fbaipublicfiles.com/glue/data/{archive}.zip; 2. unpack it; 3. copy train.tsv and "
    "dev.tsv from its folder {archive} to {{folder}}; or set BERTKIT_DATA to a folder in which they are in "
    "glue/{archive}/."
)

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="cola",
            data_set="cola",
            files={"train": "in_domain_train.tsv", "dev": "in_domain_dev.tsv"},
            columns=Columns(text=4, label=2),
            header=False,
            labels={"0": "unacceptable", "1": "acceptable"},
            positive="acceptable",
            metric="mcc",
            how_to_get=(
                "1. download https://nyu-mll.github.io/CoLA/cola_public_1.1.zip; 2. unpack it; 3. copy "
                "in_domain_train.tsv and in_domain_dev.tsv from its folder cola_public/raw to {folder}; "
                "or set BERTKIT_DATA to a folder in which they are in cola/."
            ),
        ),
        # The next four are of GLUE (Wang et al. 2018): their files, names of labels and order of classes.
        Task(
            name="sst2",
            data_set="glue/SST-2",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            columns=Columns(text="sentence", label="label"),
            labels={"0": "negative", "1": "positive"},
            positive="positive",
            how_to_get=_GLUE.format(archive="SST-2"),
        ),
        Task(
            name="mrpc",
            data_set="glue/MRPC",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            columns=Columns(text="#1 String", pair="#2 String", label="Quality"),
            labels={"0": "not_equivalent", "1": "equivalent"},
            positive="equivalent",
            # GLUE gives F1 too. Who answers "equivalent" always has an F1 of 0.81, so that choosing a model
            # by F1 would reward just that; both are shown anyway.
            metric="accuracy",
            how_to_get=(
                "1. download https://dl.fbaipublicfiles.com/senteval/senteval_data/msr_paraphrase_train.txt "
                "and https://dl.fbaipublicfiles.com/glue/data/mrpc_dev_ids.tsv; 2. of its rows, those whose "
                "two IDs are in mrpc_dev_ids.tsv are dev.tsv and the others train.tsv; 3. write both, with "
                "the header, to {folder}; or set BERTKIT_DATA to a folder in which they are in glue/MRPC/."
            ),
        ),
        Task(
            name="rte",
            data_set="glue/RTE",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            columns=Columns(text="sentence1", pair="sentence2", label="label"),
            labels={"entailment": "entailment", "not_entailment": "not_entailment"},
            positive="entailment",
            how_to_get=_GLUE.format(archive="RTE"),
        ),
        Task(
            name="stsb",
            data_set="glue/STS-B",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            columns=Columns(text="sentence1", pair="sentence2", label="score"),
            kind="regress",
            how_to_get=_GLUE.format(archive="STS-B"),
        ),
        Task(
            name="wnli",
            data_set="glue/WNLI",
            files={"train": "train.tsv", "dev": "dev.tsv"},
            columns=Columns(text="sentence1", pair="sentence2", label="label"),
            labels={"0": "not_entailment", "1": "entailment"},
            positive="entailment",
            how_to_get=_GLUE.format(archive="WNLI"),
        ),
    )
}


def get_task(name: str, folder: str | Path | None = None) -> Task:
    """The registered task of that name, its files in `folder` where that is given.

    Raises:
        UserError: there is none; the nearest name is offered.
    """
    if name not in TASKS:
        raise UserError(f"There is no task {name!r}.{nearest(name, list(TASKS))}")
    return replace(TASKS[name], folder=Path(folder)) if folder else TASKS[name]


def here() -> list[dict[str, str | None]]:
    """All named tasks: `task`, `kind`, and `where` their files are, None where they are not here."""
    found: list[dict[str, str | None]] = []
    for task in TASKS.values():
        try:
            where = str(locate(task.data_set, list(task.files.values()), task.how_to_get))
        except UserError:
            where = None
        found.append({"task": task.name, "kind": task.kind, "where": where})
    return found


def task_from_files(
    train: str | Path | None,
    dev: str | Path | None,
    *,
    text: Column,
    label: Column | None,
    pair: Column | None = None,
    header: bool | None = None,
    kind: HeadKind = USUAL_KIND,
    metric: str = "",
    positive: str = "",
    test: str | Path | None = None,
    split_seed: int = 0,
    separator: str = "",
    encoding: str = "",
    skip_bad: bool = False,
) -> Task:
    """A task of the user's own tables; a split that is not given is None, a share of train is like "20%".

    Raises:
        UserError: the kind or the metric is unknown, no file is given, or shares leave no row to train on.
    """
    given: dict[Split, str | Path | None] = {"train": train, "dev": dev, "test": test}
    shares = {split: share for split, what in given.items() if what and (share := share_of(str(what)))}
    if sum(shares.values()) >= 1 or "train" in shares or (shares and train is None):
        told = ", ".join(f"{split} {given[split]}" for split in shares)
        raise UserError(
            f"{told}: a share is of the rows of a training file, and some must be left to train on."
        )
    files = {split: str(train if split in shares else what) for split, what in given.items() if what}
    if not files:
        raise UserError("A task needs the name of a registered one or files; give --train and --dev.")
    return Task(
        name=Path(next(iter(files.values()))).name,
        files=files,
        columns=Columns(text=text, pair=pair, label=label),
        header=header,
        separator=separator,
        encoding=encoding,
        skip_bad=skip_bad,
        metric=metric,
        kind=kind,
        positive=positive,
        shares=shares,
        split_seed=split_seed,
    )


def kind_of(recipe: TaskRecipe) -> Kind:
    """What the rows of a task ask for; of one that is not known, the usual kind."""
    task = TASKS.get(recipe.name)
    return KINDS[task.kind if task else recipe.kind or USUAL_KIND]


def find_task(recipe: TaskRecipe) -> Task:
    """The named task, or the one that the user's files make; a file that is missing is missed when read."""
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
        asked = {key: value for key in ("metric", "positive") if (value := getattr(recipe, key))}
        return replace(task, **asked)
    if not (recipe.train or recipe.dev):
        raise UserError(
            "Say what to learn: the name of a task, or a file of your own rows, such as tickets.csv."
        )
    return task_from_files(
        recipe.train or None,
        recipe.dev or None,
        text=recipe.text or "text",
        pair=recipe.pair or None,
        label=recipe.label or "label",
        header=recipe.named,
        separator=recipe.separator,
        encoding=recipe.encoding,
        skip_bad=recipe.skip_bad,
        kind=recipe.kind or USUAL_KIND,
        metric=recipe.metric,
        positive=recipe.positive,
        test=recipe.test or None,
        split_seed=recipe.split_seed,
    )
