"""Files are read as the rows of training were, but for what is asked."""

import json
import shutil
from pathlib import Path

import pytest

import bertkit
from bertkit.errors import UserError
from bertkit.infer.reading import as_trained
from bertkit.recipe import Recipe, TaskRecipe


def card(**task: str) -> dict[str, str]:
    return {"recipe": Recipe().with_changes({"task": task}).to_toml()}


OWN = card(train="a.csv", text="message", label="category", header="yes", metric="accuracy")


def test_what_is_asked_comes_first_and_nothing_else_than_columns_from_training() -> None:
    assert as_trained(TaskRecipe(dev="b.csv", label="truth"), OWN) == TaskRecipe(
        dev="b.csv", text="message", label="truth", header="yes"
    )


def test_a_separator_stays_and_an_encoding_is_of_one_file() -> None:
    told = card(train="a.csv", text="message", separator=";", encoding="cp1252")
    assert as_trained(TaskRecipe(dev="b.csv"), told) == TaskRecipe(dev="b.csv", text="message", separator=";")


@pytest.mark.parametrize("said", [{}, {"recipe": None}, card(name="sst2"), {"recipe": "task = 1"}])
def test_a_model_without_rows_of_its_own_tells_nothing(said: dict) -> None:
    assert as_trained(TaskRecipe(dev="b.csv"), said) == TaskRecipe(dev="b.csv")


def test_a_recipe_that_cannot_be_read_is_said() -> None:
    with pytest.raises(UserError, match=r"task\.text"):
        as_trained(TaskRecipe(), {"recipe": "[task]\ntext = 3"})


def test_a_file_is_scored_by_its_name_alone(tiny_model: Path, tmp_path: Path, heard) -> None:
    model = shutil.copytree(tiny_model, tmp_path / "model")
    note = json.loads((model / "bertkit.json").read_text())
    (model / "bertkit.json").write_text(json.dumps({**note, **OWN}))
    (tmp_path / "test.csv").write_text("id,category,message\n1,good,a cat\n2,bad,the old dog\n")
    result = bertkit.evaluate(model, str(tmp_path / "test.csv"), progress=heard)
    assert (result["rows"], result["task"]) == (2, "test.csv")
    assert heard.rows == heard.rows_done == 2
    assert heard.tokens == heard.tokens_done == 9
