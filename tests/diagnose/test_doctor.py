"""The doctor of runs, from their folders: what is found, and what is said of folders that are no good."""

from __future__ import annotations

import contextlib
import html
import json
import math
import random
import re
import shlex
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bertkit.diagnose.doctor import examine, findings_of
from bertkit.diagnose.report import write_doctor_page
from bertkit.diagnose.verdict import sentence_on
from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.recipe.base import add_settings
from bertkit.runs.findings import Change, Finding, append_findings
from bertkit.runs.history import RunHistory, Step, Track
from bertkit.runs.reader import read_history, read_recipe
from bertkit.tasks.metrics import entropy

SUMMARY: dict[str, Any] = {"metric": "mcc", "score": 0.33, "interval": [0.25, 0.41]}
RESULT: dict[str, Any] = {
    "task": "toy",
    "kind": "classify",
    "model": "some/folder",
    "rows": 527,
    "train_rows": 1_000,
    **SUMMARY,
    "baselines": {"majority": {"score": 0.0}, "ngram": {"score": 0.157}},
    "seeds": [],
    "floor": entropy([0.3, 0.7]),
    "label_shares": {"bad": 0.3, "good": 0.7},
    "version": "0.1.0",
}
SEED = {"seed": 0, "score": 0.33, "last_score": 0.33, "status": "learned", "best_epoch": 4.0, "seconds": 9.0}
PRETRAINED: dict[str, Any] = {
    "kind": "pretraining",
    "steps": 100,
    "epochs": 0.4,
    "seconds": 3_600.0,
    "floors": {"unigram": 6.9, "uniform": 9.0},
    "through_at": 30,
    "long_from": None,
    "version": "0.1.0",
}


def finetuning_log(
    levels: tuple[float, ...] = (0.6, 0.55, 0.45, 0.3), each: int = 20
) -> list[dict[str, Any]]:
    """An epoch at each level of the training loss, and the dev rows scored after it."""
    chance = random.Random(3)
    log: list[dict[str, Any]] = []
    for epoch, level in enumerate(levels):
        for index in range(each):
            step = epoch * each + index + 1
            log.append(
                {
                    "event": "train",
                    "step": step,
                    "epoch": step / each,
                    "loss": level + chance.gauss(0, 0.01),
                    "learning_rate": 1e-4,
                    "gradient_norm": 1.5,
                    "tokens_per_second": 2_000.0,
                }
            )
        scored = {"event": "evaluation", "step": (epoch + 1) * each, "epoch": epoch + 1.0, "loss": 0.55}
        log.append({**scored, "train_loss": level, **SUMMARY})
    return log


def pretraining_log(
    losses: tuple[float, ...] = (9.4, 6.5, 5.5, 4.9, 4.7), each: int = 25
) -> list[dict[str, Any]]:
    """Held-out text scored before the first step, and after each `each` steps."""
    log: list[dict[str, Any]] = [{"event": "floors", "step": 0, "unigram": 6.9, "uniform": 9.0}]
    for index, loss in enumerate(losses):
        for step in range(max(0, (index - 1) * each) + 1, index * each + 1):
            figures = {"fraction": step / 100, "loss": loss, "mlm_loss": loss, "learning_rate": 1e-3}
            figures |= {"gradient_norm": 1.5, "tokens": 99, "tokens_per_second": 2_000.0}
            log.append({"event": "train", "step": step, **figures})
        log.append({"event": "evaluation", "step": index * each, "mlm_loss": loss, "mlm_accuracy": 0.2})
    return log


def write_run(
    folder: Path,
    recipe: Recipe | PretrainRecipe,
    result: dict[str, Any] | None,
    logs: dict[str, list[dict[str, Any]]],
    seed: dict[str, Any] | None = SEED,
) -> Path:
    """A run folder with the logs of its seeds, which are done if `seed` is what came of them."""
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe.to_toml())
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    for place, log in logs.items():
        (folder / place).mkdir(exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in log)
        (folder / place / "metrics.jsonl").write_text(text)
        if seed is not None and isinstance(recipe, Recipe):
            (folder / place / "seed.json").write_text(json.dumps(seed))
    return folder


