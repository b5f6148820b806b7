"""A task's tables as examples in memory, and what is odd about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bertkit.data.tables import Row, place, read_rows
from bertkit.errors import UserError
from bertkit.tasks.registry import Split, Task

NAMED = 10
"""Labels that a sentence has room for."""


@dataclass(frozen=True)
class Examples:
    """N examples of one file, in its order.

    Attributes:
        texts: N first texts.
        pairs: N second texts, or None where the task has single texts.
        labels: class numbers, int64 [N], or None where the file was read without labels.
        lines: where each example begins in the file, from 1.
        path: the file.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: npt.NDArray[np.int64] | None
    lines: list[int]
    path: Path

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def known_labels(self) -> npt.NDArray[np.int64]:
        """The labels of examples that were read with them."""
        assert self.labels is not None, f"{self.path} was read without labels"
        return self.labels

    def fingerprint(self, names: Sequence[str]) -> str:
        """SHA-256 of the texts and the names of their labels, in hexadecimal: rows that are the same have it.

        Args:
            names: of the classes in their order.
        """
        rows = [self.texts, self.pairs, [names[label] for label in self.known_labels]]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def load_examples(
    task: Task, split: Split, labels: Sequence[str] | None = None
) -> tuple[Examples, tuple[str, ...]]:
    """Read one split of a task.

    Args:
        task: says which file and columns.
        split: "train" or "dev".
        labels: names of the classes in their order, those of training for the dev split; None: the task's
            own, or else the distinct labels of the file, in order.

    Returns:
        The examples, and the names of the classes (empty for a task without a label column).

    Raises:
        UserError: a bad row, an empty text or label, a label that is not among `labels`, or train examples
            of one class only.
    """
    path = task.file(split)
    rows = list(read_rows(path, task.columns, header=task.header))
    for row in rows:
        if problem := empty_part(path, row):
            raise UserError(problem)
    examples = Examples(
        texts=[row.text for row in rows],
        pairs=None if task.columns.pair is None else [row.pair for row in rows if row.pair is not None],
        labels=None,
        lines=[row.line for row in rows],
        path=path,
    )
    if task.columns.label is None:
        return examples, ()
    raw = [row.label for row in rows if row.label is not None]
    names = [_name(task, path, row.line, label) for row, label in zip(rows, raw, strict=True)]
    classes = tuple(labels or task.labels.values() or _in_order(set(names)))
    numbers = _numbers(names, classes, examples)
    if split == "train" and len(set(names)) == 1:
        raise UserError(f"{path}: every row has the label {names[0]!r}; learning needs rows of two classes.")
    return Examples(examples.texts, examples.pairs, numbers, examples.lines, path), classes


@dataclass(frozen=True)
class OddRows:
    """Indices of rows that make scores or learning doubtful.

    Attributes:
        duplicates: of train, see `duplicates`.
        contradictions: of train, see `contradictions`.
        leaks: of dev, see `leaks`.
    """

    duplicates: list[int]
    contradictions: list[int]
    leaks: list[int]


def odd_rows(train: Examples, dev: Examples) -> OddRows:
    """What is odd about two splits that were read with labels."""
    return OddRows(duplicates(train), contradictions(train), leaks(train, dev))


def duplicates(examples: Examples) -> list[int]:
    """Indices of examples whose texts stand in an earlier one, but for spaces; labels are not compared."""
    seen: set[tuple[str, str]] = set()
    repeated = []
    for index, key in enumerate(_keys(examples)):
        if key in seen:
            repeated.append(index)
        seen.add(key)
    return repeated


def contradictions(examples: Examples) -> list[int]:
    """Indices of examples whose texts, but for spaces, also stand there with another label."""
    known: dict[tuple[str, str], set[int]] = {}
    labels = examples.known_labels.tolist()
    for key, label in zip(_keys(examples), labels, strict=True):
        known.setdefault(key, set()).add(label)
    if all(len(found) == 1 for found in known.values()):
        return []
    return [index for index, key in enumerate(_keys(examples)) if len(known[key]) > 1]


def leaks(train: Examples, dev: Examples) -> list[int]:
    """Indices of dev examples whose texts, but for spaces, stand in train: scores on them are memory."""
    known = set(_keys(train))
    return [index for index, key in enumerate(_keys(dev)) if key in known]


def empty_part(path: Path, row: Row) -> str | None:
    """A sentence about the text or label of a row that is blank; None where none is."""
    for part, value in (("text", row.text), ("second text", row.pair), ("label", row.label)):
        if value is not None and not value.strip():
            return f"{place(path, row.line)}: the {part} is empty; fill it in or remove the row."
    return None


def _keys(examples: Examples) -> Iterator[tuple[str, str]]:
    pairs = examples.pairs or [""] * len(examples)
    for text, pair in zip(examples.texts, pairs, strict=True):
        yield " ".join(text.split()), " ".join(pair.split())


def _name(task: Task, path: Path, line: int, label: str) -> str:
    """The name of a label as it stands in the file."""
    if not task.labels:
        return label
    if label not in task.labels:
        raise UserError(
            f"{place(path, line)}: the label {label!r} is none of those of task {task.name!r}: "
            f"{', '.join(task.labels)}."
        )
    return task.labels[label]


def _in_order(labels: set[str]) -> list[str]:
    """Sorted, as whole numbers where all are: 10 behind 9."""
    numeric = all(label.isdecimal() for label in labels)
    return sorted(labels, key=lambda label: (int(label) if numeric else 0, label))


def _numbers(names: list[str], classes: tuple[str, ...], examples: Examples) -> npt.NDArray[np.int64]:
    number = {name: index for index, name in enumerate(classes)}
    more = f", and {len(classes) - NAMED:,} more" if len(classes) > NAMED else ""
    shown = f"{', '.join(classes[:NAMED])}{more}"
    for name, line in zip(names, examples.lines, strict=True):
        if name not in number:
            raise UserError(
                f"{place(examples.path, line)}: the label {name!r} is not one of those trained on ({shown})."
            )
    return np.array([number[name] for name in names], dtype=np.int64)
