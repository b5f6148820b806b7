"""Each check before a run finds the fault that is planted in a healthy record, and is silent without."""

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest

from bertkit.health.audit import Audit, PartMeasures, Rows, Shown
from bertkit.health.checks import CHECKS, check_before, check_rows
from bertkit.health.preflight import (
    Asked,
    ClassMeasures,
    CorpusMeasures,
    Cost,
    Inspection,
    NumberMeasures,
    OverfitTrial,
    Preflight,
    RangeTest,
    Reads,
    RowMeasures,
    StartMeasures,
    TokenMeasures,
)
from bertkit.recipe import PretrainRecipe, Recipe
from bertkit.runs.findings import Finding
from bertkit.tasks.telling import Telling
from bertkit.text.odd import ODDITIES

LAYERS = {"layer 1": 0.9, "layer 2": 1.1}

ASKED = Asked(
    phase="finetune",
    model="mini",
    fresh=True,
    optimiser="adamw",
    lr=5e-4,
    warmup=0.1,
    clip=1.0,
    steps=1_000,
    reach=0.25,
    norm="post",
    positions="sinusoidal",
    embedding_norm=False,
    position_scale=1.0,
    initialiser_range=0.08,
    layers=8,
    hidden_size=128,
    max_length=128,
    max_positions=128,
    at_once=32,
    metric="mcc",
)
START = StartMeasures(
    rows=32,
    tokens=400,
    loss=0.75,
    uniform=0.693,
    gradient_norms={"embeddings": 0.5, **LAYERS, "head": 2.0},
    cls_spread={"layer 1": 0.1, "layer 2": 0.2},
    token_size=0.03,
    position_size=0.05,
    segment_size=0.03,
)
TOKENS = TokenMeasures(
    tokens=80_000,
    padding=0.9,
    visible_pads=0.0,
    truncated=0.01,
    unknown=0.001,
    unknown_words=["ł"],
    tokens_a_word=1.2,
    vocabulary_size=4_000,
    cased_tokens=0.0,
    capitals=0.04,
    lowercase=True,
)
ROWS = ClassMeasures(
    train_rows=8_000,
    dev_rows=500,
    counts={"no": 2_400, "yes": 5_600},
    dev_counts={"no": 160, "yes": 340},
    baseline_loss=0.611,
    majority_label="yes",
    majority_score=0.0,
    majority_accuracy=0.68,
    lines={},
    one_label=0.004,
    one_label_by_chance=0.001,
    batch_dispersion=1.1,
    file_dispersion=2.7,
    neighbours_alike=0.36,
    strangers_alike=0.08,
)
NUMBERS = NumberMeasures(
    **{name: getattr(ROWS, name) for name in (field.name for field in fields(RowMeasures))}
    | {"baseline_loss": 1.0},
    mean=2.6,
    deviation=1.5,
    least=0.0,
    greatest=5.0,
    dev_mean=2.5,
    mean_score=0.0,
    far_share=0.05,
)
TRAIN = PartMeasures(
    path="train.tsv",
    encoding="UTF-8",
    rows=8_000,
    left_out=0,
    left_out_told="",
    notes=[],
    labels={"no": 2_400, "yes": 5_600},
    characters={"50": 40, "90": 60, "99": 100, "100": 230},
    duplicates=Rows(20, [Shown(3, "a text"), Shown(4, "another")]),
    near_duplicates=Rows(400),
    contradictions=Rows(20, [Shown(3, "a text", "train, line 2", "a text")]),
    near_contradictions=Rows(200),
    odd={"control": Rows(3), "html": Rows(40)},
    scripts={"Latin": 7_900, "Greek": 90, "": 10},
)
DEV = replace(
    TRAIN,
    path="dev.tsv",
    rows=500,
    labels={"no": 160, "yes": 340},
    odd={},
    leaks=Rows(6, [Shown(7, "a text")]),
    near_leaks=Rows(40),
)
WORD = Telling("yes", "can", 0, 900, precision=0.99, recall=0.16, score=20.0)
AUDIT = Audit(parts={"train": TRAIN, "dev": DEV}, telling=[WORD])
OVERFIT_BY = OverfitTrial(
    rows=16,
    tokens=150,
    baseline_loss=0.69,
    rate=5e-4,
    limit=100,
    losses=[0.9, 0.5, 0.2, 0.09],
    ended="learnt",
    gradient_norms=LAYERS,
    cls_spread={"layer 1": 0.2, "layer 2": 0.4},
)
RANGE = RangeTest(
    rates=[1e-6, 1e-5, 1e-4, 1e-3, 1e-2],
    losses=[0.9, 0.8, 0.3, 0.1, 2.0],
    smoothed=[0.9, 0.85, 0.5, 0.2, 1.2],
    falls_at=1e-5,
    reach=1e-5,
    cliff=5e-3,
    ended="cliff",
)
COST = Cost(
    parameters=3_000_000,
    weights=12_000_000,
    gradients=12_000_000,
    moments=24_000_000,
    activations=50_000_000,
    base=300_000_000,
    available=8_000_000_000,
    seconds_a_step=0.2,
    steps=1_000,
    seconds=200.0,
)
CORPUS = CorpusMeasures(
    documents=1_000,
    train_tokens=20_000_000,
    heldout_tokens=100_000,
    tokens_a_step=2_048,
    epochs=0.6,
    unigram=6.9,
)
FINETUNE = Preflight(
    asked=ASKED,
    start=START,
    tokens=TOKENS,
    rows=ROWS,
    audit=AUDIT,
    overfit_trial=OVERFIT_BY,
    range_test=RANGE,
    cost=COST,
)
PRETRAIN = Preflight(
    asked=replace(ASKED, phase="pretrain", steps=5_000, metric=""),
    start=replace(START, loss=9.2, uniform=9.0),
    tokens=TOKENS,
    corpus=CORPUS,
    range_test=replace(RANGE, losses=[9.0] * 5),
    cost=COST,
)
SCORED = replace(FINETUNE, rows=NUMBERS, asked=replace(ASKED, metric="pearson"))
TRAINED = replace(FINETUNE, asked=replace(ASKED, fresh=False, model="RUN", lr=5e-5))