def trained(**training: Any) -> Recipe:
    return Recipe().with_changes({"model": {"start": "some/folder"}, "training": {"epochs": 4, **training}})


def finetuned(folder: Path, log: list[dict[str, Any]] | None = None, **result: Any) -> Path:
    """A finished fine-tuning run of one seed; a healthy one unless told otherwise."""
    return write_run(folder, trained(), {**RESULT, **result}, {".": log or finetuning_log()})


def pretrained(folder: Path, log: list[dict[str, Any]] | None = None, **result: Any) -> Path:
    """A finished pretraining run; a healthy one unless told otherwise."""
    recipe = PretrainRecipe().with_changes({"training": {"steps": 100}})
    return write_run(folder, recipe, {**PRETRAINED, **result}, {".": log or pretraining_log()})


def checks(run: Path) -> list[str]:
    return [finding.check for finding in findings_of(run)]


def test_a_healthy_run_of_either_kind_says_nothing(tmp_path: Path) -> None:
    assert findings_of(finetuned(tmp_path / "a")) == []
    assert findings_of(pretrained(tmp_path / "b")) == []


def test_a_stuck_run_of_several_seeds_is_found(tmp_path: Path) -> None:
    log = finetuning_log((0.62, 0.61, 0.61, 0.61))
    lost = {**SEED, "score": 0.0, "status": "collapsed"}
    changes = {"score": 0.0, "interval": [0.0, 0.0], "deviation": 0.0}
    run = write_run(
        tmp_path / "run", trained(seeds=2), {**RESULT, **changes}, {"seed-3": log, "seed-11": log}, lost
    )
    (finding,) = findings_of(run)
    assert (finding.check, finding.weight) == ("stuck", "grave")
    assert "of all 2 seeds" in finding.seen
    history = read_history(run)
    assert [track.seed for track in history.tracks] == [3, 11]


def test_a_run_on_the_plateau_is_found_while_it_goes_on(tmp_path: Path) -> None:
    recipe = PretrainRecipe().with_changes({"training": {"steps": 100}})
    run = write_run(tmp_path / "run", recipe, None, {".": pretraining_log((9.4, 7.0, 6.95, 6.9))})
    (finding,) = findings_of(run)
    assert (finding.check, finding.sureness) == ("plateau", "likely")
    history = read_history(run)
    assert history.share_done(history.track) == 0.75


def test_few_steps_come_before_all_else_on_the_plateau(tmp_path: Path) -> None:
    recipe = PretrainRecipe().with_changes({"training": {"steps": 100}})
    log = pretraining_log((9.4, 7.0, 6.95, 6.9, 6.9))
    run = write_run(tmp_path / "run", recipe, {**PRETRAINED, "through_at": None}, {".": log})
    (finding,) = findings_of(run)
    assert [change.key for change in finding.changes][:2] == ["training.steps", "model.options.norm"]
    assert "training.steps=1000" in examine(run).again
    assert "optimiser.lr" not in examine(run).again


def test_a_new_head_on_a_trained_encoder_is_no_plateau_after_a_few_steps(tmp_path: Path) -> None:
    recipe = PretrainRecipe().with_changes({"training": {"steps": 10}, "model": {"start": "some/folder"}})
    log = pretraining_log((10.4, 9.9, 9.4), each=2)
    run = write_run(tmp_path / "run", recipe, {**PRETRAINED, "through_at": None}, {".": log})
    assert findings_of(run) == []
    assert sentence_on(read_history(run)).startswith("It is too early to tell: the MLM head is new")


