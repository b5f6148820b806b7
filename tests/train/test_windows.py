"""Long texts in windows, in training, prediction and evaluation."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trained import fit

from bertkit import api, load
from bertkit.cli import main
from bertkit.errors import UserError
from bertkit.model.heads import Classifier
from bertkit.recipe import Recipe, TaskRecipe
from bertkit.train import labelled
from bertkit.train.listener import Listener
from bertkit.train.prepare import prepare
from bertkit.train.processes import ALONE
from bertkit.train.start import source_of

FILLER = ["film", "book", "song", "was", "is", "very", "long", "short", "new", "old"]


def write_long_rows(path: Path, count: int, seed: int) -> Path:
    """Texts of 30 to 60 words of which the last few tell the label."""
    chance = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for _ in range(count):
            words = chance.choices(FILLER, k=chance.randint(30, 60))
            label = chance.choice(["yes", "no"])
            rows.writerow([" ".join([*words, *["good" if label == "yes" else "bad"] * 4]), label])
    return path


@pytest.fixture
def long_texts(toy: Recipe, tmp_path: Path) -> Recipe:
    files = {
        "train": str(write_long_rows(tmp_path / "long-train.csv", 48, 1)),
        "dev": str(write_long_rows(tmp_path / "long-dev.csv", 24, 2)),
    }
    changes: dict[str, Any] = {
        "task": files,
        "head": {"pooling": "max"},
        "optimiser": {"lr": 0.02},
        "batch": {"max_length": 16, "window": 16, "stride": 12, "sequences": 4},
        "training": {"epochs": 6},
    }
    return toy.with_changes(changes)


def test_the_end_of_a_long_text_is_learnt_in_windows_and_not_when_cut(
    long_texts: Recipe, tmp_path: Path
) -> None:
    truncating = long_texts.with_changes({"batch": {"window": 0, "stride": 0}})
    result = fit(long_texts, tmp_path / "windows")
    cut = fit(truncating, tmp_path / "cut")
    assert result["score"] > 0.9
    assert cut["score"] < 0.5
    assert (result["truncated"], result["train_truncated"]) == (0, 0)
    assert (cut["truncated"], cut["train_truncated"]) == (24, 48)


def test_the_model_reads_in_windows_unless_told_otherwise(
    long_texts: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    trained = fit(long_texts, run)
    card = json.loads((run / "model" / "bertkit.json").read_text())
    assert (card["max_length"], card["window"], card["stride"]) == (16, 16, 12)
    task = TaskRecipe(dev=long_texts.task.dev, metric="mcc")
    as_trained = api.evaluate(run, task, precision="fp32")
    assert as_trained["score"] == pytest.approx(trained["score"])
    assert as_trained["truncated"] == 0
    cut = api.evaluate(run, task, precision="fp32", window=0)
    assert cut["truncated"] == 24
    assert cut["score"] < as_trained["score"]
    text = " ".join([*FILLER * 4, "good", "good", "good"])
    windows, beginning = (load(run, window=window).predict([text])[0] for window in (None, 0))
    assert windows["probabilities"] != beginning["probabilities"]
    for options, truncated in (([], 0), (["--window", "0"], 1), (["--window", "12", "--stride", "9"], 0)):
        assert main(["predict", str(run), "--say", text, *options]) == 0
        assert ("1 texts were cut to 16 tokens" in capsys.readouterr().err) == bool(truncated)


def test_a_frozen_encoder_gives_one_vector_a_text(long_texts: Recipe, tmp_path: Path) -> None:
    frozen = long_texts.with_changes({"model": {"freeze": True}, "training": {"epochs": 2}})
    result = fit(frozen, tmp_path / "run")
    task = TaskRecipe(dev=long_texts.task.dev, metric="mcc")
    scored = api.evaluate(tmp_path / "run", task, precision="fp32")
    assert scored["score"] == pytest.approx(result["score"])
    assert scored["confusion"] == result["confusion"]


def test_a_step_in_parts_has_the_loss_and_gradients_of_the_whole(
    long_texts: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = long_texts.with_changes({"model": {"options": {"hidden_dropout": 0.0}}, "head": {"dropout": 0.0}})
    source = source_of(still, ALONE, Listener())
    found = []
    for tokens in (100_000, 150):
        monkeypatch.setattr(labelled, "TOKENS_OF_WINDOWS", tokens)
        objective = source.objective(0)
        model = objective.model
        batches = objective.batches(1)
        loss = sum(objective.loss(model, batch) for batch in batches)
        assert isinstance(loss, torch.Tensor)
        loss.backward()
        weight = model.encoder.embeddings.tokens.weight.grad
        assert weight is not None
        found.append((len(batches), loss.item(), weight.clone(), sum(batch.tokens for batch in batches)))
    (one, whole, gradient, tokens), (parts, again, added, of_parts) = found
    assert (one, tokens) == (1, of_parts)
    assert parts > 2
    assert whole == pytest.approx(again)
    torch.testing.assert_close(gradient, added)


def test_windows_resume_exactly_and_have_a_fingerprint_of_their_own(long_texts: Recipe) -> None:
    prints = {
        prepare(long_texts.with_changes({"batch": changes})).fingerprint
        for changes in ({}, {"stride": 11}, {"window": 0, "stride": 0})
    }
    assert len(prints) == 3


def test_a_long_document_takes_no_more_at_once_than_a_batch(long_texts: Recipe, tmp_path: Path) -> None:
    fit(long_texts.with_changes({"training": {"epochs": 1}}), tmp_path / "run")
    model = load(tmp_path / "run")
    most = 0
    pool = Classifier.pool

    def watched(self: Classifier, batch: Any) -> torch.Tensor:
        nonlocal most
        most = max(most, len(batch.ids_T))
        return pool(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, "pool", watched)
        (answer,) = model.predict([" ".join(random.Random(0).choices(FILLER, k=10_000))])
    assert 1000 < most <= 4096
    assert np.isclose(sum(answer["probabilities"].values()), 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"window": 64}, "window 64 is beyond the 32 positions of the model; set --window 32 or less"),
        ({"window": 7, "stride": 0}, "a window holds 8 tokens or more"),
        ({"window": 16, "stride": 14}, "leave gaps"),
        ({"window": 16, "pad_to": 16, "stride": 0}, "windows are not padded"),
    ],
)
def test_windows_that_cannot_be(
    long_texts: Recipe, tmp_path: Path, changes: dict[str, int], sentence: str
) -> None:
    options = {**long_texts.model.options, "max_positions": 32}
    both: dict[str, Any] = {"batch": changes, "model": {"options": options}}
    with pytest.raises(UserError, match=sentence):
        fit(long_texts.with_changes(both), tmp_path / "run")
    assert not (tmp_path / "run").exists()