DEAD = {
    "gradient_norms": {"layer 1": 1e-8, "layer 2": 1e-2},
    "cls_spread": {"layer 1": 1e-2, "layer 2": 1e-6},
    "stops_at": "layer 2",
}


def changed(record: Preflight, **parts: Any) -> Preflight:
    """The record with some fields of some of its parts replaced."""
    return replace(record, **{name: replace(getattr(record, name), **part) for name, part in parts.items()})


def of_rows(*, train: dict[str, Any] | None = None, dev: dict[str, Any] | None = None) -> Preflight:
    """The record of a fine-tuning with other rows."""
    parts = {"train": replace(TRAIN, **train or {}), "dev": replace(DEV, **dev or {})}
    return replace(FINETUNE, audit=replace(AUDIT, parts=parts))


STUCK: dict[str, Any] = {"losses": [0.9] + [0.7] * 99, "ended": "steps"}

# (check, weight, what is planted): the first of a check is the one whose changes must be keys of the recipe.
FAULTS: list[tuple[str, str, Preflight]] = [
    (
        "rare_label",
        "notable",
        of_rows(train={"labels": {"no": 9, "yes": 7_991}}, dev={"labels": {"no": 1, "yes": 499}}),
    ),
    (
        "unseen_label",
        "notable",
        of_rows(
            train={"labels": {"no": 2_400, "yes": 5_600, "maybe": 0}},
            dev={"labels": {"no": 160, "yes": 338, "maybe": 2}},
        ),
    ),
    (
        "imbalance",
        "notable",
        changed(
            FINETUNE,
            asked={"metric": "accuracy"},
            rows={
                "counts": {"no": 1_600, "yes": 6_400},
                "dev_counts": {"no": 100, "yes": 400},
                "majority_score": 0.8,
            },
        ),
    ),
    (
        "imbalance",
        "notable",
        changed(
            FINETUNE,
            asked={"metric": "f1"},
            rows={
                "counts": {"no": 80, "yes": 7_920},
                "dev_counts": {"no": 5, "yes": 495},
                "majority_score": 0.995,
                "positive": "yes",
            },
        ),
    ),
    ("labels_differ", "notable", of_rows(dev={"labels": {"no": 300, "yes": 200}})),
    (
        "label_in_text",
        "notable",
        replace(FINETUNE, audit=replace(AUDIT, telling=[WORD, replace(WORD, label="no", recall=0.9)])),
    ),
    ("batches_of_one_label", "grave", changed(FINETUNE, rows={"one_label": 0.98})),
    ("batches_of_one_label", "grave", changed(FINETUNE, rows={"one_label": 0.5})),
    ("numbers_differ", "notable", changed(SCORED, rows={"dev_mean": 2.0})),
    ("outliers", "notable", changed(SCORED, rows={"far_share": 0.7, "greatest": 9_999.0})),
    ("file_order", "notable", changed(FINETUNE, asked={"shuffle": False})),
    ("file_order", "grave", changed(SCORED, asked={"shuffle": False}, rows={"file_dispersion": 31.0})),
    ("file_order", "grave", changed(FINETUNE, asked={"shuffle": False}, rows={"file_dispersion": 31.0})),
    ("leaks", "notable", of_rows(dev={"leaks": Rows(20)})),
    ("leaks", "grave", of_rows(dev={"leaks": Rows(400)})),
    ("near_leaks", "notable", of_rows(dev={"near_leaks": Rows(60)})),
    ("near_leaks", "grave", of_rows(dev={"near_leaks": Rows(300)})),
    ("contradictions", "notable", of_rows(train={"contradictions": Rows(100)})),
    ("contradictions", "grave", of_rows(train={"contradictions": Rows(2_000)})),
    ("near_contradictions", "notable", of_rows(train={"near_contradictions": Rows(80)})),
    ("duplicates", "notable", of_rows(train={"duplicates": Rows(900)})),
    ("near_duplicates", "notable", of_rows(train={"near_duplicates": Rows(900)})),
    *(
        (f"text_{oddity.name}", "notable", of_rows(dev={"odd": {oddity.name: Rows(6)}}))
        for oddity in ODDITIES
    ),
    ("other_scripts", "notable", of_rows(train={"scripts": {"Latin": 7_000, "Greek": 900, "Han": 100}})),
    (
        "pads_visible",
        "grave",
        changed(FINETUNE, tokens={"visible_pads": 0.9}, start={"attention_to_pads": 0.88}),
    ),
    ("truncated", "notable", changed(FINETUNE, tokens={"truncated": 0.5})),
    ("truncated", "notable", changed(TRAINED, tokens={"truncated": 0.5})),
    ("unknown_tokens", "notable", changed(FINETUNE, tokens={"unknown": 0.02})),
    ("unknown_tokens", "grave", changed(TRAINED, tokens={"unknown": 0.6})),
    ("unknown_tokens", "grave", changed(PRETRAIN, tokens={"unknown": 0.6, "unknown_words": []})),
    ("chopped_words", "notable", changed(FINETUNE, tokens={"tokens_a_word": 3.1})),
    ("vocabulary_case", "grave", changed(FINETUNE, tokens={"cased_tokens": 0.3})),
    ("vocabulary_case", "grave", changed(FINETUNE, tokens={"lowercase": False})),
    ("vocabulary_case", "grave", changed(TRAINED, tokens={"lowercase": False})),
    ("text_repeated", "notable", changed(PRETRAIN, corpus={"epochs": 200.0})),
    ("few_rows", "notable", changed(FINETUNE, asked={"own_rows": True})),
    ("few_updates", "notable", changed(TRAINED, asked={"own_rows": True, "steps": 99})),
    ("few_updates", "notable", changed(PRETRAIN, asked={"steps": 120})),
    ("few_updates", "notable", changed(PRETRAIN, asked={"steps": 60, "budget_minutes": 2.0})),
    ("embedding_scale", "grave", changed(FINETUNE, start={"position_size": 0.7})),
    (
        "embedding_scale",
        "notable",
        changed(FINETUNE, start={"position_size": 0.7}, asked={"embedding_norm": True}),
    ),
    ("embedding_scale", "grave", changed(TRAINED, start={"position_size": 0.7})),
    ("loss_at_start", "notable", changed(FINETUNE, start={"loss": 3.1})),
    ("loss_at_start", "notable", changed(TRAINED, start={"loss": 3.1})),
    ("loss_at_start", "grave", changed(TRAINED, start={"loss": math.nan})),
    (
        "loss_at_start",
        "grave",
        changed(TRAINED, start={"gradient_norms": {"layer 1": math.nan, "layer 2": math.inf}}),
    ),
    (
        "gradient_by_layer",
        "grave",
        changed(FINETUNE, start={"gradient_norms": {"layer 1": 1e-6, "layer 2": 1.0}}),
    ),
    (
        "gradient_by_layer",
        "grave",
        changed(FINETUNE, start={"gradient_norms": {"layer 1": 0.0, "layer 2": 0.0}}),
    ),
    (
        "gradient_by_layer",
        "grave",
        changed(TRAINED, start={"gradient_norms": {"layer 1": 5e4, "layer 2": 1.0}}),
    ),
    ("inputs_alike", "grave", changed(FINETUNE, start={"cls_spread": {"layer 1": 1e-2, "layer 2": 1e-6}})),
    ("frozen_fresh", "grave", changed(FINETUNE, asked={"frozen": True})),
    ("learning_rate_too_high", "grave", changed(FINETUNE, asked={"lr": 1e-3, "warmup": 0.0})),
    ("learning_rate_too_high", "notable", changed(FINETUNE, asked={"warmup": 0.0})),
    ("learning_rate_too_high", "notable", changed(PRETRAIN, asked={"lr": 1e-3})),
    ("cannot_overfit_batch", "grave", changed(FINETUNE, overfit_trial=STUCK)),
    ("cannot_overfit_batch", "grave", changed(FINETUNE, overfit_trial={**STUCK, **DEAD})),
    (
        "cannot_overfit_batch",
        "grave",
        changed(FINETUNE, overfit_trial={**STUCK, "calmer": replace(OVERFIT_BY, rate=5e-5)}),
    ),
    (
        "cannot_overfit_batch",
        "grave",
        changed(FINETUNE, overfit_trial={"losses": [0.9] * 8, "ended": "time", **DEAD}),
    ),
    (
        "cannot_overfit_batch",
        "grave",
        changed(FINETUNE, overfit_trial={"losses": [0.9] * 21, "ended": "stopped", **DEAD}),
    ),
    (
        "cannot_overfit_batch",
        "grave",
        changed(FINETUNE, overfit_trial={"losses": [0.9] * 3, "ended": "diverged"}),
    ),
    ("learning_rate_over_cliff", "grave", changed(FINETUNE, asked={"lr": 1e-2, "reach": 5.0, "norm": "pre"})),
    (
        "learning_rate_over_cliff",
        "notable",
        changed(FINETUNE, asked={"lr": 2e-3, "reach": 1.0, "norm": "pre"}),
    ),
    ("learning_rate_too_small", "grave", changed(FINETUNE, asked={"lr": 1e-9, "reach": 5e-7})),
    ("memory", "grave", changed(FINETUNE, cost={"activations": 9_000_000_000})),
    ("memory", "grave", changed(PRETRAIN, cost={"activations": 9_000_000_000})),
]


