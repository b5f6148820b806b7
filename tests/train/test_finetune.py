import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trained import StopsAfter, equal, fit, weights

from bertkit import api, load
from bertkit.errors import UserError
from bertkit.recipe import Recipe
from bertkit.recipe.finetune import ChosenModelRecipe, HeadRecipe
from bertkit.runs.checkpoints import Checkpoints
from bertkit.runs.result import Answers
from bertkit.train.settle import settle

Result = dict[str, Any]


def losses(run: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if line["event"] != "health"]


@pytest.fixture(scope="module")
def whole(make_toy: Callable[[Path], Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `toy`, which nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    fit(make_toy(folder), folder / "run")
    return folder / "run"


def test_a_run_learns_and_leaves_everything_in_its_folder(toy: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    toy = toy.with_changes({"training": {"epochs": 15}})
    result = api.finetune(recipe=toy, out=run)
    assert {path.name for path in run.iterdir()} >= {
        "recipe.toml", "metrics.jsonl", "log.txt", "result.json", "report.html", "model",
    }  # fmt: skip
    assert result == json.loads((run / "result.json").read_text())
    said = Recipe.from_toml(run / "recipe.toml")
    assert said == settle(toy)[0]
    assert (said.task.text, said.task.label, said.task.kind, said.head.pooling) == (
        "text", "label", "classify", "pooler",
    )  # fmt: skip
    assert result["score"] > 0.6
    assert result["interval"][0] <= result["score"] <= result["interval"][1]
    assert result["seeds"][0]["status"] == "learned"
    assert result["baselines"]["majority"]["score"] == 0.0
    assert np.sum(result["confusion"]) == result["rows"] == 37
    assert result["labels"] == ["no", "yes"]
    assert list(Checkpoints(run, 1).by_step()) == [135]


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(
    toy: Recipe, whole: Path, tmp_path: Path
) -> None:
    for name, seed in (("b", 0), ("c", 1)):
        fit(toy.with_changes({"training": {"seed": seed}}), tmp_path / name)
    assert equal(whole, tmp_path / "b")
    assert not equal(whole, tmp_path / "c")


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ((1,), {"batch": {"sampling": "balanced"}}),
        ((4, 9, 10), {"training": {"class_weights": "sqrt"}}),
        ((27,), {}),
    ],
    ids=str,
)
def test_an_interrupted_and_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    toy: Recipe, tmp_path: Path, steps: tuple[int, ...], changes: dict[str, Any]
) -> None:
    toy = toy.with_changes(changes)
    whole = fit(toy, tmp_path / "whole")
    for count in range(len(steps)):
        with pytest.raises(KeyboardInterrupt):
            fit(toy, tmp_path / "cut", resume=count > 0, listener=StopsAfter(steps[count]))
    resumed = fit(toy, tmp_path / "cut", resume=True)
    assert equal(tmp_path / "whole", tmp_path / "cut")
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")
    assert whole["seeds"][0]["score"] == resumed["seeds"][0]["score"]


@pytest.mark.slow
def test_a_killed_process_resumes_bit_for_bit(toy: Recipe, tmp_path: Path) -> None:
    toy = toy.with_changes({"training": {"save_every": 0.0, "epochs": 6}})
    (tmp_path / "r.toml").write_text(toy.to_toml(), encoding="utf-8")
    fit(toy, tmp_path / "whole")
    command = [sys.executable, "-m", "bertkit", "finetune", "--recipe", str(tmp_path / "r.toml")]
    process = subprocess.Popen([*command, "-o", str(tmp_path / "cut")], stdout=subprocess.DEVNULL)
    checkpoints = tmp_path / "cut" / "checkpoint"
    while not list(checkpoints.glob("step-*")) and process.poll() is None:
        time.sleep(0.002)
    time.sleep(random.random() * 0.1)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    fit(toy, tmp_path / "cut", resume=True)
    assert equal(tmp_path / "whole", tmp_path / "cut")
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")