def test_what_was_found_before_and_while_it_trained_is_told_once(tmp_path: Path) -> None:
    run = finetuned(tmp_path / "run", finetuning_log((0.61,) * 4))
    leaks = Finding("leaks", "notable", "certain", "6 rows of dev stand in train.", "The score is too high.")
    early = Finding("stuck", "notable", "possible", "Seen early.", "Means something.")
    append_findings(run, "preflight", 0, [leaks])
    append_findings(run, "watch", 30, [early])
    assert checks(run) == ["stuck", "leaks"]
    assert findings_of(run)[0].seen != early.seen
    assert findings_of(run)[1] == leaks


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    run = finetuned(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"event": "train", "st')
    assert findings_of(run) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "is not JSON"),
        ("[1]", "is [1], and not a JSON object"),
        ('{"step": 3}', "'event' is missing"),
        ('{"event": "train", "step": 81, "epoch": 4.1}', "'loss' is missing"),
        ('{"event": "train", "step": "x", "epoch": 4.1, "loss": 1}', "'step' is 'x', and not a number"),
        ('{"event": "train", "step": -1, "epoch": 4.1, "loss": 1}', "'step' is -1, and not a count"),
        ('{"event": "train", "step": 1, "epoch": [], "loss": 1}', "'epoch' is [], and not a number"),
        ('{"event": "train", "step": 1, "epoch": 1, "loss": true}', "'loss' is True, and not a number"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    run = finetuned(tmp_path / "run")
    with (run / "metrics.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"metrics.jsonl, line 85") as error:
        findings_of(run)
    assert words in str(error.value)


def test_what_is_no_run_folder_is_told_as_what_it_is(tmp_path: Path) -> None:
    run = finetuned(tmp_path / "demo" / "fresh")
    (tmp_path / "demo" / "model").mkdir()
    (tmp_path / "demo" / "model" / "config.json").write_text("{}")
    (run / "seed-3").mkdir()
    study = tmp_path / "study"
    study.mkdir()
    (study / "study.toml").write_text("")
    for path, words in {
        tmp_path / "none": "There is no run at",
        run / "recipe.toml": "is a file; give the folder of a run, or name your own rows with --train",
        tmp_path / "demo": "There are runs in it: give one of fresh.",
        tmp_path / "demo" / "model": "It is a model folder",
        run / "seed-3": "is one seed of a run; give the run",
        study: "`bertkit study`",
    }.items():
        with pytest.raises(UserError) as error:
            findings_of(path)
        assert words in str(error.value)
        assert str(path) in str(error.value)


def test_a_folder_without_permission_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finetuned(tmp_path / "run")

    def forbidden(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)  # root, who runs tests too, may read everything
    with pytest.raises(UserError, match=r"run cannot be read \(Permission denied\)\."):
        findings_of(run)


@pytest.mark.parametrize("version", ["0.2.0", "1.0", "99.1.0.dev3", "later"])
def test_a_run_of_a_newer_version_is_told_in_one_sentence(tmp_path: Path, version: str) -> None:
    run = finetuned(tmp_path / "run", version=version)
    with pytest.raises(UserError, match=rf"is of bertkit {version}, and this is 0\.1\.0; update bertkit\.$"):
        findings_of(run)


def test_a_recipe_with_keys_of_the_future_is_told_with_its_key(tmp_path: Path) -> None:
    run = finetuned(tmp_path / "run")
    (run / "recipe.toml").write_text("[optimiser]\nmuon = true\n")
    with pytest.raises(
        UserError, match=r"'optimiser.muon'.*Perhaps the run is of a newer bertkit than this one, 0\.1\.0\."
    ):
        findings_of(run)


def test_which_kind_of_run_it_is_stands_in_its_recipe(tmp_path: Path) -> None:
    for recipe in (PretrainRecipe(), Recipe()):
        (tmp_path / "recipe.toml").write_text(recipe.to_toml())
        assert read_recipe(tmp_path) == recipe


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("{", "result.json is not JSON"),
        ("[]", "result.json is [], and not a JSON object"),
        ('{"version": 3}', "'version' is 3, and not a text"),
        ('{"version": "0.1.0"}', "'interval' is missing"),
        (json.dumps({**RESULT, "baselines": {}, "rows": -1}), "'rows' is -1, and not a count"),
        (json.dumps({**RESULT, "interval": [1]}), "'interval' has 1 figures"),
        (json.dumps({**RESULT, "metric": ""}), "'metric' is '', and none of a task of the kind 'classify'"),
    ],
)
def test_a_damaged_result_is_told(tmp_path: Path, damage: str, words: str) -> None:
    run = finetuned(tmp_path / "run")
    (run / "result.json").write_text(damage)
    with pytest.raises(UserError) as error:
        findings_of(run)
    assert words in str(error.value)