@pytest.mark.parametrize(
    "record", [FINETUNE, PRETRAIN, TRAINED, SCORED], ids=["finetune", "pretrain", "trained", "scored"]
)
def test_nothing_is_found_in_a_healthy_record(record: Preflight) -> None:
    assert check_before(record) == []
    quick = replace(record, overfit_trial=None, range_test=None, cost=None)
    assert check_before(quick) == []


@pytest.mark.parametrize(("name", "weight", "record"), FAULTS, ids=lambda value: str(value)[:30])
def test_a_planted_fault_is_found_and_nothing_else(name: str, weight: str, record: Preflight) -> None:
    found = check_before(record)
    assert [(each.check, each.weight) for each in found] == [(name, weight)]
    (finding,) = found
    assert finding.seen.endswith(".")
    assert finding.means.endswith(".")
    assert finding.read
    json.dumps(finding.to_json())


def test_every_check_has_a_planted_fault() -> None:
    # Of a run that begins these are told anyway.
    assert {row.name for row in CHECKS if row.before} - {"left_out", "read_otherwise"} == {
        name for name, _, _ in FAULTS
    }


def test_checks_of_rows_need_no_run() -> None:
    alone = [(name, w, record) for name, w, record in FAULTS if record.audit not in (AUDIT, None)]
    for name, weight, record in alone:
        assert [(each.check, each.weight) for each in check_rows(Inspection(audit=record.audit))] == [
            (name, weight)
        ]
    assert check_rows(Inspection(audit=AUDIT)) == []
    (cut,) = check_rows(
        Inspection(audit=AUDIT, asked=Reads(max_length=128), tokens=replace(TOKENS, truncated=0.5))
    )
    assert (cut.check, cut.changes[0].typed) == ("truncated", "--set batch.max_length=256")