def test_several_seeds(toy: Recipe, tmp_path: Path) -> None:
    toy = toy.with_changes({"training": {"seeds": 3, "epochs": 2, "seed": 4}})
    result = fit(toy, tmp_path / "run")
    scores = [seed["score"] for seed in result["seeds"]]
    assert [seed["seed"] for seed in result["seeds"]] == [4, 5, 6]
    assert result["score"] == pytest.approx(np.mean(scores))
    assert result["deviation"] == pytest.approx(np.std(scores, ddof=1))
    assert result["failed"] == sum(seed["status"] != "learned" for seed in result["seeds"])
    best = tmp_path / "run" / f"seed-{result['best_seed']}"
    assert max(scores) == scores[result["best_seed"] - 4]
    assert equal(tmp_path / "run", best)


def test_an_interrupted_run_of_seeds_goes_on_with_the_next(toy: Recipe, tmp_path: Path) -> None:
    toy = toy.with_changes({"training": {"seeds": 2}})
    whole = fit(toy, tmp_path / "whole")

    with pytest.raises(KeyboardInterrupt):
        fit(toy, tmp_path / "cut", listener=StopsAfter(5, seed=2))
    finished = (tmp_path / "cut" / "seed-0" / "model" / "model.safetensors").stat().st_mtime_ns
    resumed = fit(toy, tmp_path / "cut", resume=True)
    assert (tmp_path / "cut" / "seed-0" / "model" / "model.safetensors").stat().st_mtime_ns == finished
    assert resumed["score"] == whole["score"]
    assert equal(tmp_path / "whole" / "seed-1", tmp_path / "cut" / "seed-1")


def test_steps_end_a_run_early_and_it_is_still_scored(toy: Recipe, tmp_path: Path) -> None:
    result = fit(toy.with_changes({"training": {"steps": 5}}), tmp_path / "run")
    assert result["seeds"][0]["steps"] == 5
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2, 3, 4, 5, 5]


def test_patience_ends_a_run(toy: Recipe, tmp_path: Path) -> None:
    frozen = toy.with_changes({"optimiser": {"lr": 0.0}, "training": {"epochs": 9, "patience": 2}})
    result = fit(frozen, tmp_path / "run")
    assert result["seeds"][0]["steps"] == 3 * 9


def test_a_collapsed_run_is_called_so(toy: Recipe, tmp_path: Path) -> None:
    frozen = toy.with_changes({"optimiser": {"lr": 0.0}, "model": {"options": {"initialiser_range": 1e-9}}})
    result = fit(frozen, tmp_path / "run")
    assert result["seeds"][0]["status"] == "collapsed"
    assert result["failed"] == 1


def test_a_run_goes_on_from_a_trained_model_with_its_vocabulary_and_head(
    toy: Recipe, whole: Path, tmp_path: Path
) -> None:
    again = Recipe().with_changes(
        {
            "task": {"train": toy.task.train, "dev": toy.task.dev},
            "model": {"start": str(whole)},
            "batch": {"max_length": 24},
            "optimiser": {"lr": 0.0},
            "training": {"epochs": 1},
        }
    )
    result = fit(again, tmp_path / "second")
    assert equal(whole, tmp_path / "second")
    assert result["metric"] == "accuracy"


