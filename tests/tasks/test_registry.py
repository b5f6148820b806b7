"""Tasks as rows: the registered ones and those of a user's files."""

from pathlib import Path

import pytest

from bertkit.data.tables import Columns
from bertkit.errors import UserError
from bertkit.tasks.metrics import METRICS
from bertkit.tasks.registry import TASKS, get_task, task_from_files


@pytest.mark.parametrize("name", TASKS)
def test_every_row_is_whole(name: str) -> None:
    task = TASKS[name]
    assert task.name == name
    assert task.metric in METRICS
    assert set(task.files) >= {"train", "dev"}
    assert "{folder}" in task.how_to_get


def test_cola_is_found_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BERTKIT_DATA", raising=False)
    with pytest.raises(UserError, match=r"'cola' was not found.*cola_public_1\.1\.zip"):
        get_task("cola").file("dev")
    for name in ("in_domain_train.tsv", "in_domain_dev.tsv"):
        (tmp_path / name).write_text("x")
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