@pytest.mark.parametrize(
    ("name", "part", "seen"),
    [
        ("left_out", {"left_out": 2, "left_out_told": "2 rows are left out: no text."}, "2 rows are left"),
        (
            "read_otherwise",
            {"notes": ["tags are read as BIO", "one more"]},
            "Tags are read as BIO; one more.",
        ),
    ],
)
def test_how_rows_are_read_is_told_where_no_run_tells_it(name: str, part: dict[str, Any], seen: str) -> None:
    record = of_rows(train=part)
    assert check_before(record) == []
    assert record.audit is not None
    (found,) = check_rows(Inspection(audit=record.audit))
    assert found.check == name
    assert found.seen.startswith(seen)


def test_lines_of_the_first_rows_are_told() -> None:
    shown = [Shown(line, "text") for line in (3, 9)]
    (found,) = check_before(of_rows(dev={"leaks": Rows(50, shown)}))
    assert "50 of 500 rows of dev (10.0%) stand in train too (lines 3, 9 ...)." in found.seen


@pytest.mark.parametrize(("name", "weight", "record"), FAULTS, ids=lambda value: str(value)[:30])
def test_changes_are_keys_that_the_recipe_takes(name: str, weight: str, record: Preflight) -> None:
    recipe: Recipe | PretrainRecipe = PretrainRecipe() if record.asked.phase == "pretrain" else Recipe()
    for change in check_before(record)[0].changes:
        assert change.key or change.words
        if not change.key:
            continue
        section, key = change.key.split(".", 1)
        if key.startswith("options."):
            assert record.asked.fresh, "a trained model's options cannot be changed"
            recipe.with_changes({section: {"options": {key.removeprefix("options."): change.value}}})
        else:
            recipe.with_changes({section: {key: change.value}})


