"""Real processes: killed at any moment, several at once, one of them lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trained import fit

from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.restarts import read_restarts
from bertkit.train.processes import ALONE, is_first, join_processes, restarted

Process = subprocess.Popen[str]

PATIENCE = 240
"""Seconds after which something hangs."""
STARTED: list[Process] = []


def start(
    recipe: Path,
    out: Path,
    *options: str,
    processes: int = 1,
    restarts: int = 0,
    command: str = "pretrain",
) -> Process:
    alone = [sys.executable, "-m", "bertkit"]
    many = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={processes}",
        f"--max-restarts={restarts}",
        "-m",
        "bertkit",
    ]
    arguments = [*(alone if processes == 1 else many), command, "-o", str(out), *options]
    if "--resume" not in options:
        arguments += ["--recipe", str(recipe)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        arguments,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    STARTED.append(process)
    return process


def finish(process: Process, code: int = 0) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, output
    return output


def wait_for_steps(out: Path, count: int, process: Process) -> None:
    """Until the run has made `count` checkpoints or more."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        names = [path.name for path in (out / "checkpoint").glob("step-*.safetensors")]
        if names and max(int(name[5:13]) for name in names) >= count:
            return
        time.sleep(0.005)
    stop(process)
    pytest.fail(f"the run did not come to step {count}: {process.communicate()[0]}")


def stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(autouse=True)
def _nobody_left_behind() -> Iterator[None]:
    yield
    for process in STARTED:
        stop(process)
    STARTED.clear()


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model" / "model.safetensors")


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "train"]


def write(recipe: PretrainRecipe, path: Path, **changes: dict[str, Any]) -> Path:
    path.write_text(recipe.with_changes(changes).to_toml())
    return path


