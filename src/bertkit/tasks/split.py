"""Rows that are set aside from those to train on, to score a model on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bertkit.errors import UserError
from bertkit.tasks.examples import Examples
from bertkit.tasks.task import Split


def split_rows(
    examples: Examples, shares: Mapping[Split, float], strata: npt.NDArray[Any], *, seed: int, fold: int = 0
) -> dict[Split, list[int]]:
    """Deal the rows out: of each stratum each of `shares` to its split, and what is left to "train".

    Rows whose texts are the same but for spaces and case, or whose kind says that they are of one group, such
    as the questions about one article, go together, so that no split has seen another's.
    Which go where hangs on the texts and the seed, not on the order of the file. Every stratum keeps rows to
    train on.

    Args:
        examples: N of them.
        shares: between 0 and 1, below 1 together.
        strata: what each row counts as, [N], see `Kind.strata`.
        seed: another one makes another choice.
        fold: which of the equal parts of what the other splits leave is dev, from 1; together they are all
            of it, so that a label of a single row is in no training rows of its fold. 0: none of them.

    Returns:
        Indices by split, in the order of the file.

    Raises:
        UserError: so few rows that a split would have none.
    """
    by_stratum: dict[Any, list[tuple[bytes, list[int]]]] = {}
    for key, rows in _groups(examples).items():
        digest = hashlib.sha256(repr((seed, *key)).encode("utf-8", "surrogatepass")).digest()
        by_stratum.setdefault(strata[rows].min().item(), []).append((digest, rows))
    parts: dict[Split, list[int]] = {split: [] for split in ("train", *shares)}
    for found in by_stratum.values():
        left = [rows for _, rows in sorted(found)]
        whole = sum(map(len, left))
        for split, share in shares.items():
            if fold and split == "dev":
                continue
            kept: list[list[int]] = []
            wanted = round(share * whole)
            for number, rows in enumerate(left, 1):
                if len(rows) <= wanted and (kept or number < len(left)):
                    parts[split] += rows
                    wanted -= len(rows)
                else:
                    kept.append(rows)
            left = kept
        if fold:
            begin = int.from_bytes(min(found)[0][:4]) / 2**32
            numbers = fold_numbers([len(rows) for rows in left], round(1 / shares["dev"]), begin)
            for number, rows in zip(numbers, left, strict=True):
                parts["dev" if number == fold else "train"] += rows
        else:
            parts["train"] += [row for rows in left for row in rows]
    for split, share in shares.items():
        if not parts[split]:
            raise UserError(
                f"{examples.path} has {len(examples):,} rows: too few to set {share:.0%} of each label "
                f"aside for {split}; give a larger share or a file with --{split}."
            )
    return {split: sorted(rows) for split, rows in parts.items()}


def fold_numbers(sizes: Sequence[int], folds: int, begin: float) -> list[int]:
    """In which of so many folds, from 1, each of some groups of rows is: about as many rows in each.

    Args:
        sizes: rows of each group.
        folds: how many there are.
        begin: 0 to 1, where on the circle of the folds the first group stands: so that groups of many strata
            with fewer groups than folds are not all in the same one.
    """
    middles = np.cumsum(sizes) - np.asarray(sizes) / 2
    found: list[int] = (((middles / max(1, sum(sizes)) + begin) % 1.0) * folds).astype(np.int64).tolist()
    return [min(number, folds - 1) + 1 for number in found]


def _groups(examples: Examples) -> dict[tuple[str, ...], list[int]]:
    """The rows that go together, by what they have in common."""
    groups: dict[tuple[str, ...], list[int]] = {}
    named = examples.more.get("group")
    for row, key in enumerate(examples.keys if named is None else zip(named, strict=True)):
        groups.setdefault(tuple(map(str.casefold, key)), []).append(row)
    return groups
