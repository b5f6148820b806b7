"""An audit of labelled rows: which rows are meant, what is measured of them, and what is found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertkit.checkpoint.folder import read_tokenizer
from bertkit.checkpoint.locate import find_model, find_pretrained
from bertkit.diagnose.wording import model_name
from bertkit.errors import UserError
from bertkit.health.auditing import inspect_rows
from bertkit.health.checks import check_rows
from bertkit.health.preflight import Inspection
from bertkit.recipe import TaskRecipe
from bertkit.recipe.finetune import BatchRecipe
from bertkit.runs.findings import Finding
from bertkit.tasks.examples import Examples
from bertkit.tasks.guess import complete
from bertkit.tasks.kind import Names
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.load import load_examples, load_splits
from bertkit.tasks.registry import find_task
from bertkit.tasks.task import Split, Task
from bertkit.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Audited:
    """What an audit came to.

    Attributes:
        task: what the rows are called.
        kind: of their task.
        told: what was guessed of their columns, and whose tokens are counted; sentences.
        seen: what was measured.
        findings: the gravest first.
    """

    task: str
    kind: str
    told: tuple[str, ...]
    seen: Inspection
    findings: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """As `bertkit data check --json` prints it."""
        return {
            "task": self.task,
            "kind": self.kind,
            "told": list(self.told),
            "measures": self.seen.to_json(),
            "findings": [each.to_json() for each in self.findings],
        }


def audit_rows(
    recipe: TaskRecipe, *, model: str = "", vocabulary: str = "", max_length: int = 0, labels: bool = True
) -> Audited:
    """Look at labelled rows without training on them.

    Rows that cannot be used are counted, and no reason to stop.

    Args:
        recipe: a named task, or own files: those to learn from, and perhaps those to score on.
        model: whose tokens are counted: a folder or a name, see `find_model`; "" a pretrained one that is on
            this machine, or none.
        vocabulary: a vocabulary file instead.
        max_length: tokens of a sequence at most; 0 the usual number.
        labels: whether the rows have labels; without, the column of the text must be known.

    Raises:
        UserError: a file that cannot be read or does not tell which columns are meant, rows of which none can
            be used, or no such model.
    """
    told = []
    recipe = replace(recipe, skip_bad=True)
    if recipe.train and labels:
        recipe, words = complete(recipe)
        told += [words] if words else []
    task = replace(find_task(recipe), skip_bad=True)
    if not labels:
        task = replace(task, columns=replace(task.columns, label=None))
    tokenizer, words = _tokenizer(model, vocabulary)
    told += [words] if words else []
    parts, names = _parts(task)
    seen = inspect_rows(
        parts,
        KINDS[task.kind],
        names,
        tokenizer=tokenizer,
        max_length=max_length or BatchRecipe().max_length,
    )
    return Audited(task.name, task.kind, tuple(told), seen, tuple(check_rows(seen)))


def _parts(task: Task) -> tuple[dict[Split, Examples], Names]:
    """The rows of each split that there is."""
    if task.columns.label is None:
        return {split: load_examples(task, split)[0] for split in task.files}, ()
    if "dev" in task.files:
        return load_splits(task)
    rows, names = load_examples(task, "train")
    return {"train": rows}, names


def _tokenizer(model: str, vocabulary: str) -> tuple[Tokenizer | None, str]:
    """What cuts the texts into tokens, and a sentence about it."""
    if model and vocabulary:
        raise UserError("Give either a model or a vocabulary to count tokens by, not both.")
    if vocabulary:
        return Tokenizer.from_vocabulary(Path(vocabulary)), f"tokens of {vocabulary}"
    if not model:
        if (found := find_pretrained()) is None:
            return None, "no tokens are counted without a model on this machine: --model or --vocab"
        model = found[0]
    if (folder := find_model(model)) is None:
        raise UserError(f"The preset {model!r} has no vocabulary of its own; give one with --vocab.")
    return read_tokenizer(folder), f"tokens of {model_name(model)}"