def test_what_stands_there_is_kept_unless_told(toy: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(toy, run)
    with pytest.raises(UserError, match="--overwrite"):
        fit(toy, run)
    with pytest.raises(UserError, match="finished"):
        fit(toy, run, resume=True)
    fit(toy.with_changes({"training": {"steps": 1}}), run, overwrite=True)
    assert len(losses(run)) == 2
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="no run folder"):
        fit(toy, other, overwrite=True)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_resuming_with_another_recipe_lists_the_differences(toy: Recipe, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(toy, tmp_path / "run", listener=StopsAfter(2))
    other = toy.with_changes({"optimiser": {"lr": 0.1}, "training": {"epochs": 5}})
    with pytest.raises(UserError, match=r"optimiser.lr: 0.005, now 0.1; training.epochs: 3, now 5"):
        fit(other, tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="no run to resume"):
        fit(toy, tmp_path / "nowhere", resume=True)


def test_a_damaged_state_is_refused_in_a_sentence(toy: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(toy, run, listener=StopsAfter(2))
    (state,) = (run / "checkpoint").glob("step-*")
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(UserError, match="damaged"):
        fit(toy, run, resume=True)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"task": {"train": "", "dev": ""}}, "Say what to learn"),
        ({"task": {"name": "cola"}}, "not both"),
        ({"task": {"name": "colla", "train": "", "dev": ""}}, "Did you mean 'cola'"),
        ({"task": {"metric": "mmc"}}, "Did you mean 'mcc'"),
        ({"model": {"start": "tinny"}}, "Did you mean 'tiny'"),
        ({"model": {"options": {"layer": 1}}}, "Did you mean 'layers'"),
        ({"model": {"start": "pkg:not_there/model"}}, "not installed"),
        ({"batch": {"max_length": 900}, "model": {"options": {"max_positions": 512}}}, "512 positions"),
    ],
)
def test_bad_recipes_are_refused_before_anything_is_written(
    toy: Recipe, tmp_path: Path, changes: dict[str, dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        fit(toy.with_changes(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_labels_that_only_dev_or_test_have(toy: Recipe, tmp_path: Path) -> None:
    """They are classes, so the run goes on and scores their rows, and it says so."""
    test = tmp_path / "test.csv"
    test.write_text(Path(toy.task.dev).read_text() + "a row,never\n")
    with Path(toy.task.dev).open("a") as file:
        file.write("a strange row,maybe\nanother,maybe\n,bad\n")
    recipe = toy.with_changes({"task": {"test": str(test), "skip_bad": True}, "training": {"epochs": 1}})
    result = api.finetune(recipe=recipe, out=tmp_path / "run")
    found = {each["check"]: each["seen"] for each in json.loads((tmp_path / "run/findings.json").read_text())}
    assert found["unseen_label"] == (
        "Labels without a row in train: maybe, never. Rows that have them: 2 of dev, 1 of test."
    )
    assert result["test"]["labels"][-2:] == ["maybe", "never"]
    assert result["left_out"] == 1
    (said,) = result["notes"]
    assert "1 of 40 rows are left out: the text is empty (1: line 41)" in said
    assert escape(said) in (tmp_path / "run/report.html").read_text("utf-8")


def test_a_full_disk_leaves_the_last_checkpoint(
    toy: Recipe, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        fit(toy, run, listener=StopsAfter(3))
    shutil.copytree(run, tmp_path / "before")

    def full(*_: object) -> None:
        from safetensors import SafetensorError

        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("bertkit.checkpoint.hf.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        fit(toy, run, resume=True)
    monkeypatch.undo()
    state = "checkpoint/step-00000003.safetensors"
    assert (run / state).read_bytes() == (tmp_path / "before" / state).read_bytes()
    fit(toy, run, resume=True)
    assert equal(run, whole)


def test_a_model_of_pairs_asks_for_pairs(toy: Recipe, tmp_path: Path) -> None:
    for path in (toy.task.train, toy.task.dev):
        header, *rows = Path(path).read_text().splitlines()
        Path(path).write_text("\n".join([f"{header},more", *(f"{row},the film" for row in rows)]) + "\n")
    pairs = toy.with_changes({"task": {"pair": "more"}, "training": {"steps": 2}})
    fit(pairs, tmp_path / "run")
    model = load(tmp_path / "run")
    assert model.predict(["a good film"], ["the film"])[0]["pair"] == "the film"
    with pytest.raises(UserError, match="trained on pairs of texts"):
        model.predict(["a good film"])


def test_a_diverged_seed_is_counted_and_the_others_go_on(toy: Recipe, tmp_path: Path) -> None:
    wild = toy.with_changes({"optimiser": {"lr": 1e30, "warmup": 0.0}, "training": {"seeds": 2}})
    result = api.finetune(recipe=wild, out=tmp_path / "run")
    assert [seed["status"] for seed in result["seeds"]] == ["diverged", "diverged"]
    assert result["failed"] == 2
    assert "diverged" in (tmp_path / "run" / "report.html").read_text()


def test_a_run_goes_on_only_over_the_data_that_it_began_with(toy: Recipe, tmp_path: Path) -> None:
    test = shutil.copyfile(toy.task.dev, tmp_path / "test.csv")
    toy = toy.with_changes({"task": {"test": str(test)}})
    with pytest.raises(KeyboardInterrupt):
        fit(toy, tmp_path / "run", listener=StopsAfter(2))
    for name in ("train", "test"):
        path = Path(getattr(toy.task, name))
        before = path.read_text()
        path.write_text(before.replace(",yes", ",no", 1))
        with pytest.raises(UserError, match="data are not those"):
            fit(toy, tmp_path / "run", resume=True)
        path.write_text(before)
    fit(toy, tmp_path / "run", resume=True)


def test_overwriting_never_deletes_what_the_run_reads(toy: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(toy, run)
    before = weights(run)
    start = replace(toy, vocabulary=Recipe().vocabulary, model=ChosenModelRecipe(start=str(run)))
    with pytest.raises(UserError, match="lies in"):
        fit(start, run, overwrite=True)
    three = Path(toy.task.train)
    three.write_text(three.read_text() + "a film,maybe\n")
    with pytest.raises(UserError, match="two labels"):
        fit(toy.with_changes({"head": {"loss": "sigmoid"}}), run, overwrite=True)
    assert weights(run).keys() == before.keys()


def test_options_of_a_vocabulary_are_not_ignored(toy: Recipe, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its own vocabulary"):
        fit(replace(toy, model=ChosenModelRecipe(start=str(whole))), tmp_path / "b")


def test_a_model_without_pooler_asks_how_to_pool(toy: Recipe, tmp_path: Path) -> None:
    blog = replace(toy, model=ChosenModelRecipe(start="blog"), head=HeadRecipe(pooling="pooler"))
    with pytest.raises(UserError, match="no pooler"):
        fit(blog, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_tensorboard_events_are_written_where_it_is_installed(toy: Recipe, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        fit(toy, tmp_path / "run", listener=StopsAfter(4))
    # TensorBoard sorts its files by their names, which begin with the second in which they were opened.
    time.sleep(1 - time.time() % 1)
    fit(toy, tmp_path / "run", resume=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 28))
    assert len(events.Scalars("evaluation/mcc")) == 3


def test_a_temperature_is_kept_with_the_model_where_asked(toy: Recipe, tmp_path: Path) -> None:
    plain = fit(toy, tmp_path / "plain")
    kept = fit(toy.with_changes({"training": {"temperature": True}}), tmp_path / "kept")
    assert (plain["calibration"].pop("kept"), kept["calibration"].pop("kept")) == (False, True)
    assert plain["calibration"] == kept["calibration"]
    assert load(tmp_path / "plain").predictor.temperature is None
    assert load(tmp_path / "kept").predictor.temperature == kept["calibration"]["temperature"]
    evaluated = api.evaluate(tmp_path / "kept", toy.task)
    assert evaluated["confusion"] == kept["confusion"]
    assert evaluated["calibration"]["log_loss"] < kept["calibration"]["log_loss"] - 1e-6
    assert evaluated["temperature"] == kept["calibration"]["temperature"]


def test_what_the_page_tells_of_probabilities_is_of_the_best_seed(toy: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = fit(toy.with_changes({"training": {"seeds": 2}}), run)
    answers = Answers.read(run / f"seed-{result['best_seed']}")
    assert answers is not None
    truth = answers.outputs[np.arange(37), answers.targets.values]
    assert result["calibration"]["log_loss"] == pytest.approx(-truth.mean())
    assert sum(each["rows"] for each in result["calibration"]["bins"]) == result["rows"] == 37
    metric = result["thresholds"]
    assert (metric["label"], metric["metric"], metric["default"]) == (
        "no",
        "mcc",
        pytest.approx(max(each["score"] for each in result["seeds"])),
    )


def test_a_softened_loss_is_trained_with_and_dev_is_scored_without(toy: Recipe, tmp_path: Path) -> None:
    still = toy.with_changes({"optimiser": {"lr": 0.0}, "training": {"epochs": 1}})
    fit(still, tmp_path / "plain")
    fit(still.with_changes({"training": {"focal": 2.0}}), tmp_path / "focal")
    plain, focal = (losses(tmp_path / name) for name in ("plain", "focal"))
    assert focal[-1] == plain[-1]
    # Of two classes that are about as likely a quarter of each step's loss is left.
    for (step, softened), (_, whole) in zip(focal[:-1], plain[:-1], strict=True):
        assert softened == pytest.approx(whole / 4, rel=0.3), step
