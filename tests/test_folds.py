"""Cross-validation: every row once, by a model that did not learn from it."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bertkit import api
from bertkit.cli import main
from bertkit.errors import UserError
from bertkit.recipe import Recipe, TaskRecipe, fold_of, share_of
from bertkit.runs.result import Answers
from bertkit.tasks.load import load_splits
from bertkit.tasks.registry import find_task
from bertkit.tasks.split import fold_numbers

ROWS = [
    (f"{'good' if number % 3 else 'bad'} film {number}", "yes" if number % 3 else "no")
    for number in range(60)
]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    # One row of a label of its own, and one text twice.
    lines = [*ROWS, ("an odd one", "maybe"), ("Good  film 1", "yes")]
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in lines))
    return path


@pytest.fixture
def recipe() -> Recipe:
    return Recipe().with_changes(
        {
            "model": {
                "start": "tiny",
                "options": {"layers": 1, "hidden_size": 12, "heads": 3, "feedforward_size": 20},
            },
            "vocabulary": {"size": 120, "min_frequency": 1},
            "batch": {"sequences": 16, "max_length": 12},
            "training": {"epochs": 1, "precision": "fp32"},
        }
    )


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=60),
    st.integers(2, 9),
    st.integers(0, 99).map(lambda share: share / 100),
)
def test_folds_are_of_like_size(sizes: list[int], folds: int, begin: float) -> None:
    numbers = fold_numbers(sizes, folds, begin)
    assert set(numbers) <= {*range(1, folds + 1)}
    rows = Counter(np.repeat(numbers, sizes).tolist())
    assert max(rows.values()) <= sum(sizes) / folds + 2 * max(sizes)


def test_every_row_is_in_one_fold_and_copies_are_together(table: Path) -> None:
    seen: list[str] = []
    for number in range(1, 6):
        splits, names = load_splits(find_task(TaskRecipe(train=str(table), dev=f"{number}/5")))
        assert names == ("maybe", "no", "yes")
        dev = splits["dev"].texts
        assert 8 <= len(dev) <= 17
        assert not {*dev} & {*splits["train"].texts}
        assert ("good film 1" in dev) == ("Good  film 1" in dev)
        seen += dev
    assert len(seen) == len({*seen}) == 62


def test_shares_and_folds_are_told_apart() -> None:
    assert (share_of("2/5"), fold_of("2/5"), share_of("20%"), fold_of("20%")) == (0.2, 2, 0.2, 0)
    assert (share_of("dev.csv"), fold_of("data/dev.csv")) == (0.0, 0)
    for wrong in ("0/5", "6/5", "1/1"):
        with pytest.raises(UserError, match=f"{wrong} is no fold of the rows"):
            share_of(wrong)


def test_a_command_scores_all_rows_and_goes_on(
    table: Path, recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_file, out = tmp_path / "recipe.toml", tmp_path / "run"
    recipe_file.write_text(recipe.to_toml())
    command = ["finetune", str(table), "--recipe", str(recipe_file), "--folds", "3", "-o", str(out)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "fold 3 of 3" in told
    assert "scored on 62 rows" in told
    found = json.loads((out / "folds.json").read_text())
    answers = [Answers.read(out / f"fold-{number}") for number in (1, 2, 3)]
    # Each row of the confusion adds to one cell, the right ones to the diagonal.
    adds = np.concatenate([each.adds for each in answers if each is not None])
    results = [json.loads((out / f"fold-{number}/result.json").read_text()) for number in (1, 2, 3)]
    right = sum(result["metrics"]["accuracy"] * result["rows"] for result in results)
    assert found["rows"] == len(adds) == 62
    assert found["score"] == pytest.approx(right / 62)
    assert found["interval"][0] < found["score"] < found["interval"][1]
    assert [each["score"] for each in found["each"]] == [result["score"] for result in results]
    (out / "fold-2" / "result.json").unlink()
    (out / "fold-2" / "seed.json").unlink()
    before = (out / "fold-1" / "result.json").stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert (out / "fold-1" / "result.json").stat().st_mtime_ns == before
    assert json.loads((out / "folds.json").read_text())["score"] == found["score"]


def test_what_folds_cannot_be_made_of_is_said(table: Path, recipe: Recipe, tmp_path: Path) -> None:
    for options, problem in (
        ({"folds": 1}, "needs two folds or more"),
        ({"dev": "20%"}, "leave --dev 20% out"),
        ({"seeds": 2}, "leave --seeds out"),
    ):
        with pytest.raises(UserError, match=problem):
            api.cross_validate(table, recipe=recipe, out=tmp_path / "run", **options)
    with pytest.raises(UserError, match="rows of your own"):
        api.cross_validate("cola", recipe=recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
