"""A study of the toy task, and runs that only pretend."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bertkit.cli import main
from bertkit.recipe import PretrainRecipe
from bertkit.recipe.study import Study
from bertkit.runs.result import Answers
from bertkit.studies import runner
from bertkit.studies.plan import Run
from bertkit.tasks.confusion import adds_of
from bertkit.tasks.examples import Targets

WORDS = ["red", "green", "blue", "long", "short", "new", "old"]

STUDY = """
question = "Does the rate matter?"
seeds = 2

[stages.toy]
kind = "finetune"
set = [
    "task.train=FOLDER/train.tsv", "task.dev=FOLDER/dev.tsv", "task.text=text", "task.label=label",
    "model.start=tiny", "model.options.hidden_size=12", "model.options.heads=3", "training.epochs=2",
]

[[variants]]
name = "low"

[[variants]]
name = "high"
set.toy = ["optimiser.lr=1e-3"]

[[variants]]
name = "high and long"
after = "high"
set.toy = ["training.epochs=7"]
"""


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "rates.toml"
    path.write_text(STUDY.replace("FOLDER", str(tmp_path)))
    rows = [("a good day", "good"), ("a bad day", "bad"), ("so good", "good"), ("so bad", "bad")] * 3
    table = "".join(f"{text}\t{label}\n" for text, label in rows)
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text(f"text\tlabel\n{table}")
    return path


@pytest.fixture
def labels() -> list[int]:
    """Of the toy task's dev rows: bad is 0."""
    return [1, 0, 1, 0] * 3


@pytest.fixture
def study(study_file: Path) -> Study:
    return Study.from_toml(study_file)


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Run `program` instead of bertkit: its variable FOLDER is the run's, its RECIPE the recipe's text."""

    def set_program(program: str) -> None:
        head = "import os, pathlib, signal, sys, time\nFOLDER, RECIPE = map(pathlib.Path, sys.argv[1:])\n"
        monkeypatch.setattr(
            runner,
            "_command",
            lambda run, recipe, begun: [sys.executable, "-c", head + program, str(run.folder), str(recipe)],
        )

    return set_program


@pytest.fixture
def finished() -> Callable[..., None]:
    """A function that leaves what a finished fine-tuning leaves: answers [N], losses of its epochs."""

    def write(run: Run, answers: list[int], labels: list[int], losses: list[float]) -> None:
        run.folder.mkdir(parents=True)
        right = float(np.mean(np.array(answers) == np.array(labels)))
        seed = {"seed": 0, "score": right, "last_score": right, "best_epoch": 1.0, "steps": 8, "tokens": 99}
        seed |= {"seconds": 1.5, "status": "collapsed" if len(set(answers)) == 1 else "learned"}
        Answers(
            Targets.single(np.array(labels)), np.log(np.eye(2) + 0.1)[answers], adds_of(labels, answers, 2)
        ).write(run.folder)
        (run.folder / "seed.json").write_text(json.dumps(seed))
        (run.folder / "recipe.toml").write_text(run.recipe.to_toml())
        result = {
            "task": "toy",
            "kind": "classify",
            "floor": float(np.log(2)),
            "metric": "accuracy",
            "rows": len(labels),
            "score": right,
            "interval": [0.1, 0.9],
            "metrics": {"accuracy": right},
            "seeds": [seed],
            "labels": ["bad", "good"],
            "label_shares": {"bad": 0.5, "good": 0.5},
            "baselines": {"majority": {"score": 0.5}},
            "seconds": 1.5,
            "parameters": 99,
        }
        (run.folder / "result.json").write_text(json.dumps(result))
        lines = [
            {"event": "train", "step": 2 * epoch + half + 1, "epoch": epoch + (half + 1) / 2, "loss": loss}
            for epoch, loss in enumerate(losses)
            for half in range(2)
        ]
        lines += [
            {"event": "evaluation", "step": 2 * epoch, "epoch": epoch, "loss": 0.7, "train_loss": loss}
            | {"score": right, "interval": [0.1, 0.9]}
            for epoch, loss in enumerate(losses, start=1)
        ]
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    return write


@pytest.fixture
def pretraining(tmp_path: Path) -> PretrainRecipe:
    """A recipe of three steps over a little text, a quarter of it held out."""
    chance = random.Random(3)
    documents = (" ".join(chance.choices(WORDS, k=9)) for _ in range(80))
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    shards = str(tmp_path / "shards")
    text, vocabulary = str(tmp_path / "text.txt"), str(tmp_path / "vocab.txt")
    assert main(["prepare", text, "--vocab", vocabulary, "--heldout", "25%", "-o", shards]) == 0
    return PretrainRecipe().with_changes(
        {
            "corpus": {"shards": shards},
            "model": {
                "start": "tiny",
                "options": {"layers": 1, "hidden_size": 12, "heads": 3, "feedforward_size": 7},
            },
            "objective": {"pairs": "none"},
            "batch": {"tokens": 99, "length": 13},
            "training": {"steps": 3, "evaluations": 1, "precision": "fp32"},
        }
    )
