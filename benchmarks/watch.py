"""What watching a run in training costs: as a share of the time, and with it against without.

Blocks of steps with and without the watch take turns, on CoLA from fresh weights and from MiniLM. The share
is the time inside the watch over the time of all steps, the first twenty included, which are looked at more
often; the ratio of the blocks contains the noise of the machine as well.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bertkit.health.watch import Watch
from bertkit.model.compute import Compute, flush_denormals
from bertkit.model.optimisers import build_optimiser
from bertkit.recipe import Recipe
from bertkit.runs.log import NoLog
from bertkit.train.listener import Listener
from bertkit.train.loop import StepRecord, run_steps
from bertkit.train.processes import ALONE
from bertkit.train.schedule import rates
from bertkit.train.start import source_of
from bertkit.train.watching import NEVER, Watching
from common import RECIPES, emit, emit_machine


class Run:
    """A fine-tuning run whose steps are made in blocks, with or without the watch."""

    def __init__(self, recipe: Recipe, steps: int, folder: Path) -> None:
        self.recipe = recipe
        self.objective = source_of(recipe, ALONE, Listener()).objective(0)
        self.model = self.objective.model
        self.optimiser = build_optimiser(self.model, recipe.optimiser)
        self.compute = Compute.choose(recipe.training.precision)
        self.steps = steps
        self.step = 0
        self.inside = 0.0
        self.log = NoLog()
        self.watching = Watching(
            self.model,
            self.objective.manner.setting,
            Watch(),
            self.objective.manner.probe,
            every=recipe.training.watch_every,
            folder=folder,
            listener=Listener(),
        )

    def block(self, count: int) -> float:
        """Make `count` more steps; the seconds that they took."""
        end = self.step + count

        def after(record: StepRecord) -> bool:
            self.step = record.step
            place = {"epoch": record.step / self.objective.manner.steps_per_epoch}
            self._timed(lambda: self.watching.stepped(record, self.log, place, record.step / self.steps))
            return record.step == end

        began = time.perf_counter()
        run_steps(
            self.model,
            self.objective,
            self.optimiser,
            rate=rates(self.steps, self.recipe.optimiser),
            clip=self.recipe.optimiser.clip,
            start=self.step,
            seed=0,
            compute=self.compute,
            after_step=after,
            before_update=lambda: self._timed(self.watching.before_update),
        )
        return time.perf_counter() - began

    def _timed(self, call: Callable[[], object]) -> None:
        began = time.perf_counter()
        call()
        self.inside += time.perf_counter() - began


def compare(name: str, steps: int, block: int) -> None:
    """Emit one recipe's figures."""
    recipe = Recipe.from_toml(RECIPES / f"{name}.toml")
    without = recipe.with_changes({"training": {"watch_every": NEVER}})
    with tempfile.TemporaryDirectory() as folder:
        runs = {"with": Run(recipe, steps, Path(folder)), "without": Run(without, steps, Path(folder))}
        seconds: dict[str, list[float]] = {which: [] for which in runs}
        for _ in range(steps // block):
            for which, run in runs.items():
                seconds[which].append(run.block(block))
    watched = runs["with"]
    every = watched.watching.watch.every
    share = watched.inside / sum(seconds["with"])
    emit("watch", 100 * share, "% of the time", recipe=name, steps=steps, every=every)
    ratio = statistics.median(seconds["with"]) / statistics.median(seconds["without"])
    emit("watch", ratio, "times the time without", recipe=name, steps=steps, every=every)


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=["cola-scratch", "cola-minilm"])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--block", type=int, default=20, help="steps of a turn")
    arguments = parser.parse_args()
    flush_denormals()
    emit_machine()
    for name in arguments.recipes:
        compare(name, arguments.steps, arguments.block)


if __name__ == "__main__":
    main()
