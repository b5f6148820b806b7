"""What a task is: where its rows are, how they are read, and how answers are scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bertkit.config.head import USUAL_KIND, HeadKind
from bertkit.data.files import locate, stored
from bertkit.data.sources import sources
from bertkit.data.tables import Columns
from bertkit.errors import UserError, check_choice
from bertkit.tasks.kinds import get_kind

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """Rows whose labels are kept by those who judge, and the file of answers that they take.

    Attributes:
        file: of the rows, in the task's folder.
        columns: where their texts stand.
        name: of the file of answers: the columns `index`, from 0, and `prediction`, a label as in the files.
        low: of numbers the lowest that is taken.
        high: the highest.
    """

    file: str
    columns: Columns
    name: str
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """How a labelled data set becomes examples and how its outputs are scored.

    Attributes:
        name: what it is called.
        data_set: the folder of a named task's files in `$BERTKIT_DATA` and in the cache, and its row in
            `data/sources.toml`; empty for a user's own files.
        files: the table of each split, absolute or in the task's folder.
        columns: where text, pair and label stand in each table.
        metric: the task's own; "" is made the usual one of its kind, unless that hangs on the labels.
        header: as in `iterate_rows`, and so the next two.
        separator: of the columns.
        encoding: of the text.
        skip_bad: whether rows that cannot be used are left out.
        context: of a kind that takes it (see `Kind.takes_context`): rows before, and behind, that one is read
            with.
        labels: a label as in the file -> its name, in the order of the classes; empty: the distinct labels
            of the train split.
        kind: what is to be learnt.
        folder: where the user says the files are.
        positive: of two labels the one whose F1 is told; "": see `Kind.positive`.
        shares: of the rows of train, those that are set aside for another split: see `tasks.split`.
        fold: which of the equal parts, from 1, dev is where it is a share; 0: none of them.
        split_seed: chooses them.
        submission: rows to be answered for an official score, if any.
        trained_on: the task whose models answer this one; "": its own.
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
    context: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    kind: HeadKind = USUAL_KIND
    folder: Path | None = None
    positive: str = ""
    shares: Mapping[Split, float] = field(default_factory=dict)
    fold: int = 0
    split_seed: int = 0
    submission: Submission | None = None
    trained_on: str = ""

    def __post_init__(self) -> None:
        check_choice(f"task {self.name}", "kind", self.kind, HeadKind)
        kind = get_kind(self.kind)
        if self.context and not kind.takes_context:
            raise UserError(
                f"Rows of the kind {self.kind!r} have no neighbours to be read with; leave out context."
            )
        # Where the usual one hangs on the labels it stays open until they are read.
        if self.metric or kind.usual_of is None:
            object.__setattr__(self, "metric", kind.metric(self.metric).name)

    @property
    def reading(self) -> dict[str, Any]:
        """How its files are read: what `Kind.reads` is told beside the columns."""
        how = {"header": self.header, "separator": self.separator, "encoding": self.encoding}
        return {**how, **({"context": self.context} if self.context else {})}

    def file(self, split: Split) -> Path:
        """The table of a split.

        Raises:
            UserError: the task has no such split, or a named task's file is not on this machine.
        """
        if split not in self.files:
            where = f" It is answered by a model of {self.trained_on!r}." if self.trained_on else ""
            raise UserError(f"Task {self.name!r} has no {split} file; give one with --{split}.{where}")
        return self.place(self.files[split])

    def place(self, name: str) -> Path:
        """The file of that name, or its compressed form, in the task's folder.

        Raises:
            UserError: it is not on this machine; it tells where was looked and how to get it.
        """
        if not self.data_set:
            return Path(name)
        how_to_get = sources()[self.data_set].how_to_get(self.name)
        folder = locate(self.data_set, [name], how_to_get, self.folder)
        return stored(folder, name) or folder / name

    def has(self, split: Split) -> bool:
        """Whether the task has that split, and, of a named task, its file is on this machine."""
        return split in self.files and self.has_file(self.files[split])

    def has_file(self, name: str) -> bool:
        """Whether `place` finds the file of that name."""
        try:
            self.place(name)
        except UserError:
            return False
        return True