def test_killed_at_any_moment_a_run_goes_on_bit_for_bit(restoring: PretrainRecipe, tmp_path: Path) -> None:
    # A checkpoint after every step, so that many kills fall into the writing of one.
    recipe = write(restoring, tmp_path / "recipe.toml", training={"steps": 24, "save_every": 0.0})
    fit(PretrainRecipe.from_toml(recipe), tmp_path / "whole")
    chance = random.Random(8)
    killed = tmp_path / "killed"
    process = start(recipe, killed)
    wait_for_steps(killed, 1 + chance.randrange(8), process)
    time.sleep(chance.random() * 0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    fit(PretrainRecipe.from_toml(recipe), killed, resume=True)
    first, second = weights(tmp_path / "whole"), weights(killed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert losses(tmp_path / "whole") == losses(killed)
    leftovers = [path.name for path in killed.rglob(".*")]
    assert leftovers == []


@pytest.mark.slow
def test_two_processes_share_a_run_and_one_goes_on_with_it(restoring: PretrainRecipe, tmp_path: Path) -> None:
    options = {"options": {**restoring.model.options, "hidden_dropout": 0.0}}
    recipe = write(
        restoring, tmp_path / "recipe.toml", model=options, training={"steps": 24, "save_every": 0.0}
    )
    finish(start(recipe, tmp_path / "one"))
    two = tmp_path / "two"
    process = start(recipe, two, processes=2)
    wait_for_steps(two, 5, process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    process = start(recipe, two, "--resume")
    wait_for_steps(two, 12, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finish(start(recipe, two, "--resume", processes=2))
    assert losses(two) == pytest.approx(losses(tmp_path / "one"), rel=2e-4)
    for name, weight in weights(two).items():
        assert torch.allclose(weight, weights(tmp_path / "one")[name], atol=2e-3), name


@pytest.mark.slow
def test_two_processes_share_a_fine_tuning_and_one_goes_on_with_it(toy: Recipe, tmp_path: Path) -> None:
    still = {"model": {"options": {**toy.model.options, "hidden_dropout": 0.0}}, "head": {"dropout": 0.0}}
    training: dict[str, Any] = {"epochs": 4, "save_every": 0.0, "watch_every": 10, "seeds": 2}
    path = tmp_path / "recipe.toml"
    path.write_text(toy.with_changes({**still, "training": training}).to_toml())
    finish(start(path, tmp_path / "one", command="finetune"))
    two = tmp_path / "two"
    process = start(path, two, processes=2, command="finetune")
    wait_for_steps(two / "seed-0", 5, process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    process = start(path, two, "--resume", command="finetune")
    wait_for_steps(two / "seed-0", 12, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    output = finish(start(path, two, "--resume", "--json", processes=2, command="finetune"))
    result = json.loads(output[output.index("{") : output.rindex("}") + 1])
    for seed in ("seed-0", "seed-1"):
        assert losses(two / seed) == pytest.approx(losses(tmp_path / "one" / seed), rel=2e-4)
        for name, weight in weights(two / seed).items():
            assert torch.allclose(weight, weights(tmp_path / "one" / seed)[name], atol=2e-3), name
    assert result["score"] == pytest.approx(
        json.loads((tmp_path / "one" / "result.json").read_text())["score"]
    )


@pytest.mark.slow
def test_two_processes_begin_again_together_and_end_together(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    """The first update breaks the weights, after which they are saved: only the beginning is good."""
    training = {"steps": 24, "save_every": 0.0, "on_collapse": "restart"}
    recipe = write(restoring, tmp_path / "recipe.toml", training=training, optimiser={"lr": 1e30})
    output = finish(start(recipe, tmp_path / "run", processes=2))
    restarts = read_restarts(tmp_path / "run")
    assert [restart.check for restart in restarts] == ["not_a_number"]
    assert [restart.change["optimiser.lr"] for restart in restarts] == [1e-4]
    assert [restart.from_step for restart in restarts] == [0]
    assert output.count("Starting again") == 1
    assert len(losses(tmp_path / "run")) == 24


@pytest.mark.slow
def test_a_lost_process_ends_the_run_with_a_message_and_a_restart_goes_on(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    recipe = write(restoring, tmp_path / "recipe.toml", training={"steps": 80, "save_every": 0.0})
    out = tmp_path / "run"
    process = start(recipe, out, processes=2)
    wait_for_steps(out, 3, process)
    os.kill(second_process(process.pid), signal.SIGKILL)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "Another process of this run is gone" in output
    assert f"bertkit pretrain -o {out} --resume" in output
    # More than one: on a busy machine processes that start anew may miss each other.
    again = start(recipe, out, "--resume", processes=2, restarts=3)
    wait_for_steps(out, len(losses(out)) + 5, again)
    os.kill(second_process(again.pid), signal.SIGKILL)
    finish(again)
    assert len(losses(out)) == 80


@pytest.mark.slow
def test_two_processes_make_one_corpus_of_text_and_say_once_what_is_wrong(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    """The text of the first run has a word, and that of the second has none."""
    own = {"shards": "", "texts": [str(tmp_path / "text.txt")]}
    changes: dict[str, Any] = {"corpus": own, "objective": {"pairs": "none"}, "training": {"steps": 2}}
    changes |= {"vocabulary": {"size": 60, "min_frequency": 1}, "optimiser": {"lr": 1e-4}}
    recipe = write(restoring, tmp_path / "recipe.toml", **changes)
    (tmp_path / "text.txt").write_text("The film was long.\n\n" * 40)
    output = finish(start(recipe, tmp_path / "run", processes=2))
    assert (output.count("Text: 1 file"), output.count("Made ")) == (1, 1)
    assert "2 processes" in output
    assert len(losses(tmp_path / "run")) == 2
    (tmp_path / "text.txt").write_text("\n")
    output = finish(start(recipe, tmp_path / "none", processes=2), code=1)
    told = [line for line in output.splitlines() if line.startswith("bertkit: ")]
    assert len(told) == 1
    assert "no word" in told[0]
    assert not (tmp_path / "none" / "recipe.toml").exists()


def second_process(torchrun: int) -> int:
    """The process of rank 1 among the children of torchrun."""
    for child in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
        environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        if b"RANK=1" in environment:
            return int(child)
    pytest.fail("there is no process of rank 1")


def test_without_torchrun_a_process_is_alone() -> None:
    assert join_processes({}) is ALONE
    assert is_first({})
    assert not is_first({"RANK": "1"})
    assert not restarted({})
    assert restarted({"TORCHELASTIC_RESTART_COUNT": "1"})
    assert ALONE.agree(0.5) == 0.5
    assert ALONE.add_gradients([], 1.5, 7, True) == (1.5, 7, True)
