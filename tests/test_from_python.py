"""Training from a program or a notebook: rows of any library, options by their names, a result that shows."""

import functools
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from trained import StopsAfter

import bertkit
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe, TaskRecipe
from bertkit.recipe.keywords import changes_of, minutes
from bertkit.runs.folder import check_free
from bertkit.runs.given import keep_rows, names_of, rows_in
from bertkit.show.outcome import Outcome
from bertkit.tasks.registry import find_task

WORDS = {"bill": "pay the bill now", "login": "my password is lost"}
ROWS = [{"message": f"{WORDS[k]} {n}", "category": k} for n in range(20) for k in WORDS]
OPTIONS: dict[str, Any] = {"text": "message", "label": "category", "model": "tiny", "steps": 2, "batch": 8}
TWO = [{"text": "a", "label": 1}, {"text": "b", "label": None}]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Of a run over rows that are in no file."""
    out = tmp_path_factory.mktemp("python") / "run"
    return bertkit.finetune(iter(ROWS), dev=ROWS[:6], out=out, **OPTIONS)


@pytest.mark.parametrize(
    ("command", "recipe"),
    [("finetune", Recipe()), ("pretrain", PretrainRecipe())],
    ids=("finetune", "pretrain"),
)
def test_every_option_of_the_command_is_a_keyword_of_the_same_name(
    command: str, recipe: Recipe | PretrainRecipe
) -> None:
    for flag, section, key, *_ in importlib.import_module(f"bertkit.cli.{command}").FLAGS:
        name = flag.removeprefix("--").replace("-", "_")
        assert changes_of(recipe, {name: 1})[section][key] == 1


def test_an_unknown_option_gets_the_nearest_and_a_budget_may_be_words() -> None:
    with pytest.raises(UserError, match=r"no option 'epoch'.*epochs"):
        changes_of(Recipe(), {"epoch": 3})
    assert changes_of(Recipe(), {"budget": "1h30m"}) == {
        "training": {"budget": minutes("90"), "steps": 0, "epochs": 0}
    }
    with pytest.raises(UserError, match="'soon' is no time"):
        changes_of(Recipe(), {"budget": "soon"})


class Pandas:
    """As much of a data frame as is used."""

    iloc, columns = None, ("text", "label")

    def to_dict(self, orient: str) -> list[dict[str, Any]]:
        assert orient == "records"
        return [{"text": "a", "label": np.int64(1)}, {"text": "b", "label": float("nan")}]


class Dataset:
    """As much of a `datasets.Dataset` as is used: labels are numbers, and their names stand elsewhere."""

    def __init__(self) -> None:
        self.features = {"text": SimpleNamespace(), "label": SimpleNamespace(names=["no", "yes"])}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(TWO)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (TWO, 1),
        (iter(TWO), 1),
        ([("a", 1), ("b", None)], 1),
        ({"text": ["a", "b"], "label": [1, None]}, 1),
        ({"text": np.array(["a", "b"]), "label": [np.int8(1), None]}, 1),
        (SimpleNamespace(to_dicts=lambda: TWO), 1),
        (pa.table({"text": ["a", "b"], "label": [1, None]}), 1),
        (Pandas(), 1),
        (Dataset(), "yes"),
    ],
    ids=("dicts", "iterator", "pairs", "columns", "arrays", "polars", "arrow", "pandas", "datasets"),
)
def test_rows_of_every_library_are_the_same_rows(given: object, label: object) -> None:
    assert list(rows_in(given)) == [{"text": "a", "label": label}, {"text": "b", "label": None}]


def test_lists_of_labels_have_their_names_too() -> None:
    class Sets(Dataset):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return iter([{"text": "a", "label": [1, 0]}, {"text": "b", "label": []}])

    sets = Sets()
    sets.features["label"] = SimpleNamespace(feature=sets.features["label"])
    assert [row["label"] for row in rows_in(sets)] == [["yes", "no"], []]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["a text"], "Row 1 is 'a text'; a row is a dict"),
        ({"text": ["a"], "label": [1, 2]}, "text: 1, label: 2"),
        ({"text": ["a"], "label": 1}, "label: no list"),
        (object(), "object is no table"),
        ([], "no rows in train"),
        ([("\ud800", 1)], "no text"),
    ],
)
def test_what_is_no_rows_is_said_in_a_sentence(given: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        keep_rows(given, tmp_path, "train")


def test_rows_of_a_program_are_kept_in_the_run(outcome: Outcome) -> None:
    (train,) = outcome.run.glob("rows/*/train.jsonl")
    assert [json.loads(line) for line in train.read_text().splitlines()] == ROWS
    assert outcome == json.loads((outcome.run / "result.json").read_text())
    assert bertkit.evaluate(outcome.run, str(train))["rows"] == len(ROWS)


def test_the_result_shows_its_scores(outcome: Outcome) -> None:
    assert re.search(r"bertkit .*0\.\d{3}.*majority", repr(outcome), flags=re.DOTALL)
    page = outcome._repr_html_()
    assert page is not None
    assert page.startswith("<iframe srcdoc=")
    assert "beside the baselines" in page


def test_a_run_over_rows_goes_on_and_is_replaced(tmp_path: Path, outcome: Outcome) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        bertkit.finetune(ROWS, dev=ROWS[:6], out=out, listener=StopsAfter(1), **OPTIONS)
    with pytest.raises(UserError, match="another recipe"):
        bertkit.finetune(ROWS[:30], dev=ROWS[:6], out=out, resume=True, **OPTIONS)
    assert len(list(out.glob("rows/*"))) == 2, "what the run does not read is not kept"
    assert bertkit.finetune(out=out, resume=True)["metrics"] == outcome["metrics"]
    with pytest.raises(UserError, match="exists"):
        bertkit.finetune(ROWS[:30], out=out, **OPTIONS)
    assert len(list(out.glob("rows/*"))) == 2
    bertkit.finetune(ROWS[:30], dev=0.2, out=out, overwrite=True, **OPTIONS)
    assert [len(path.read_text().splitlines()) for path in out.glob("rows/*/*")] == [30]


def test_rows_that_cannot_be_trained_on_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train\.jsonl"):
        bertkit.finetune(ROWS, out=tmp_path / "run", **{**OPTIONS, "label": "nowhere"})
    with pytest.raises(UserError, match="test"):
        bertkit.finetune(ROWS, test=[], out=tmp_path / "run", **OPTIONS)
    assert not list(tmp_path.iterdir())


def test_progress_is_shown_where_it_is_wanted_and_the_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bertkit.finetune(ROWS, progress=True, **OPTIONS).run == Path("runs/run")
    shown = capsys.readouterr()
    assert "32 rows to train on" in shown.err
    assert shown.out == ""


def test_a_notebook_shows_the_sentence_of_an_error_alone() -> None:
    assert UserError("It is so.")._render_traceback_() == ["bertkit: It is so."]


def test_a_folder_of_somebody_else_is_no_place_for_a_run(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "mine.csv").touch()
    with pytest.raises(UserError, match="exists"):
        check_free(tmp_path, overwrite=False)


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the smallest model in the place of a pretrained one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bertkit, "finetune", functools.partial(bertkit.finetune, model="tiny", steps=2))
    lines = ["message,category", *(f"{row['message']},{row['category']}" for row in ROWS)]
    Path("tickets.csv").write_text("\n".join(lines))
    page = Path(__file__).parents[1] / "docs" / "python.md"
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    exec("\n".join(blocks), {})


def test_a_share_of_nothing_is_no_share() -> None:
    """0.0 must not come to the usual share in silence."""
    assert names_of({"train": "a.csv", "dev": 0.0, "test": ""}) == {"train": "a.csv", "dev": "0%"}
    with pytest.raises(UserError, match="0% is no share of the rows"):
        find_task(TaskRecipe(**names_of({"train": "a.csv", "dev": 0.0})))
