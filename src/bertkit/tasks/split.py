"""Rows that are set aside from those to train on, to score a model on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from bertkit.errors import UserError
from bertkit.tasks.examples import Examples
from bertkit.tasks.task import Split


def split_rows(
    examples: Examples, shares: Mapping[Split, float], strata: npt.NDArray[Any], *, seed: int
) -> dict[Split, list[int]]:
    """Deal the rows out: of each stratum each of `shares` to its split, and what is left to "train".

    Rows whose texts are the same but for spaces and case go together, so that no split has seen another's.
    Which go where hangs on the texts and the seed, not on the order of the file. Every stratum keeps rows to
    train on.

    Args:
        examples: N of them.
        shares: between 0 and 1, below 1 together.
        strata: what each row counts as, [N], see `Kind.strata`.
        seed: another one makes another choice.

    Returns:
        Indices by split, in the order of the file.

    Raises:
        UserError: so few rows that a split would have none.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for row, (text, pair) in enumerate(examples.keys):
        groups.setdefault((text.casefold(), pair.casefold()), []).append(row)
    by_stratum: dict[Any, list[tuple[bytes, list[int]]]] = {}
    for key, rows in groups.items():
        digest = hashlib.sha256(repr((seed, *key)).encode("utf-8", "surrogatepass")).digest()
        by_stratum.setdefault(strata[rows].min().item(), []).append((digest, rows))
    parts: dict[Split, list[int]] = {split: [] for split in ("train", *shares)}
    for found in by_stratum.values():
        left = [rows for _, rows in sorted(found)]
        whole = sum(map(len, left))
        for split, share in shares.items():
            kept: list[list[int]] = []
            wanted = round(share * whole)
            for number, rows in enumerate(left, 1):
                if len(rows) <= wanted and (kept or number < len(left)):
                    parts[split] += rows
                    wanted -= len(rows)
                else:
                    kept.append(rows)
            left = kept
        parts["train"] += [row for rows in left for row in rows]
    for split, share in shares.items():
        if not parts[split]:
            raise UserError(
                f"{examples.path} has {len(examples):,} rows: too few to set {share:.0%} of each label "
                f"aside for {split}; give a larger share or a file with --{split}."
            )
    return {split: sorted(rows) for split, rows in parts.items()}
