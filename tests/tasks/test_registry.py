"""Tasks as rows: the registered ones and those of a user's files."""

from pathlib import Path

import pytest

from bertkit.data.tables import Columns
from bertkit.errors import UserError
from bertkit.recipe import TaskRecipe
from bertkit.tasks.load import load_examples
from bertkit.tasks.named import TASKS
from bertkit.tasks.registry import find_task, get_task, task_from_files

# Of each split: its rows, and those of class 1.
ROWS = {
    "cola": ((8_551, 6_023), (527, 365)),
    "sst2": ((67_349, 37_569), (872, 444)),
    "mrpc": ((3_667, 2_473), (408, 279)),
    "rte": ((2_490, 1_241), (277, 131)),
    "wnli": ((635, 312), (71, 31)),
    "stsb": ((5_749, 15_528), (1_500, 3_545)),
    "chnsenticorp": ((9_600, 4_799), (1_200, 593)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_the_real_files_are_read_whole(name: str, shared_data: Path) -> None:
    task = get_task(name, shared_data / TASKS[name].data_set)
    classes = None
    for split, expected in zip(("train", "dev"), ROWS[name], strict=True):
        examples, classes = load_examples(task, split, classes)
        assert classes == (tuple(task.labels.values()) or ("score",))
        assert (len(examples), int(examples.known.values.sum())) == expected
        # A quote that was taken for one of a cell's would have swallowed the rows up to the next.
        assert not any("\t" in text for text in [*examples.texts, *(examples.pairs or [])])


def test_cola_is_found_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BERTKIT_DATA", raising=False)
    with pytest.raises(UserError, match=r"'cola' was not found.*cola_public_1\.1\.zip"):
        get_task("cola").file("dev")
    (tmp_path / "in_domain_dev.tsv").write_text("x")
    assert get_task("cola", tmp_path).file("dev") == tmp_path / "in_domain_dev.tsv"


def test_an_unknown_task_offers_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no task 'colla'\. Did you mean 'cola'"):
        get_task("colla")


def test_own_files() -> None:
    task = task_from_files("a/train.csv", "b/dev.csv.gz", text="sentence", label=2, pair="other")
    assert (task.name, task.metric, task.header) == ("train.csv", "accuracy", None)
    assert task.columns == Columns(text="sentence", pair="other", label=2)
    assert (task.file("train"), task.file("dev")) == (Path("a/train.csv"), Path("b/dev.csv.gz"))


def test_a_split_that_was_not_given_is_asked_for() -> None:
    with pytest.raises(UserError, match="no train file; give one with --train"):
        task_from_files(None, "dev.csv", text=1, label=2).file("train")
    with pytest.raises(UserError, match="give --train and --dev"):
        task_from_files(None, None, text=1, label=2)


def test_unknown_metrics_and_kinds_are_refused() -> None:
    with pytest.raises(UserError, match=r"no metric 'mc'\. Did you mean 'mcc'"):
        task_from_files("a.csv", "b.csv", text=1, label=2, metric="mc")
    with pytest.raises(UserError, match=r"kind cannot be 'clasify'\. Did you mean 'classify'"):
        task_from_files("a.csv", "b.csv", text=1, label=2, kind="clasify")  # type: ignore[arg-type]


def test_a_folder_that_is_called_as_no_task_is_told_what_it_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letters").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"but a folder of that name.*bertkit pretrain letters$"):
        get_task("letters")


@pytest.mark.parametrize("given", [{"text": "a"}, {"header": "no"}, {"skip_bad": True}, {"encoding": "gbk"}])
def test_how_files_are_read_is_not_said_of_a_named_task(given: dict) -> None:
    flag = "--" + next(iter(given)).replace("_", "-")
    with pytest.raises(UserError, match=rf"task 'cola' are read is known; leave {flag} out"):
        find_task(TaskRecipe(name="cola", **given))
