"""A task that is learnt in a second: rows are good where they say so."""

import csv
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bertkit.recipe import PretrainRecipe, Recipe

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


@pytest.fixture(autouse=True)
def rows_are_never_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy has few rows and few updates, and what is said of that is tested by the measures alone."""
    monkeypatch.setattr("bertkit.health.rows.ENOUGH_ROWS", 0)
    monkeypatch.setattr("bertkit.health.rows.FEW_UPDATES", 0)


@pytest.fixture
def toy(tmp_path: Path) -> Recipe:
    """See `make_toy`; its files are the test's own."""
    return toy_in(tmp_path)


@pytest.fixture(scope="session")
def make_toy() -> Callable[[Path], Recipe]:
    """From a folder: a recipe over files of 70 and 37 rows, with dropout, so that a wrong seed shows."""
    return toy_in


def toy_in(folder: Path) -> Recipe:
    """See `make_toy`."""
    return Recipe().with_changes(
        {
            "task": {
                "train": str(write_rows(folder / "train.csv", 70, 1)),
                "dev": str(write_rows(folder / "dev.csv", 37, 2)),
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


def write_shards(folder: Path, *, documents: int = 40, shards: int = 3, heldout: int = 6) -> Path:
    """Shards of random sentences of `WORDS`; a word is followed by itself more often than not."""
    from bertkit.data.shards import COUNTS, MANIFEST, Documents, manifest_text, write_shard
    from bertkit.text.tokenizer import SPECIALS, Tokenizer

    chance = random.Random(5)
    tokenizer = Tokenizer.from_vocabulary([*SPECIALS, *WORDS])
    folder.mkdir(parents=True, exist_ok=True)
    counts = np.zeros(tokenizer.size, dtype=np.int64)

    def document() -> Documents:
        sentences = [[chance.randrange(5, tokenizer.size)] for _ in range(chance.randint(1, 7))]
        for sentence in sentences:
            for _ in range(chance.randint(1, 9)):
                same = chance.random() < 0.95
                sentence.append(sentence[-1] if same else chance.randrange(5, tokenizer.size))
        ends = np.cumsum([0, *map(len, sentences)])
        return Documents(np.concatenate(sentences), ends, np.array([0, len(sentences)]))

    entries = []
    sizes = [("train", documents // shards)] * shards + ([("heldout", heldout)] if heldout else [])
    for number, (split, count) in enumerate(sizes):
        part = Documents.join([document() for _ in range(count)])
        path = folder / f"{split}-{number:05d}.safetensors"
        entries.append(write_shard(path, split, part, tokenizer.size))
        counts += np.bincount(part.ids, minlength=tokenizer.size) if split == "train" else 0
    np.save(folder / COUNTS, counts)
    tokenizer.save(folder)
    (folder / MANIFEST).write_text(manifest_text(entries, tokenizer, {}))
    return folder


@pytest.fixture
def make_shards() -> Callable[..., Path]:
    """`write_shards`, for tests that want others than `restoring` has."""
    return write_shards


@pytest.fixture
def restoring(tmp_path: Path) -> PretrainRecipe:
    """A recipe of 12 steps over a little text, with dropout, so that a wrong seed shows."""
    return PretrainRecipe().with_changes(
        {
            "corpus": {"shards": str(write_shards(tmp_path / "shards"))},
            "model": {
                "start": "tiny",
                "options": {
                    "layers": 1,
                    "hidden_size": 12,
                    "heads": 3,
                    "feedforward_size": 20,
                    "max_positions": 40,
                    "initialiser_range": 0.2,
                },
            },
            "batch": {"tokens": 150, "length": 24},
            "optimiser": {"lr": 5e-3},
            "training": {"steps": 12, "evaluations": 3, "precision": "fp32", "heldout_tokens": 300},
        }
    )