def test_a_change_changes_something() -> None:
    """No check proposes what the recipe says already."""
    shallow = [(name, w, changed(record, asked={"layers": 1})) for name, w, record in FAULTS]
    for name, _, record in [*FAULTS, *shallow]:
        for change in (change for finding in check_before(record) for change in finding.changes):
            if change.key == "model.options.layers":
                assert change.value < record.asked.layers, name
            if change.key == "optimiser.lr":
                assert change.value != record.asked.lr, name
            if change.key == "batch.max_length":
                assert change.value > record.asked.max_length, name


def test_a_vocabulary_of_the_run_itself_is_not_to_be_learned_again() -> None:
    for learns, key in ((True, "vocabulary.alphabet_coverage"), (False, "vocabulary.file")):
        asked = {"learns_vocabulary": learns}
        (finding,) = check_before(changed(FINETUNE, asked=asked, tokens={"unknown": 0.02}))
        assert [change.key for change in finding.changes] == [key]


def test_the_scale_of_positions_that_is_proposed_is_of_the_present_one() -> None:
    record = changed(FINETUNE, start={"position_size": 0.6}, asked={"position_scale": 0.5})
    (finding,) = check_before(record)
    # Tokens are of 0.03, a twentieth of it.
    assert [change.value for change in finding.changes] == ["rotary", 0.025]


@pytest.mark.parametrize(
    "asked",
    [
        {"lr": 3e-4, "warmup": 0.0},  # A rung of the study why-stuck that learns.
        {"lr": 6e-4, "warmup": 0.06, "layers": 12},  # RoBERTa base.
        {"lr": 1e-4, "warmup": 0.01, "layers": 24},  # BERT large.
        {"lr": 1.5e-3, "warmup": 0.0, "norm": "pre"},
        {"lr": 1e-3, "warmup": 0.0, "layers": 4},
        {"lr": 2e-3, "warmup": 0.0, "optimiser": "lamb"},
    ],
)
def test_rates_that_are_known_to_work_are_no_fault(asked: dict[str, Any]) -> None:
    quick = changed(replace(FINETUNE, overfit_trial=None, range_test=None), asked={"reach": 1.0, **asked})
    assert check_before(quick) == []


