"""A task that is learnt in a second: rows are good where they say so."""

import csv
import random
from pathlib import Path

import pytest

from bertkit.recipe import Recipe

WORDS = [
    "the",
    "a",
    "film",
    "book",
    "song",
    "was",
    "is",
    "very",
    "quite",
    "long",
    "short",
    "new",
    "old",
    "red",
]


def write_rows(path: Path, count: int, seed: int) -> Path:
    chance = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for _ in range(count):
            words = chance.choices(WORDS, k=chance.randint(2, 11))
            label = chance.random() < 0.6
            words.insert(chance.randrange(len(words)), "good" if label else "bad")
            rows.writerow([" ".join(words), "yes" if label else "no"])
    return path


@pytest.fixture
def toy(tmp_path: Path) -> Recipe:
    """A recipe over files of 70 and 37 rows, with dropout, so that a wrong seed shows."""
    return Recipe().with_changes(
        {
            "task": {
                "train": str(write_rows(tmp_path / "train.csv", 70, 1)),
                "dev": str(write_rows(tmp_path / "dev.csv", 37, 2)),
                "metric": "mcc",
            },
            "model": {
                "start": "tiny",
                "options": {"layers": 1, "hidden_size": 12, "heads": 3, "feedforward_size": 20},
            },
            "vocabulary": {"size": 120, "min_frequency": 1},
            "batch": {"sequences": 8, "max_length": 24},
            "optimiser": {"lr": 5e-3},
            "training": {"epochs": 3, "precision": "fp32"},
        }
    )
