"""What tests of runs share: to make one, to end it early, and to read what it left."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.train.listener import Listener
from bertkit.train.loop import StepRecord
from bertkit.train.start import train


class StopsAfter(Listener):
    """Sends this process a signal in a step, of the seed that is the so-manieth to begin."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGINT, *, seed: int = 1) -> None:
        self.step, self.number, self.seeds = step, number, seed

    def seed_started(self, seed: int, step: int, steps: int) -> None:
        self.seeds -= 1

    def stepped(self, record: StepRecord, fraction: float, figures: Mapping[str, float]) -> None:
        if record.step == self.step and self.seeds == 0:
            signal.raise_signal(self.number)


def fit(recipe: Recipe | PretrainRecipe, out: Path, **options: Any) -> dict[str, Any]:
    """Train, without the page, which takes longer than a small run."""
    settings = {"resume": False, "overwrite": False, "listener": Listener(), **options}
    return train(recipe, out, **settings)


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Of the model of a run."""
    return load_file(out / "model" / "model.safetensors")


def equal(one: Path, other: Path) -> bool:
    """Whether two runs have the same model, bit for bit."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def records(out: Path, event: str = "train", log: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The lines of a log that tell of an event, without the speeds."""
    lines = [json.loads(line) for line in (out / log).read_text().splitlines()]
    timed = ("tokens_per_second", "gemm_share")
    kept = [line for line in lines if line["event"] == event]
    return [{key: value for key, value in line.items() if key not in timed} for line in kept]
