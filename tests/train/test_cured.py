"""The doctor's promise: a run that learned nothing, its command as it stands, and it learns."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from bertkit import api
from bertkit.cli import main
from bertkit.diagnose.doctor import examine
from bertkit.recipe import Recipe

ARTICLES: dict[str, Any] = {
    "model": {
        "start": "blog",
        "options": {"layers": 2, "hidden_size": 32, "heads": 4, "feedforward_size": 64},
    },
    "head": {"pooling": "cls"},
    "batch": {"shuffle": False, "by_length": False},
    "optimiser": {"lr": 0.1, "warmup": 0.0, "clip": 0.0, "schedule": "constant"},
}
"""What keeps the article's model stuck, of a size for the toy."""
STANDS_STILL: dict[str, Any] = {
    "model": {"options": {"hidden_size": 32, "heads": 4, "feedforward_size": 64}},
    "optimiser": {"lr": 1e-8},
}


@pytest.mark.slow
@pytest.mark.parametrize("sickness", [ARTICLES, STANDS_STILL], ids=["article", "rate too low"])
def test_the_command_that_the_doctor_gives_for_a_stuck_run_ends_learned(
    sickness: dict[str, Any], toy: Recipe, tmp_path: Path
) -> None:
    sick = toy.with_changes({"training": {"epochs": 8}}).with_changes(sickness)
    api.finetune(recipe=sick, out=tmp_path / "sick")
    found = examine(tmp_path / "sick")
    assert found.findings[0].weight == "grave"
    assert found.verdict.startswith("It collapsed")

    program, *arguments = shlex.split(found.again)
    assert (program, arguments[-1]) == ("bertkit", f"{tmp_path / 'sick'}-again")
    assert main(arguments) == 0
    cured = examine(tmp_path / "sick-again")
    assert cured.verdict.startswith("It learned")
    assert not [finding for finding in cured.findings if finding.weight == "grave"]
