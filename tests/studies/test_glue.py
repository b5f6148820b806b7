"""GLUE: a run for each task that is here, one table beside published figures, and the files of answers."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bertkit.cli import main
from bertkit.errors import UserError
from bertkit.recipe import Recipe
from bertkit.runs.folder import is_finished
from bertkit.studies.glue import glue_tasks, notes, run_glue, table
from bertkit.studies.plan import Run
from bertkit.studies.published import beside, published
from bertkit.tasks.glue import GLUE
from bertkit.tasks.kinds import ALL_METRICS
from bertkit.train.listener import Listener
from bertkit.train.start import train

PAIRS = [(1, "a cat sat", "a cat"), (0, "a dog ran", "no dog")] * 6
THREE = [
    ("a cat sat", "a cat", "entailment"),
    ("a dog", "a mat", "neutral"),
    ("he ran", "he sat", "contradiction"),
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MRPC with rows to be answered, MNLI without, AX, STS-B without dev rows, and no other task."""
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def write(name: str, head: str, rows: Sequence[Sequence[object]]) -> None:
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["\t".join(map(str, [number, *row])) for number, row in enumerate(rows)]
        path.write_text("\n".join([head, *lines]) + "\n")

    for split in ("train", "dev"):
        write(f"glue/MRPC/{split}.tsv", "#1 ID\tQuality\t#1 String\t#2 String", PAIRS)
    for split in ("train", "dev_matched", "dev_mismatched"):
        write(f"glue/MNLI/{split}.tsv", "index\tsentence1\tsentence2\tgold_label", THREE * 4)
    write("glue/MRPC/test.tsv", "index\t#1 String\t#2 String", [row[1:] for row in PAIRS[:3]])
    write("glue_diagnostic/diagnostic.tsv", "index\tsentence1\tsentence2", [row[:2] for row in THREE])
    write("glue/STS-B/train.tsv", "index\tsentence1\tsentence2\tscore", [("a", "b", 1.0), ("a", "c", 4.0)])
    return tmp_path / "data"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs are made in this process, and their names noted."""
    made: list[str] = []

    def run_here(runs: Sequence[Run], lock: int, *, told: Callable, **_: object) -> None:
        for run in runs:
            if is_finished(run.folder):
                continue
            made.append(run.folder.name)
            told(run, "running")
            run.folder.with_name(f"{run.folder.name}.toml").write_text(run.recipe.to_toml())
            train(run.recipe, run.folder, resume=False, overwrite=False, listener=Listener())
            told(run, "done")

    monkeypatch.setattr("bertkit.studies.glue.run_all", run_here)
    return made


TINY = {
    "model": {"start": "tiny", "options": {"hidden_size": 12, "heads": 3}},
    "training": {"steps": 2, "seeds": 2},
    "vocabulary": {"size": 60},
}


def test_all_that_is_here_is_trained_scored_laid_beside_and_answered(
    data: Path, here: list[str], tmp_path: Path, capsys
) -> None:
    out = tmp_path / "glue"
    recipe = Recipe().with_changes(TINY)
    result = run_glue(recipe, out)
    assert here == ["mrpc", "mnli"]
    states = {row["task"]: row["state"] for row in result["tasks"]}
    done = {"mrpc", "mnli", "mnli-mm"}
    assert {name for name, state in states.items() if state == "done"} == done
    assert {name for name, state in states.items() if state == "missing"} == set(states) - done
    whys = {row["task"]: row["why"] for row in result["tasks"]}
    assert whys["stsb"] == "its dev rows are not on this machine: bertkit data fetch stsb"
    assert whys["qqp"].startswith("its train and dev rows are not on this machine")

    # The scores are those of the runs.
    mrpc = next(row for row in result["tasks"] if row["task"] == "mrpc")
    run = json.loads((out / "mrpc/result.json").read_text())
    assert list(mrpc["figures"]) == ["accuracy", "f1"]
    assert mrpc["figures"]["accuracy"]["score"] == run["score"]
    assert mrpc["figures"]["accuracy"]["interval"] == run["interval"]
    assert mrpc["figures"]["accuracy"]["blind"] == run["baselines"]["majority"]["score"]

    heads, lines = table(result)
    assert heads[5:] == ["BERT-base (dev)", "BERT-large (dev)", "BERT-base (test)", "BERT-large (test)"]
    assert [line[0] for line in lines] == ["mrpc", "mrpc", "mnli", "mnli-mm"]
    assert lines[0][5:] == ["84.1", "88.0", "-", "-"]
    assert lines[3][5:] == ["84.1", "-", "83.4", "85.9"]
    assert "| mnli | 12 |" in (out / "glue.md").read_text()
    said = notes(result)
    assert "Figures of test rows are not to be compared with those of dev rows." in said
    assert said[-1].startswith(f"Submission: {out / 'submission.zip'}, without ")
    assert "mnli: test_matched.tsv is not on this machine: bertkit data fetch mnli" in said[-1]

    # The answers are what GLUE's server takes: labels as in the files, numbers from 0.
    assert result["submission"]["answered"] == {"mrpc": "MRPC.tsv", "ax": "AX.tsv"}
    assert "mnli" in result["submission"]["missing"]
    with zipfile.ZipFile(out / "submission.zip") as archive:
        assert archive.namelist() == ["MRPC.tsv", "AX.tsv"]
        written = [line.split("\t") for line in archive.read("MRPC.tsv").decode().splitlines()]
    assert written[0] == ["index", "prediction"]
    assert [number for number, _ in written[1:]] == ["0", "1", "2"]
    assert {label for _, label in written[1:]} <= {"0", "1"}

    # The same call makes nothing again, other options are refused, and the command tells the same.
    here.clear()
    assert run_glue(recipe, out)["tasks"] == result["tasks"]
    assert here == []
    with pytest.raises(UserError, match=r"mrpc was made with other options than these"):
        run_glue(recipe.with_changes({"optimiser": {"lr": 0.5}}), out)
    toml = tmp_path / "tiny.toml"
    toml.write_text(recipe.to_toml())
    assert main(["glue", "--recipe", str(toml), "-o", str(out), "--no-runs"]) == 0
    printed = capsys.readouterr().out
    assert "BERT-large (test)" in printed
    assert "qqp: its train and dev rows are not on this machine: bertkit data fetch qqp." in printed


def test_without_any_rows_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"Nothing of GLUE is done .*rte: its train and dev rows"):
        run_glue(Recipe().with_changes(TINY), tmp_path / "out", jobs=0, tasks=["rte", "mrpc"])


def test_tasks_are_in_the_order_of_glue_and_an_unknown_one_is_refused() -> None:
    assert [task.name for task in glue_tasks(["rte", "mrpc"])] == ["mrpc", "rte"]
    with pytest.raises(UserError, match=r"GLUE has no task 'rtee'\. Did you mean 'rte'"):
        glue_tasks(["rtee"])


def test_glues_own_cola_is_taken_where_it_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTKIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "cola" in [task.name for task in glue_tasks([])]
    (tmp_path / "glue/CoLA").mkdir(parents=True)
    (tmp_path / "glue/CoLA/train.tsv").write_text("x")
    names = [task.name for task in glue_tasks([])]
    assert "cola-glue" in names
    assert "cola" not in names


def test_every_published_figure_is_of_a_task_and_a_metric() -> None:
    names = {task.name for task in GLUE}
    for row in published():
        assert set(row.scores) <= names
        assert {metric for scores in row.scores.values() for metric in scores} <= set(ALL_METRICS)
        assert all(-100 <= value <= 100 for scores in row.scores.values() for value in scores.values())
        assert row.models == tuple(name.lower() for name in row.models)


def test_the_same_encoder_comes_first() -> None:
    titles = [row.title for row in beside("sentence-transformers/all-MiniLM-L6-v2")]
    assert titles[0] == "MiniLM-L6-H384 (dev)"
    assert [row.title for row in beside("runs/mine")] == titles[1:]
