"""How good the estimate of memory is: what `bertkit doctor` says of a run against the peak of the run itself.

Both are processes of their own, as a user starts them; the run makes a few steps, is evaluated and saved.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import RECIPES, emit, emit_machine

LOOKED_AT = ["cola-scratch", "cola-minilm", "cola-blog", "cola-scratch=base"]
STEPS = 4


def commands(recipe: str, start: str, shards: str, out: Path) -> tuple[list[str], list[str]]:
    """The doctor and the run of one recipe, the latter in `out`."""
    told = ["--recipe", str(RECIPES / f"{recipe}.toml")]
    steps = ["--set", f"training.steps={STEPS}"]
    if start:
        told += ["--model", start]
    if recipe.startswith("cram") or recipe == "micro":
        steps += ["--set", "training.budget=0"]
        return ["doctor", shards, *told, "--json"], ["pretrain", shards, *told, *steps, "-o", str(out)]
    return ["doctor", *told, "--json"], ["finetune", *told, *steps, "-o", str(out)]


def estimate(words: list[str]) -> dict[str, float]:
    """What the doctor says that the run costs."""
    done = subprocess.run([sys.executable, "-m", "bertkit", *words], capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout)["measures"]["cost"])


def peak(words: list[str]) -> int:
    """Greatest resident memory of a command, in bytes."""
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen([sys.executable, "-m", "bertkit", *words], stdout=told, stderr=told)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            told.seek(0)
            raise SystemExit(told.read().decode())
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def compare(recipe: str, start: str, shards: str) -> None:
    """Emit one recipe's figures."""
    with tempfile.TemporaryDirectory() as folder:
        look, run = commands(recipe, start, shards, Path(folder) / "run")
        cost = estimate(look)
        guessed = sum(cost[part] for part in ("base", "weights", "gradients", "moments", "activations"))
        real = peak(run)
    details = {"recipe": recipe, "model": start or "as there"}
    emit("memory, estimated", guessed / 1e9, "GB", **details, activations=cost["activations"] / 1e9)
    emit("memory, of the run", real / 1e9, "GB", **details)
    emit("memory", guessed / real, "times that of the run", **details)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", default="", help="of `bertkit prepare`: two pretraining recipes too")
    parser.add_argument("--recipes", nargs="+", default=LOOKED_AT, help="RECIPE, or RECIPE=MODEL")
    arguments = parser.parse_args()
    emit_machine()
    for recipe in arguments.recipes + (["micro", "cram-1h"] if arguments.shards else []):
        name, _, start = recipe.partition("=")
        compare(name, start, arguments.shards)


if __name__ == "__main__":
    main()