def test_a_run_of_which_little_is_there_has_no_findings(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", trained(), None, {})
    assert findings_of(run) == []
    (run / "metrics.jsonl").write_text("")
    assert findings_of(run) == []
    (run / "seed-0").mkdir()
    assert findings_of(run) == []


def test_what_was_measured_of_the_layers_is_read_with_its_types(tmp_path: Path) -> None:
    health = {"event": "health", "step": 20, "epoch": 1.0, "baseline_loss": 0.61, "cls_spread": None}
    health["gradient_norms"] = {"embeddings": 0.1, "layer 1": 2, "head": None}
    run = finetuned(tmp_path / "run", [*finetuning_log(), health])
    history = read_history(run)
    (found,) = history.track.health
    assert list(found.gradient_norms) == ["embeddings", "layer 1", "head"]
    assert found.gradient_norms["layer 1"] == 2.0
    assert math.isnan(found.gradient_norms["head"])
    assert (found.baseline_loss, found.cls_spread, found.update_ratios) == (0.61, None, {})
    for fault in ({"gradient_norms": 3}, {"baseline_loss": {"a": 1}}, {"dead_units": {"layer 1": "x"}}):
        with (run / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({**health, **fault}) + "\n")
        with pytest.raises(UserError, match=r"line 86"):
            findings_of(run)
        lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
        (run / "metrics.jsonl").write_text("".join(lines[:-1]))


# ---- what the doctor says, and its page


def test_a_healthy_run_is_told_in_a_sentence_and_answers(tmp_path: Path) -> None:
    found = examine(finetuned(tmp_path / "run"))
    assert (found.healthy, found.level, found.kind, found.finished) == (True, "good", "fine-tuning", True)
    assert found.verdict == (
        "It learned: MCC 0.330 [0.250, 0.410] on 527 dev rows, where always answering the majority scores "
        "0.000 and an n-gram model scores 0.157."
    )
    said = {answer.question: answer.words for answer in found.answers}
    assert said["Did it take in the training rows?"].startswith(
        "Yes: the training loss of its last epoch is 0.300"
    )
    assert said["Does that hold for other rows?"].endswith("above the majority's and an n-gram model's.")
    assert said["When was it best?"] == "After epoch 4 of 4."
    assert said["How did the learning rate change?"] == "It stayed at 0.0001."
    assert "Is the log whole?" not in said
    assert found.again == f"bertkit finetune --recipe {tmp_path}/run/recipe.toml -o {tmp_path}/run-again"


def test_a_pretraining_is_told_by_its_curve(tmp_path: Path) -> None:
    losses = (9.4, 6.5, 5.5, 5.0, 4.8, 4.65, 4.55, 4.5, 4.46, 4.43, 4.41)
    log = pretraining_log(losses, each=10)
    for record in log:
        if record["event"] == "evaluation":
            record |= {"pair_accuracy": 0.75, "pairs": 400}
    found = examine(pretrained(tmp_path / "run", log))
    assert found.verdict == (
        "It learned: the held-out loss is 4.410, 2.490 below that of predicting the token frequencies."
    )
    said = {answer.question: answer.words for answer in found.answers}
    assert said["Did it leave the unigram plateau?"] == "Yes, by step 30 of 100 (30%)."
    assert said["Was it still learning at its end?"].startswith(
        "Yes: over the last 30% of its steps a straight"
    )
    assert said["Is there enough text?"].startswith("It was read 0.40 times.")
    assert said["Can it tell pairs?"].startswith("Yes: 75.0% of the held-out pairs are right [70.5%, 79.0%]")


def test_a_pretraining_without_held_out_text_is_told_by_its_training_loss() -> None:
    steps = [Step(step, step / 30, 2.96) for step in range(1, 31)]
    run = RunHistory(PretrainRecipe(), [Track(steps=steps)], finished=True, floor=2.95)
    assert sentence_on(run) == (
        "It did not learn to use the context and stayed on the unigram plateau: the training "
        "loss is 2.960, and no text was held out."
    )
    assert sentence_on(replace(run, tracks=())).endswith("unigram plateau: no text was held out.")


def test_a_run_that_goes_on_is_told_as_far_as_it_is(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", trained(seeds=3), None, {"seed-0": finetuning_log((0.6, 0.5))}, None)
    found = examine(run)
    assert (found.finished, found.level, found.healthy) == (False, "open", True)
    assert found.verdict.startswith(
        "It is not done: seed 0 of 3 is at epoch 2.00 of 4, its best score so far is 0.330 [0.250, 0.410]. "
        "Its log was last written to "
    )
    (run / "seed-0" / "metrics.jsonl").write_text("")
    assert examine(run).verdict.startswith("It is not done, and has logged nothing yet.")


def test_the_best_score_so_far_of_an_error_is_its_lowest(tmp_path: Path) -> None:
    recipe = trained().with_changes({"task": {"kind": "regress", "metric": "mse"}})
    log = finetuning_log()
    scores = iter((0.9, 0.4, 0.5, 0.7))
    for record in (each for each in log if each["event"] == "evaluation"):
        record |= {"metric": "mse", "score": (score := next(scores)), "interval": [score - 0.1, score + 0.1]}
    found = examine(write_run(tmp_path / "run", recipe, None, {".": log}, None))
    assert "its best score so far is 0.400 [0.300, 0.500]" in found.verdict


def test_of_a_run_that_lasts_as_long_as_there_is_time_no_number_of_epochs_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", trained(budget=30.0), None, {".": finetuning_log()}, None)
    assert examine(run).verdict.startswith("It is not done: it is at epoch 4.00, its best score so far is ")
    history = read_history(run)
    assert (history.planned(history.track), history.share_done(history.track)) == (0, 0.0)
    done = write_run(tmp_path / "done", trained(budget=30.0), RESULT, {".": finetuning_log()})
    history = read_history(done)
    assert (history.planned(history.track), history.share_done(history.track)) == (80, 1.0)


def test_the_stretches_that_a_log_lacks_are_told(tmp_path: Path) -> None:
    log = [record for record in finetuning_log() if not 30 < record["step"] < 40]
    said = {answer.question: answer.words for answer in examine(finetuned(tmp_path / "run", log)).answers}
    assert said["Is the log whole?"] == "No: it lacks steps 31 to 39."


def test_all_changes_go_into_one_command_that_a_shell_reads_back(tmp_path: Path) -> None:
    blog = {
        "model": {"start": "blog", "options": {}},
        "optimiser": {"lr": 1e-3, "warmup": 0.0, "clip": 0.0},
        "batch": {"shuffle": False, "by_length": False},
    }
    lost = {**SEED, "status": "collapsed"}
    result = {**RESULT, "score": 0.0, "interval": [0.0, 0.0]}
    log = {".": finetuning_log((0.61,) * 4)}
    found = examine(write_run(tmp_path / "a run", trained().with_changes(blog), result, log, lost))
    words = shlex.split(found.again)
    assert words[:4] == ["bertkit", "finetune", "--recipe", f"{tmp_path}/a run/recipe.toml"]
    assert words[-2:] == ["-o", f"{tmp_path}/a run-again"]
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    keys = [setting.partition("=")[0] for setting in settings]
    assert len(keys) == len(set(keys))
    assert {"optimiser.lr", "batch.shuffle", "model.options.norm", "model.options.positions"} <= set(keys)


def test_alternatives_do_not_go_into_one_command(tmp_path: Path) -> None:
    run = finetuned(tmp_path / "run")
    recipe = trained().with_changes({"model": {"start": "blog", "options": {}}})
    (run / "recipe.toml").write_text(recipe.to_toml())
    drowned = (
        Change("model.options.positions", "rotary"),
        Change("model.options.position_scale", 0.04),
    )
    overfit_trial = (Change("optimiser.lr", 1e-5), Change("model.options.layers", 2))
    short = (Change("training.epochs", 8), Change("training.steps", 0, together=True))
    later = (Change("optimiser.lr", 7e-5), Change("optimiser.warmup", 0.1))
    odd = (Change("model.options.hidden_size", 7),)  # No recipe: heads do not divide it.
    unknown = (Change("training.future", 1),)
    for index, changes in enumerate((drowned, overfit_trial, short, later, odd, unknown)):
        finding = Finding(f"check {index}", "grave", "certain", "Seen.", "Means.", changes)
        append_findings(run, "preflight", 0, [finding])
    words = shlex.split(examine(run).again)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert settings == [
        "model.options.positions=rotary",
        "optimiser.lr=1e-05",
        "training.epochs=8",
        "training.steps=0",
    ]
    changed = recipe.with_changes(add_settings({}, settings, recipe.model.options))
    assert changed.training.epochs == 8


def test_what_was_found_while_it_trained_is_past_where_it_learned(tmp_path: Path) -> None:
    early = Finding("inputs_alike", "grave", "likely", "All alike.", "Means something.")
    before = Finding("leaks", "notable", "certain", "6 rows leak.", "Means something.")
    learned, lost = finetuned(tmp_path / "a"), finetuned(tmp_path / "b", finetuning_log((0.61,) * 4))
    (lost / "seed.json").write_text(json.dumps({**SEED, "status": "collapsed"}))
    for run in (learned, lost):
        append_findings(
            run, "watch", 20, [early, Finding("stuck_at_baseline_loss", "grave", "likely", "x", "y")]
        )
        append_findings(run, "preflight", 0, [before])
    assert checks(learned) == ["leaks"]
    assert checks(lost) == ["stuck", "inputs_alike", "leaks"]


def test_who_left_the_prior_is_not_said_to_be_stuck_on_it_though_it_learned_little(tmp_path: Path) -> None:
    stuck = Finding(
        "stuck_at_baseline_loss", "grave", "likely", "It stood at 0.607 after 75%.", "Knows nothing."
    )
    alike = Finding("inputs_alike", "grave", "likely", "All alike.", "Means something.")
    result = {**RESULT, "score": 0.02, "interval": [-0.01, 0.05]}
    seed = {**SEED, "score": 0.02, "status": "not learned"}
    run = write_run(tmp_path / "run", trained(), result, {".": finetuning_log((0.62, 0.61, 0.6, 0.55))}, seed)
    append_findings(run, "watch", 60, [stuck, alike])
    found = examine(run)
    said = {answer.question: answer.words for answer in found.answers}
    assert said["Did it take in the training rows?"].startswith("Yes: ")
    assert "stuck_at_baseline_loss" not in [finding.check for finding in found.findings]
    assert "inputs_alike" in [finding.check for finding in found.findings]  # which nothing refutes


def test_what_the_watch_said_of_a_seed_that_learned_is_past_and_of_another_one_is_not(
    tmp_path: Path,
) -> None:
    logs = {"seed-0": finetuning_log(), "seed-1": finetuning_log((0.61,) * 4)}
    run = write_run(tmp_path / "run", trained(seeds=2), RESULT, logs)
    (run / "seed-1" / "seed.json").write_text(json.dumps({**SEED, "status": "collapsed"}))
    for seed, check in ((0, "dead_units"), (1, "inputs_alike")):
        finding = Finding(check, "grave", "likely", "Seen.", "Means something.")
        append_findings(run / f"seed-{seed}", "watch", 20, [finding])
    assert "inputs_alike" in checks(run)
    assert "dead_units" not in checks(run)


COLLAPSE = {"step": 20, "check": "gradient_vanished", "seen": "It fell to 0.", "from_step": 0}
CALMER = {"optimiser.lr": 1e-4, "optimiser.warmup": 0.1, "optimiser.clip": 1.0}


def begin_again(folder: Path, *changes: dict[str, Any]) -> None:
    """Say that the run or the seed in `folder` was begun again, each time with what was changed."""
    restarts = [{**COLLAPSE, "change": change} for change in changes]
    (folder / "restarts.json").write_text(json.dumps({"restarts": restarts}))


@pytest.mark.parametrize("make", [finetuned, pretrained])
def test_a_run_that_was_begun_again_is_judged_by_what_it_was_begun_again_with(
    tmp_path: Path, make: Callable[..., Path]
) -> None:
    run = make(tmp_path / "run")
    asked = (run / "recipe.toml").read_text()
    begin_again(run, CALMER, {"optimiser.lr": 3e-5})
    vanished = Finding("gradient_vanished", "grave", "likely", COLLAPSE["seen"], "It was lost.")
    append_findings(run, "watch", 20, [Finding("dead_units", "grave", "likely", "Dead.", "Dead."), vanished])
    if (run / "seed.json").is_file():
        (run / "seed.json").write_text(json.dumps({**SEED, "status": "not learned"}))
    history = read_history(run)
    optimiser = history.recipe.optimiser
    assert (optimiser.lr, optimiser.warmup, optimiser.clip) == (3e-5, 0.1, 1.0)
    assert (run / "recipe.toml").read_text() == asked
    found = examine(run)
    said = {answer.question: answer.words for answer in found.answers}
    assert said["Was it begun again?"] == (
        "Yes. After step 20 it began again from the beginning with optimiser.lr=0.0001 optimiser.warmup=0.1 "
        "optimiser.clip=1. It fell to 0. "
        "After step 20 it began again from the beginning with optimiser.lr=3e-05. It fell to 0."
    )
    words = shlex.split(found.again)
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert settings[:3] == ["optimiser.lr=3e-05", "optimiser.warmup=0.1", "optimiser.clip=1"]
    # What an attempt that was given up had heard is past, though nothing was learned.
    assert not {"gradient_vanished", "dead_units"} & {finding.check for finding in found.findings}


def test_a_change_of_the_doctor_counts_before_that_of_a_restart(tmp_path: Path) -> None:
    run = finetuned(tmp_path / "run")
    begin_again(run, CALMER)
    lower = Finding("rate", "grave", "certain", "Seen.", "Means.", (Change("optimiser.lr", 2e-5),))
    append_findings(run, "preflight", 0, [lower])
    assert (
        " --set optimiser.lr=2e-05 --set optimiser.warmup=0.1 --set optimiser.clip=1 " in examine(run).again
    )


def test_seeds_are_judged_by_what_all_of_them_were_begun_again_with(tmp_path: Path) -> None:
    logs = {"seed-0": finetuning_log(), "seed-1": finetuning_log()}
    run = write_run(tmp_path / "run", trained(seeds=2), RESULT, logs)
    begin_again(run / "seed-0", CALMER)
    assert read_history(run).settings == {}
    assert read_history(run).recipe == trained(seeds=2)
    begin_again(run / "seed-1", {**CALMER, "optimiser.warmup": 0.2})
    assert read_history(run).settings == {"optimiser.lr": 1e-4, "optimiser.clip": 1.0}
    said = {answer.question: answer.words for answer in examine(run).answers}
    assert said["Was it begun again?"].startswith("Yes. Seed 0: After step 20 it began again")
    assert "Seed 1: After step 20" in said["Was it begun again?"]


@pytest.mark.parametrize("make", [finetuned, pretrained])
def test_the_page_needs_nothing_but_itself(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    run = make(tmp_path / "<run> & co")
    (run / "recipe.toml").write_text((run / "recipe.toml").read_text() + "# <b>mine</b>\n")
    found, page = write_doctor_page(run)
    text = page.read_text(encoding="utf-8")
    assert page == run / "doctor.html"
    assert "&lt;run&gt; &amp; co" in text
    assert "<run>" not in text
    assert "<b>" not in text
    assert found.verdict in html.unescape(text)
    assert "No check found anything wrong with this run." in text
    assert text.count("<svg") == 3
    assert not re.search(r"""(src|href)=["'](?!#)|url\((?!#)|@import|<script""", text)


def test_the_page_of_a_run_with_findings_has_them_and_the_command(tmp_path: Path) -> None:
    log = finetuning_log((0.61,) * 4)
    run = finetuned(tmp_path / "run", log, score=0.0, interval=[0.0, 0.0])
    looks = [
        {"event": "health", "step": i, "epoch": i / 20, "gradient_norms": {"embeddings": 0.1, "head": 1.0}}
        for i in (1, 20, 40)
    ]
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(look) + "\n" for look in looks)
    found, page = write_doctor_page(run)
    text = html.unescape(page.read_text(encoding="utf-8"))
    assert found.findings[0].check == "stuck"
    for finding in found.findings:
        assert finding.seen in text
    assert "To do it again, with the changes" in text
    assert "Gradients by layer" in text


def test_a_page_is_written_of_a_run_that_has_logged_nothing(tmp_path: Path) -> None:
    _, page = write_doctor_page(write_run(tmp_path / "run", trained(), None, {}))
    assert "has logged nothing yet" in page.read_text(encoding="utf-8")


# ---- damage of every kind

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_subnormal=False),
    st.text(max_size=5),
    st.lists(st.floats(allow_subnormal=False), max_size=3),
    st.dictionaries(st.text(max_size=3), st.floats(allow_subnormal=False), max_size=2),
)


