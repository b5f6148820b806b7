"""Integrated gradients: against captum, against what must hold, and against a model worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch, pack
from bertkit.model import attribution
from bertkit.model.attribution import explain
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier

CONFIG = ModelConfig(
    vocabulary_size=29,
    layers=2,
    hidden_size=12,
    heads=3,
    feedforward_size=20,
    max_positions=16,
    initialiser_range=0.5,
)
CLS, SEP, PAD = 2, 3, 0


def classifier(config: ModelConfig = CONFIG, **head) -> Classifier:
    head = {"labels": ("bad", "good", "odd"), **head}
    return Classifier(Encoder(config), ClassificationHead(HeadConfig(**head), config))


def sentence(*ids: int, second: int = 0) -> PackedBatch:
    count = len(ids) + 2
    return PackedBatch(
        ids_T=torch.tensor([CLS, *ids, SEP]),
        segments_T=torch.tensor([0] * (count - second) + [1] * second),
        positions_T=torch.arange(count),
        lengths=(count,),
    )


def baseline(batch: PackedBatch) -> torch.Tensor:
    return torch.where((batch.ids_T == CLS) | (batch.ids_T == SEP), batch.ids_T, PAD)


def difference(model: Classifier, batch: PackedBatch, towards: int, away: int) -> float:
    with torch.inference_mode():
        logs = model.eval().outputs(model(batch), batch)[0]
    return float(logs[towards] - logs[away])


@pytest.mark.parametrize(
    ("config", "head"),
    [
        (CONFIG, {}),
        (CONFIG, {"pooling": "mean"}),
        (CONFIG, {"pooling": "cls", "hidden_size": 7, "loss": "sigmoid", "labels": ("no", "yes")}),
        (replace(CONFIG, norm="pre", positions="rotary", embedding_norm=False), {}),
    ],
    ids=["post-norm", "mean", "sigmoid", "pre-norm"],
)
def test_the_pushes_add_up_to_the_difference_of_the_logits(config: ModelConfig, head: dict) -> None:
    model, batch = classifier(config, **head), sentence(7, 19, 11, 7, 23, second=3)
    found = explain(model, batch, baseline(batch), 1, 0)
    start = replace(batch, ids_T=baseline(batch))
    assert found.baseline == pytest.approx(difference(model, start, 1, 0), abs=1e-5)
    assert found.difference == pytest.approx(difference(model, batch, 1, 0) - found.baseline, abs=1e-5)
    assert sum(found.pushes) + found.gap == pytest.approx(found.difference, abs=1e-4)
    assert found.complete
    assert abs(found.gap) <= 0.02 * max(1, abs(found.difference))
    assert (found.pushes[0], found.pushes[-1]) == (0.0, 0.0), "the special tokens are those of the baseline"
    assert all(found.pushes[1:-1])


def test_it_is_what_captum_finds() -> None:
    # captum replaces the table's answers itself: nothing but the model is shared.
    captum = pytest.importorskip("captum.attr", reason="captum is not installed")
    model, batch = classifier(pooling="mean").eval(), sentence(7, 19, 11, 23)
    found = explain(model, batch, baseline(batch), 2, 0)

    def logits(ids_NT: torch.Tensor) -> torch.Tensor:
        copies = len(ids_NT)
        whole = PackedBatch(
            ids_T=ids_NT.flatten(),
            segments_T=batch.segments_T.repeat(copies),
            positions_T=batch.positions_T.repeat(copies),
            lengths=batch.lengths * copies,
        )
        made = model(whole)
        return made[:, 2] - made[:, 0]

    class Table(torch.nn.Module):
        """The table of tokens for rows of sequences, as captum wants them."""

        def __init__(self, table: torch.nn.Embedding) -> None:
            super().__init__()
            self.table = table

        def forward(self, ids_T: torch.Tensor) -> torch.Tensor:
            return self.table(ids_T.view(-1, len(batch.ids_T)))

    class Flat(torch.nn.Module):
        def __init__(self, rows: Table) -> None:
            super().__init__()
            self.rows = rows

        def forward(self, ids_T: torch.Tensor) -> torch.Tensor:
            return self.rows(ids_T).flatten(0, 1)

        @property
        def weight(self) -> torch.Tensor:
            return self.rows.table.weight

    rows = Table(model.encoder.embeddings.tokens)
    model.encoder.embeddings.tokens = Flat(rows)  # type: ignore[assignment]
    theirs = captum.LayerIntegratedGradients(logits, rows).attribute(
        batch.ids_T[None], baselines=baseline(batch)[None], n_steps=found.steps, method="gausslegendre"
    )
    assert found.pushes == pytest.approx(theirs.sum(-1)[0].tolist(), abs=1e-5)


def test_steps_are_added_while_a_gap_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = classifier(), sentence(7, 19, 11, 23)
    monkeypatch.setattr(attribution, "STEPS", (1, 64))
    monkeypatch.setattr(attribution, "TOLERANCE", 1e-3)
    assert explain(model, batch, baseline(batch), 2, 0).steps == 64
    monkeypatch.setattr(attribution, "STEPS", (1,))
    rough = explain(model, batch, baseline(batch), 2, 0)
    assert not rough.complete
    assert abs(rough.gap) > 1e-3 * max(1, abs(rough.difference))


def test_parts_of_the_path_make_the_whole_and_the_model_stays_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, batch = classifier(), sentence(7, 19, 11, 23)
    whole = explain(model, batch, baseline(batch), 2, 0).pushes
    monkeypatch.setattr(attribution, "TOKENS_AT_ONCE", 13)
    assert explain(model, batch, baseline(batch), 2, 0).pushes == pytest.approx(whole, abs=1e-6)
    assert model.training, "as it was"
    assert not model.encoder.embeddings.tokens._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())


def test_by_hand_of_a_linear_model(random_sequences) -> None:
    # Without layers' say, norms and dropout the logits are linear in the mean of the vectors: each token's
    # push is its own vector's part.
    config = replace(CONFIG, layers=1, norm="pre", embedding_norm=False, hidden_dropout=0.0)
    model = classifier(config, pooling="mean", labels=("no", "yes"))
    encoder = model.encoder
    encoder.norm = torch.nn.Identity()
    for module in (encoder.blocks[0].attention.output, encoder.blocks[0].output):
        torch.nn.init.zeros_(module.weight)
        torch.nn.init.zeros_(module.bias)
    batch = pack(random_sequences([6], vocabulary=29), [0])
    start = torch.full((6,), PAD)
    found = explain(model, batch, start, 1, 0)
    table, output = encoder.embeddings.tokens.weight, model.head.output.weight
    expected = (table[batch.ids_T] - table[start]) @ (output[1] - output[0]) / 6
    assert found.pushes == pytest.approx(expected.tolist(), abs=1e-5)
    assert found.steps == attribution.STEPS[0]
    assert np.isclose(sum(found.pushes), found.difference, atol=1e-5)