def test_a_rate_too_high_is_lowered_together_with_a_warm_up() -> None:
    """The article's: neither warm-up alone nor norms before the parts alone were found to help."""
    (finding,) = check_before(changed(FINETUNE, asked={"lr": 1e-3, "warmup": 0.0}))
    assert [(change.key, change.value, change.together) for change in finding.changes] == [
        ("optimiser.lr", 3e-4, True),
        ("optimiser.warmup", 0.1, True),
    ]
    (wide,) = check_before(changed(FINETUNE, asked={"lr": 1e-3, "warmup": 0.0, "hidden_size": 512}))
    assert wide.changes[0].value == 1e-4


def test_freezing_trained_weights_is_no_fault() -> None:
    assert check_before(changed(TRAINED, asked={"frozen": True})) == []


def test_where_the_signal_stops_is_said() -> None:
    for ended in ("steps", "stopped"):
        (finding,) = check_before(changed(FINETUNE, overfit_trial={**STUCK, **DEAD, "ended": ended}))
        assert finding.sureness == "certain"
        assert "The signal stops at layer 2" in finding.seen


def test_time_that_was_short_is_no_finding() -> None:
    assert check_before(changed(FINETUNE, overfit_trial={"losses": [0.9] * 8, "ended": "time"})) == []
    assert (
        check_before(changed(FINETUNE, overfit_trial={"losses": [0.9] * 30 + [0.3], "ended": "time"})) == []
    )
    falling = [0.9 - 0.01 * step for step in range(24)]
    assert check_before(changed(FINETUNE, overfit_trial={"losses": falling, "ended": "time"})) == []


def test_a_trial_that_time_ended_is_grave_only_where_the_signal_stopped() -> None:
    flat = {"losses": [0.9] * 24, "ended": "time"}
    weights = [
        check_before(changed(FINETUNE, overfit_trial=trial))[0].weight for trial in (flat, {**flat, **DEAD})
    ]
    assert weights == ["notable", "grave"]


def test_a_budget_is_doubted_before_its_updates_are_called_few() -> None:
    assert check_before(changed(PRETRAIN, asked={"steps": 200, "budget_minutes": 60.0})) == []


def test_a_record_is_plain() -> None:
    table = FINETUNE.to_json()
    assert json.loads(json.dumps(table)) == table
    assert set(table) == {field.name for field in fields(Preflight)}


def test_a_file_in_order_is_said_to_teach_one_thing_after_the_other() -> None:
    sorted_by_label = {"one_label": 0.98, "batch_dispersion": 31.0, "file_dispersion": 31.0}
    found = check_before(changed(FINETUNE, asked={"shuffle": False}, rows=sorted_by_label))
    assert [(each.check, each.weight) for each in found] == [
        ("batches_of_one_label", "grave"),
        ("file_order", "grave"),
    ]
    assert all(str(each.changes[0]) == "--set batch.shuffle=true" for each in found)


def test_batches_of_one_row_are_not_sorted_for_sure() -> None:
    one = {"shuffle": False, "at_once": 1}
    (found,) = check_before(changed(FINETUNE, asked=one, rows={"file_dispersion": 1.02}))
    assert (found.check, found.weight, found.sureness) == ("file_order", "notable", "likely")


def test_tokens_of_size_zero_have_no_ratio() -> None:
    found = check_before(changed(FINETUNE, start={"position_size": 0.7, "token_size": 0.0}))[0]
    assert found.check == "embedding_scale"
    assert found.seen.endswith("what is added for their positions of 0.700.")
    assert [str(change) for change in found.changes] == ["--set model.options.initialiser_range=0.02"]


def test_the_gravest_comes_first() -> None:
    record = changed(of_rows(dev={"leaks": Rows(20)}), start={"position_size": 0.7})
    found: list[Finding] = check_before(record)
    assert [each.check for each in found] == ["embedding_scale", "leaks"]


@pytest.mark.parametrize(("present", "proposed"), [(0.5, 0.02), (0.03, 0.01), (0.02, 0.007)])
def test_a_narrower_initialisation_than_the_present_one_is_proposed(present: float, proposed: float) -> None:
    record = changed(FINETUNE, start={"loss": 3.1}, asked={"initialiser_range": present})
    (finding,) = [finding for finding in check_before(record) if finding.check == "loss_at_start"]
    assert [(change.key, change.value) for change in finding.changes] == [
        ("model.options.initialiser_range", proposed)
    ]
