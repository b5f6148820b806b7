"""A user's own tasks in TOML: read by path and by name, and refused in one sentence."""

from pathlib import Path

import pytest

from bertkit.cli import main
from bertkit.errors import UserError
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.tasks.here import look
from bertkit.tasks.load import load_splits
from bertkit.tasks.own import expand, is_task, own_tasks
from bertkit.tasks.registry import find_task, get_task, kind_of

TOML = """\
train = "rows/train.csv"
dev = "rows/dev.csv"
text = "message"
label = "verdict"
kind = "classify"
metric = "f1"
positive = "spam"

[labels]
0 = "ham"
1 = "spam"
"""
ROWS = "message,verdict\nhello there,0\nbuy now,1\nsee you,0\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The file of a task, beside its rows."""
    (tmp_path / "rows").mkdir()
    for split in ("train", "dev"):
        (tmp_path / f"rows/{split}.csv").write_text(ROWS)
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    return path


def test_a_task_is_read_by_its_path_with_files_beside_it(mine: Path) -> None:
    task = find_task(TaskRecipe(name=str(mine)))
    assert (task.name, task.metric, task.positive, task.kind) == ("mine", "f1", "spam", "classify")
    found, names = load_splits(task)
    assert names == ("ham", "spam")
    assert found["dev"].texts == ["hello there", "buy now", "see you"]
    assert found["train"].known.values.tolist() == [0, 1, 0]
    assert kind_of(TaskRecipe(name=str(mine))).name == "classify"


def test_what_the_command_line_says_counts_more(mine: Path) -> None:
    task = find_task(TaskRecipe(name=str(mine), metric="mcc", split_seed=3))
    assert (task.metric, task.split_seed, task.positive) == ("mcc", 3, "spam")


def test_a_task_has_the_name_of_its_file_in_the_folder_of_tasks(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_task("mine")
    monkeypatch.setenv("BERTKIT_TASKS", str(mine.parent))
    assert own_tasks() == {"mine": mine}
    assert is_task("mine")
    assert find_task(TaskRecipe(name="mine")) == find_task(TaskRecipe(name=str(mine)))
    found = look("mine")
    assert (found["state"], found["rows"], found["licence"]) == ("here", {"train": 3, "dev": 3}, None)
    with pytest.raises(UserError, match=r"no task 'mien'\. Did you mean 'mine'"):
        get_task("mien")


def test_a_name_that_bertkit_has_is_refused(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTKIT_TASKS", str(mine.parent))
    mine.rename(mine.with_name("cola.toml"))
    with pytest.raises(UserError, match=r"'cola' is a task of bertkit's, and .*cola\.toml has the same name"):
        find_task(TaskRecipe(name="cola"))


def test_without_dev_rows_some_are_set_aside(mine: Path) -> None:
    mine.write_text('train = "rows/train.csv"\ntest = "20%"\n')
    recipe = expand(TaskRecipe(name=str(mine)))
    assert (recipe.dev, recipe.test) == ("20%", "20%")
    assert recipe.train == str(mine.parent / "rows/train.csv")


def test_a_list_of_labels_is_their_order(mine: Path) -> None:
    mine.write_text('train = "rows/train.csv"\nlabels = ["1", "0"]\n')
    assert expand(TaskRecipe(name=str(mine))).labels == {"1": "1", "0": "0"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('trian = "a.csv"\n', r"mine\.toml: .*key 'trian'\. Did you mean 'train'"),
        ("train = 3\n", r"mine\.toml: .*'train' is of type str, and 3 is not"),
        ('train = "a.csv"\nkind = "clasify"\n', "'clasify'. Did you mean 'classify'"),
        ('train = "a.csv"\nname = "x"\n', "'name' is no key of a task's own file"),
        ('train = "a.csv"\nlabels = [1, 2]\n', "'labels' is of type table"),
        ('train = "a.csv"\n[labels]\n0 = 1\n', "a label's name is a text, not 1"),
        ('text = "message"\n', "it names no rows"),
        ("train = \n", r"mine\.toml cannot be read as TOML"),
    ],
)
def test_what_cannot_be_is_named_with_its_file(content: str, told: str, mine: Path) -> None:
    mine.write_text(content)
    with pytest.raises(UserError, match=told):
        find_task(TaskRecipe(name=str(mine)))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no task at .*none\.toml"):
        find_task(TaskRecipe(name=str(tmp_path / "none.toml")))


def test_a_recipe_is_no_task(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(Recipe().to_toml())
    assert not is_task(path)


def test_a_run_learns_such_a_task_and_is_scored_on_it(mine: Path, tmp_path: Path, capsys) -> None:
    tiny = ["--model", "tiny", "--steps", "2", "--vocab-size", "40"]
    run = str(tmp_path / "run")
    assert main(["finetune", "--task", str(mine), *tiny, "-o", run, "--json"]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, str(mine), "--json"]) == 0
    assert '"task": "mine"' in capsys.readouterr().out
    # Labels are called the same in later files that are read as those of training.
    (tmp_path / "more.csv").write_text(ROWS)
    assert main(["evaluate", run, str(tmp_path / "more.csv"), "--json"]) == 0
    assert '"positive": "spam"' in capsys.readouterr().out
    assert main(["finetune", str(mine), "--task", "cola"]) == 2
    assert "two things to learn from" in capsys.readouterr().err
