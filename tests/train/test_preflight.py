"""Preflight: what is measured of real recipes, quietly at the start of runs and in full for the doctor."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from trained import equal, fit

from bertkit import api
from bertkit.health.checks import check_before
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import FINDINGS, Finding, append_findings, read_findings
from bertkit.train import preflight as preflight_module
from bertkit.train import start
from bertkit.train.listener import Listener
from bertkit.train.preflight import TRIAL_ROWS, TRIAL_TOKENS, trial_rates, trial_rows
from bertkit.train.prepare import prepare
from bertkit.train.start import preflight

# The article's faults, as far as a toy has them.
SICK = {
    "model": {
        "start": "tiny",
        "options": {
            "layers": 2,
            "hidden_size": 12,
            "heads": 3,
            "feedforward_size": 20,
            "positions": "sinusoidal",
            "initialisation": "keras",
            "embedding_norm": False,
        },
    },
    "batch": {"sequences": 8, "max_length": 24, "pad_to": 24, "shuffle": False, "by_length": False},
}


class Noting(Listener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def found(self, findings: Sequence[Finding]) -> None:
        self.findings += findings


def test_a_sick_run_says_so_at_its_start_and_keeps_it(toy: Recipe, tmp_path: Path) -> None:
    listener = Noting()
    fit(toy.with_changes({**SICK, "training": {"steps": 2}}), tmp_path / "run", listener=listener)
    named = {finding.check: finding.weight for finding in listener.findings}
    assert named == {"pads_visible": "grave", "embedding_scale": "grave", "file_order": "notable"}
    kept = json.loads((tmp_path / "run" / FINDINGS).read_text())
    assert [entry["check"] for entry in kept] == [finding.check for finding in listener.findings]
    assert all((entry["moment"], entry["step"]) == ("preflight", 0) for entry in kept)


def test_a_healthy_run_says_nothing_and_is_bit_for_bit_the_run_without(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = toy.with_changes({"training": {"epochs": 1}})
    listener = Noting()
    fit(toy, tmp_path / "with", listener=listener)
    assert listener.findings == []
    assert not (tmp_path / "with" / FINDINGS).exists()
    monkeypatch.setattr(start, "measure_quickly", lambda *given: None)
    monkeypatch.setattr(start, "check_before", lambda record: [])
    fit(toy, tmp_path / "without")
    assert equal(tmp_path / "with", tmp_path / "without")


def test_pretraining_is_bit_for_bit_the_run_without(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Noting()
    fit(restoring, tmp_path / "with", listener=listener)
    # The watch says, rightly, that so short a run never leaves the plateau.
    assert {finding.check for finding in listener.findings} == {"few_updates", "plateau"}
    found = [entry["check"] for entry in read_findings(tmp_path / "with") if entry["moment"] == "preflight"]
    assert found == ["few_updates"]
    monkeypatch.setattr(start, "measure_quickly", lambda *given: None)
    monkeypatch.setattr(start, "check_before", lambda record: [])
    fit(restoring, tmp_path / "without")
    assert equal(tmp_path / "with", tmp_path / "without")


def test_a_run_that_goes_on_is_not_looked_at_again(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(Noting):
        def stepped(self, record: Any, fraction: float, figures: Any) -> None:
            raise KeyboardInterrupt

    sick = toy.with_changes({**SICK, "training": {"steps": 2}})
    with pytest.raises(KeyboardInterrupt):
        fit(sick, tmp_path / "run", listener=Stop())
    kept = read_findings(tmp_path / "run")
    listener = Noting()
    fit(sick, tmp_path / "run", resume=True, listener=listener)
    assert listener.findings == []
    assert read_findings(tmp_path / "run") == kept != []


def test_all_measures_of_a_healthy_recipe(toy: Recipe) -> None:
    toy = toy.with_changes({"training": {"epochs": 15}})
    state = torch.get_rng_state()
    found = preflight(toy, seconds=30)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.overfit_trial is not None
    assert found.overfit_trial.ended == "learnt"
    assert found.range_test is not None
    assert found.cost is not None
    assert found.cost.steps == 15 * 9
    assert found.cost.weights == 4 * found.cost.parameters
    assert found.rows is not None
    assert found.rows.train_rows == 70
    assert found.start.uniform == pytest.approx(0.693, abs=1e-3)
    assert check_before(found) == []
    json.dumps(found.to_json())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"optimiser": {"lr": 1e-9}, "training": {"epochs": 1}}, "learning_rate_too_small"),
        ({"optimiser": {"lr": 1.0}}, "cannot_overfit_batch"),
    ],
)
def test_faults_of_recipes_are_found(toy: Recipe, changes: dict[str, Any], name: str) -> None:
    assert name in {
        finding.check for finding in check_before(preflight(toy.with_changes(changes), seconds=20))
    }


def test_copies_side_by_side_are_not_called_alike(
    toy: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight_module, "START_TOKENS", 2)
    # In batches sorted by length a text's two copies are neighbours.
    rows = [f"{'very ' * length}{'good,yes' if length % 2 else 'bad,no'}" for length in range(12)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *rows, *rows]))
    for sequences in (8, 24):
        found = preflight(toy.with_changes({"batch": {"sequences": sequences}}), seconds=0.0)
        assert found.start.rows == 2
        assert found.start.cls_spread["layer 1"] > 1e-5
        assert "inputs_alike" not in [finding.check for finding in check_before(found)]


def test_a_file_sorted_by_label_is_grave_in_its_order_alone(toy: Recipe) -> None:
    path = Path(toy.task.train)
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *sorted(rows, key=lambda row: row.split(",")[-1])]) + "\n")
    in_order = toy.with_changes({"batch": {"shuffle": False, "by_length": False}})
    found = {finding.check: finding.weight for finding in check_before(preflight(in_order, seconds=5))}
    assert found["batches_of_one_label"] == "grave"
    assert found["file_order"] == "grave"
    assert not {"batches_of_one_label", "file_order"} & {
        f.check for f in check_before(preflight(toy, seconds=5))
    }


def test_a_vocabulary_of_another_language_is_found(toy: Recipe, tmp_path: Path) -> None:
    from bertkit.text.tokenizer import SPECIALS

    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIALS, "日", "本", "good", "the"]) + "\n")
    other = toy.with_changes(
        {"vocabulary": {"file": str(tmp_path / "vocab.txt"), "size": 4_000, "min_frequency": 0}}
    )
    (finding,) = [
        each for each in check_before(preflight(other, seconds=0.1)) if each.check == "unknown_tokens"
    ]
    assert finding.weight == "grave"


def test_options_of_the_vocabulary_reach_it(toy: Recipe) -> None:
    options = {"lowercase": False, "split_cjk": False, "alphabet": 14}
    learned = prepare(toy.with_changes({"vocabulary": options})).tokenizer
    assert (learned.lowercase, learned.strip_accents, learned.split_cjk) == (False, False, False)
    assert 5 < learned.size < prepare(toy).tokenizer.size


def test_the_texts_to_learn_by_heart_are_few_different_and_of_both_labels(toy: Recipe) -> None:
    prepared = prepare(toy)
    rows = trial_rows(prepared)
    assert 4 <= len(rows) <= TRIAL_ROWS
    assert prepared.train_sequences.lengths[rows].sum() <= TRIAL_TOKENS
    assert len({prepared.train.texts[row] for row in rows}) == len(rows)
    assert set(prepared.train_targets.only(rows).values) == {0, 1}
    assert trial_rows(prepared).tolist() == rows.tolist()


def test_a_trial_warms_up_like_the_recipe_and_does_not_decay(toy: Recipe) -> None:
    rate = trial_rates(toy.optimiser, 100)
    assert rate(0) == pytest.approx(toy.optimiser.lr / 11)
    assert rate(10) == rate(99) == toy.optimiser.lr


def test_all_measures_of_pretraining(restoring: PretrainRecipe) -> None:
    found = preflight(restoring.with_changes({"training": {"steps": 500}}), seconds=20)
    assert found.corpus is not None
    assert found.corpus.epochs > 1
    assert found.start.loss == pytest.approx(found.start.uniform, abs=1.0)
    assert found.overfit_trial is not None
    assert found.overfit_trial.ended == "learnt"
    assert found.range_test is not None
    assert found.cost is not None
    assert found.cost.steps == 500
    assert [each.check for each in check_before(found)] == ["text_repeated"]
    budget = preflight(restoring.with_changes({"training": {"steps": 0, "budget": 1.0}}), seconds=1)
    assert budget.cost is not None
    assert budget.cost.seconds == pytest.approx(60, rel=0.2)


def test_a_pretraining_whose_signal_stops_is_found_whatever_the_time(restoring: PretrainRecipe) -> None:
    """Eight fresh post-norm layers, at a rate far too high."""
    deep = {**restoring.model.options, "layers": 8}
    hot = restoring.with_changes({"model": {"options": deep}, "optimiser": {"lr": 0.3, "warmup": 0.0}})
    found = preflight(hot, seconds=0.0)
    assert found.overfit_trial is not None
    assert (found.overfit_trial.ended, len(found.overfit_trial.losses)) == ("stopped", 21)
    (finding,) = [each for each in check_before(found) if each.check == "cannot_overfit_batch"]
    assert finding.weight == "grave"
    assert "frequencies of their masked tokens" in finding.seen


def test_api_tells_measures_and_findings(
    toy: Recipe, make_shards: Callable[..., Path], tmp_path: Path
) -> None:
    told = api.doctor(recipe=toy.with_changes(SICK), seconds=0.5)
    assert set(told) == {"measures", "findings", "again"}
    assert told["findings"][0]["weight"] == "grave"
    shards = make_shards(tmp_path / "some")
    options = {"layers": 1, "hidden_size": 12, "heads": 3, "feedforward_size": 20}
    of_shards = api.doctor(
        shards,
        model="tiny",
        changes={"batch": {"tokens": 150, "length": 24}, "model": {"options": options}},
        seconds=0.5,
    )
    assert of_shards["measures"]["corpus"]["documents"] > 0


def test_findings_of_both_moments_stand_in_one_file(tmp_path: Path) -> None:
    finding = Finding("a", "notable", "likely", "Seen.", "Means.")
    append_findings(tmp_path, "preflight", 0, [finding])
    append_findings(tmp_path, "watch", 9, [finding])
    assert [entry["moment"] for entry in read_findings(tmp_path)] == ["preflight", "watch"]
