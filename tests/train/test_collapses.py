"""Real runs whose rate destroys them: a collapse is seen, ends the seed, or has it begun again as if new."""

import json
from pathlib import Path
from typing import Any

import pytest

from bertkit.cli import main
from bertkit.recipe import Recipe
from bertkit.runs.findings import read_findings
from bertkit.runs.log import METRICS


@pytest.fixture
def hot(toy: Recipe, tmp_path: Path) -> Path:
    """A recipe file of the article's kind of model, at a rate that its fresh layers can't bear: 36 steps."""
    recipe = toy.with_changes(
        {
            "model": {
                "start": "blog",
                "options": {"layers": 6, "hidden_size": 24, "heads": 4, "feedforward_size": 48},
            },
            "head": {"pooling": "cls"},
            "optimiser": {"lr": 1e-2, "warmup": 0.0, "clip": 0.0, "schedule": "constant"},
            "training": {"watch_every": 10, "epochs": 4},
        }
    )
    path = tmp_path / "hot.toml"
    path.write_text(recipe.to_toml())
    return path


def finetuned(recipe: Path, out: Path, on_collapse: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what came of the only seed."""
    code = main(["finetune", "--recipe", str(recipe), "--on-collapse", on_collapse, "-o", str(out)])
    (seed,) = json.loads((out / "result.json").read_text())["seeds"]
    return code, seed


def bottom_gradients(log: Path) -> dict[int, float]:
    """Norm of the first layer's gradient, by step."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return {each["step"]: each["gradient_norms"]["layer 1"] for each in records if each["event"] == "health"}


def test_a_seed_that_is_stopped_is_scored_and_the_command_has_its_result(hot: Path, tmp_path: Path) -> None:
    code, seed = finetuned(hot, tmp_path / "run", "stop")
    assert code == 0
    assert (seed["status"], seed["collapse"], seed["steps"]) == ("collapsed", "gradient_vanished", 20)
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_a_seed_destroyed_in_its_first_steps_begins_again_as_it_was_new(hot: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, seed = finetuned(hot, run, "restart")
    assert code == 0
    # The rows were scored after steps 9 and 18, and the model was lost by then.
    (restart,) = seed["restarts"]
    assert (restart["step"], restart["from_step"]) == (20, 0)
    assert restart["change"] == {"optimiser.lr": 1e-4, "optimiser.warmup": 0.1, "optimiser.clip": 1.0}
    # The other attempt is no collapse, and nothing of the first one is held against its rate.
    assert [found["check"] for found in read_findings(run) if found["moment"] == "watch"] == [
        "gradient_vanished"
    ]
    lost, sound = bottom_gradients(run / "attempt-1.jsonl"), bottom_gradients(run / METRICS)
    assert lost[20] < 1e-3 * max(lost.values())
    assert max(sound) == 36
    assert min(sound.values()) > 0.01 * max(sound.values())