@st.composite
def damages(draw: st.DrawFn, log: list[dict[str, Any]]) -> bytes:
    """A log of which some lines are gone, doubled, cut, of other bytes, or have other values or keys."""
    lines = [json.dumps(record).encode() for record in log]
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "cut", "bytes", "value", "key", "swap"])):
            case "drop":
                del lines[place : place + draw(st.integers(1, 40))]
            case "double":
                lines.insert(place, lines[draw(st.integers(0, len(lines) - 1))])
            case "cut":
                lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
            case "bytes":
                lines[place] = draw(st.binary(max_size=20))
            case "swap":
                lines.reverse()
            case kind:
                with contextlib.suppress(ValueError):
                    record = json.loads(lines[place])
                    if isinstance(record, dict) and record:
                        key = draw(st.sampled_from(sorted(record)))
                        value = record.pop(key)
                        if kind == "value":
                            record[key] = draw(VALUES)
                        else:
                            record[draw(st.text(max_size=4))] = value
                        lines[place] = json.dumps(record).encode()
        if not lines:
            return b""
    return b"\n".join(lines) + draw(st.sampled_from([b"", b"\n"]))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), pretraining=st.booleans(), finished=st.booleans())
def test_no_damage_of_a_log_is_a_crash(
    tmp_path: Path, data: st.DataObject, pretraining: bool, finished: bool
) -> None:
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    log = pretraining_log(each=8) if pretraining else finetuning_log(each=12)
    run = (pretrained if pretraining else finetuned)(folder / "run", log)
    if not finished:
        (run / "result.json").unlink()
        (run / "seed.json").unlink(missing_ok=True)
    (run / "metrics.jsonl").write_bytes(data.draw(damages(log)))
    try:
        found = examine(run)
    except UserError:
        return
    assert json.loads(json.dumps(found.to_json()))["healthy"] == (not found.findings)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), pretraining=st.booleans())
def test_no_damage_of_a_result_is_a_crash(tmp_path: Path, data: st.DataObject, pretraining: bool) -> None:
    run = (pretrained if pretraining else finetuned)(Path(tempfile.mkdtemp(dir=tmp_path)) / "run")
    result = json.loads((run / "result.json").read_text())
    key = data.draw(st.sampled_from(sorted(result)))
    if data.draw(st.booleans()):
        result[key] = data.draw(VALUES)
    else:
        del result[key]
    (run / "result.json").write_text(json.dumps(result))
    with contextlib.suppress(UserError):
        examine(run)
