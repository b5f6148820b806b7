"""What an audit of rows takes: built rows of real length, one core, and whether it finds what was planted.

    python benchmarks/audit.py [--rows 100000]

The rows are words of the vocabulary of BERT by Zipf's law, 40 of them a row, as many as of AG News; one in a
hundred is a copy of an earlier one, and another one in a hundred one with a word more. Tokens are counted
by the same vocabulary.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from bertkit.diagnose.audit import audit_rows
from bertkit.recipe import TaskRecipe
from common import VOCABULARY, emit, emit_machine

WORDS = 40


def main() -> None:
    """Build the rows, look at them, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    emit_machine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.tsv"
        copies, near = write_rows(path, rows)
        asked = TaskRecipe(train=str(path), text="text", label="label", kind="classify")
        began, worked = time.perf_counter(), time.process_time()
        found = audit_rows(asked, vocabulary=str(VOCABULARY))
        about = {"rows": rows, "characters": found.seen.audit.train.characters["50"]}
        emit("audit", time.perf_counter() - began, "s", **about)
        emit("audit, of one core", time.process_time() - worked, "s", **about)
        part = found.seen.audit.train
        emit("copies found", part.duplicates.count, "rows", planted=copies)
        emit("near copies found", part.near_duplicates.count, "rows", planted=near)


def write_rows(path: Path, count: int) -> tuple[int, int]:
    """Write the rows; returns how many copies and near copies were planted."""
    rng = np.random.default_rng(0)
    words = [word for word in VOCABULARY.read_text("utf-8").split() if word.isalpha() and len(word) > 2]
    shares = 1 / np.arange(1, len(words) + 1)
    chosen = rng.choice(len(words), size=(count, WORDS), p=shares / shares.sum())
    texts = [" ".join(words[word] for word in row) for row in chosen]
    planted = count // 100
    for place in range(planted):
        texts[count - 1 - place] = texts[place]
        texts[count - 1 - planted - place] = f"{texts[planted + place]} {words[-1]}"
    labels = rng.integers(0, 4, count)
    lines = (f"{text}\tlabel {label}" for text, label in zip(texts, labels, strict=True))
    path.write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    return planted, planted


if __name__ == "__main__":
    main()
