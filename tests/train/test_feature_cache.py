"""Training the head alone: the encoder stays as it was, and the features are the ones it really makes."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trained import fit, weights

from bertkit import api, load
from bertkit.checkpoint.folder import read_model_folder
from bertkit.data.packing import encode_texts
from bertkit.errors import UserError
from bertkit.model.bulk import pooled
from bertkit.model.heads import Classifier
from bertkit.recipe import PretrainRecipe, Recipe, TaskRecipe, VocabularyRecipe
from bertkit.train.listener import Listener
from bertkit.train.loop import StepRecord

LAST_TWO = {"pooling": "mean", "layers": [-2, -1], "combine": "concat"}


class Watching(Listener):
    """Notes how many rows were encoded, and interrupts in the steps asked for."""

    def __init__(self, *steps: int) -> None:
        self.steps = steps
        self.encodings: list[tuple[int, int]] = []

    def encoded(self, what: str, done: int, total: int) -> None:
        self.encodings.append((done, total))

    def stepped(self, record: StepRecord, fraction: float, figures: Any) -> None:
        if record.step in self.steps:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def frozen(toy: Recipe, tmp_path: Path) -> Recipe:
    """The toy task over a frozen encoder that an ordinary run trained a little, with another head."""
    fit(toy.with_changes({"training": {"epochs": 1}}), tmp_path / "start")
    start = {"start": str(tmp_path / "start"), "options": {}, "freeze": True}
    changes: dict[str, Any] = {"model": start, "head": LAST_TWO, "optimiser": {"lr": 0.05}}
    # A trained model has its own vocabulary.
    table = {**json.loads(json.dumps(changes)), "vocabulary": vars(VocabularyRecipe())}
    return toy.with_changes(table)


def test_a_run_renews_the_top_layers_that_its_recipe_says(frozen: Recipe, tmp_path: Path) -> None:
    model = {"freeze": False, "reinit_layers": 1}
    fit(
        frozen.with_changes({"model": model, "optimiser": {"lr": 0.0}, "training": {"epochs": 1}}),
        tmp_path / "run",
    )
    start, run = (read_model_folder(tmp_path / name / "model").encoder for name in ("start", "run"))
    torch.testing.assert_close(run.embeddings.state_dict(), start.embeddings.state_dict(), atol=0, rtol=0)
    torch.testing.assert_close(run.blocks[:-1].state_dict(), start.blocks[:-1].state_dict(), atol=0, rtol=0)
    before, after = (encoder.blocks[-1].state_dict() for encoder in (start, run))
    assert not any(torch.equal(before[name], after[name]) for name in before if name.endswith("qkv.weight"))


def test_the_head_learns_and_the_encoder_stays(frozen: Recipe, tmp_path: Path) -> None:
    watching = Watching()
    result = fit(frozen.with_changes({"training": {"epochs": 20}}), tmp_path / "run", listener=watching)
    assert result["score"] > 0.5
    assert result["feature_seconds"] > 0
    before, after = weights(tmp_path / "start"), weights(tmp_path / "run")
    assert {name for name in after if name.startswith("head.")} == {"head.output.weight", "head.output.bias"}
    assert after["head.output.weight"].shape == (2, 24)
    start, run = (read_model_folder(tmp_path / name / "model").encoder for name in ("start", "run"))
    torch.testing.assert_close(run.state_dict(), start.state_dict(), atol=0, rtol=0)
    assert before.keys() != after.keys()
    assert watching.encodings[-1] == (107, 107)


def test_predictions_and_scores_are_those_of_the_head_on_the_features(frozen: Recipe, tmp_path: Path) -> None:
    result = fit(frozen, tmp_path / "run")
    texts = ["a good film", "the bad old song was long", "very red"]
    folder = read_model_folder(tmp_path / "run" / "model")
    assert folder.head is not None
    states = folder.encoder.states(
        encode_texts(folder.tokenizer, texts, max_length=24).batch(range(3)), (-2, -1)
    )
    lengths = [len(ids) + 2 for ids in folder.tokenizer.encode_batch(texts)]
    vectors = torch.stack([row.mean(0) for row in torch.cat(states, 1).split(lengths)])
    expected = folder.head(vectors).softmax(1).detach().numpy()
    answers = load(tmp_path / "run", precision="fp32").predict(texts)
    found = [[answer["probabilities"][label] for label in ("no", "yes")] for answer in answers]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    task = TaskRecipe(dev=frozen.task.dev, metric="mcc")
    scored = api.evaluate(tmp_path / "run", task, precision="fp32")
    assert scored["score"] == pytest.approx(result["score"])
    assert scored["confusion"] == result["confusion"]


def test_features_have_no_dropout_and_are_what_the_head_sees(frozen: Recipe, tmp_path: Path) -> None:
    folder = read_model_folder(tmp_path / "start" / "model", options={"hidden_dropout": 0.5})
    assert folder.head is not None
    model = Classifier(folder.encoder, folder.head).train()
    sequences = encode_texts(folder.tokenizer, ["a good film", "bad"], max_length=24)
    first, second = pooled(model, sequences), pooled(model, sequences, tokens=1)
    np.testing.assert_allclose(first, second, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(model.eval().pool(sequences.batch(range(2))), first, atol=1e-6)


@pytest.mark.parametrize("steps", [(1,), (4, 9, 10)], ids=str)
def test_resuming_is_exact(frozen: Recipe, tmp_path: Path, steps: tuple[int, ...]) -> None:
    whole = fit(frozen, tmp_path / "whole")
    for count, step in enumerate(steps):
        with pytest.raises(KeyboardInterrupt):
            fit(frozen, tmp_path / "cut", resume=count > 0, listener=Watching(step))
    resumed = fit(frozen, tmp_path / "cut", resume=True)
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole["score"] == resumed["score"]


def test_seeds_of_a_trained_model_share_features_and_those_of_fresh_weights_do_not(
    frozen: Recipe, toy: Recipe, tmp_path: Path
) -> None:
    shared, fresh = Watching(), Watching()
    seeds: dict[str, dict[str, Any]] = {"training": {"seeds": 3, "epochs": 1}}
    fit(frozen.with_changes(seeds), tmp_path / "shared", listener=shared)
    seeds["model"] = {"freeze": True}
    fit(toy.with_changes(seeds), tmp_path / "fresh", listener=fresh)
    assert [done for done, rows in shared.encodings].count(107) == 1
    assert [done for done, rows in fresh.encodings].count(107) == 3
    one, other = (weights(tmp_path / "fresh" / f"seed-{seed}") for seed in (0, 1))
    name = "bert.embeddings.word_embeddings.weight"
    assert not torch.equal(one[name], other[name])


def test_layers_that_the_model_has_not_are_refused_before_anything_is_written(
    frozen: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no layer 7: the model has 1"):
        fit(frozen.with_changes({"head": {"layers": [7]}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_encoder_to_pretrain_is_not_frozen() -> None:
    with pytest.raises(UserError, match="freeze is for fine-tuning"):
        PretrainRecipe().with_changes({"model": {"freeze": True}})
