"""What a look into a model sees: planted faults in tiny models, and exact figures."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch, Sequences, pack
from bertkit.health.look import Looked, Weights, cls_spread_by_layer, entropy_share, look_at, rows_to_look_at
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.pretraining import MaskedHead, PairHead, Pretrainer, PretrainingBatch

CONFIG = ModelConfig(
    vocabulary_size=99,
    layers=2,
    hidden_size=12,
    heads=3,
    feedforward_size=20,
    max_positions=16,
    activation="relu",
    initialiser_range=0.3,
)


@pytest.fixture
def batch(random_sequences: Callable[..., Sequences]) -> PackedBatch:
    packed = pack(random_sequences([5, 3, 7, 3]), np.arange(4))
    packed.ids_T[packed.starts_B] = 2  # [CLS]
    return packed


def classifier(pooling: str = "pooler") -> Classifier:
    torch.manual_seed(0)
    head = HeadConfig(labels=("a", "b", "c"), pooling=pooling, hidden_size=7)  # type: ignore[arg-type]
    return Classifier(Encoder(CONFIG), ClassificationHead(head, CONFIG))


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean"])
def test_a_look_sees_all_and_changes_nothing(batch: PackedBatch, pooling: str) -> None:
    model = classifier(pooling).train()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    seen = look_at(model, batch)
    assert model.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert seen.cls_spread == pytest.approx(cls_spread_by_layer(model, batch)["layer 2"], rel=1e-5)
    model.eval()
    with torch.no_grad():
        probabilities = model.outputs(model(batch), batch).exp()
    apart = (probabilities - probabilities.mean(0)).abs().sum(1) / 2
    assert seen.probability_spread == pytest.approx(float(apart.mean()), rel=1e-4)
    assert seen.majority_share in (0.25, 0.5, 0.75, 1.0)
    assert seen.attention_entropy.keys() == {"layer 1", "layer 2"}
    assert all(0.5 < entropy <= 1 for entropy in seen.attention_entropy.values())
    assert {"layer 1", "layer 2", "head"} <= seen.dead_units.keys()


def test_inputs_that_are_all_alike_are_seen(batch: PackedBatch) -> None:
    model = classifier()
    with torch.no_grad():  # No value of another token ever reaches [CLS].
        for block in model.encoder.blocks:
            block.attention.output.weight.zero_()
    seen = look_at(model, batch)
    assert seen.cls_spread < 1e-6
    assert seen.probability_spread < 1e-6
    assert seen.majority_share == 1.0


def test_units_that_are_off_or_at_their_limit_are_counted(batch: PackedBatch) -> None:
    model = classifier()
    first = model.encoder.blocks[0]
    assert isinstance(first.intermediate, nn.Linear)
    assert model.encoder.pooler is not None
    with torch.no_grad():
        first.intermediate.bias[:15] = -1e3
        model.encoder.pooler.bias[:3] = 50.0
        model.head.hidden.bias[:] = -1e3  # type: ignore[union-attr]
    seen = look_at(model, batch)
    before = look_at(classifier(), batch)
    assert seen.dead_units["layer 1"] >= 0.75 > before.dead_units["layer 1"]
    assert seen.dead_units["pooler"] >= 0.25
    assert seen.dead_units["head"] == 1.0


def test_attention_at_one_place_has_no_entropy_and_attention_everywhere_has_all() -> None:
    one = torch.eye(5).expand(3, 5, 5)
    everywhere = torch.full((3, 7, 7), 1 / 7)
    assert entropy_share([one]) == 0.0
    assert entropy_share([everywhere]) == pytest.approx(1.0, rel=1e-5)
    most = 3 * 5 * math.log(5) + 3 * 7 * math.log(7)
    assert entropy_share([one, everywhere]) == pytest.approx(3 * 7 * math.log(7) / most, rel=1e-5)


def test_a_pretrainer_is_looked_at_through_its_masked_tokens(batch: PackedBatch) -> None:
    torch.manual_seed(0)
    model = Pretrainer(Encoder(CONFIG), MaskedHead(CONFIG), PairHead(CONFIG))
    masked = PretrainingBatch(batch, torch.tensor([1, 6, 9]), torch.tensor([7, 8, 9]))
    seen = look_at(model, masked)
    assert 0 < seen.probability_spread < 1
    with torch.no_grad():  # It answers the same whatever is masked.
        model.masked.bias[13] = 1e4
    seen = look_at(model, masked)
    assert (seen.probability_spread, seen.majority_share) == (0.0, 1.0)
    assert seen.attention_entropy.keys() == {"layer 1", "layer 2"}


def test_update_ratios_are_of_each_layers_weights() -> None:
    model = classifier()
    weights = Weights(model)
    with torch.no_grad():
        for parameter in model.encoder.blocks[1].parameters():
            parameter.mul_(1.25)
    ratios = weights.update_ratios()
    assert ratios.pop("layer 2") == pytest.approx(0.25, rel=1e-4)
    assert set(ratios.values()) == {0.0}


def test_rows_to_look_at_are_spread_evenly_and_few() -> None:
    assert rows_to_look_at(np.full(1_000, 10)).tolist()[::15] == [0, 999]
    assert len(rows_to_look_at(np.full(1_000, 10))) == 16
    assert len(rows_to_look_at(np.full(1_000, 512))) == 4
    assert rows_to_look_at(np.full(3, 10)).tolist() == [0, 1, 2]


def test_fields_of_a_look_are_those_of_a_record() -> None:
    from bertkit.runs.history import Health

    assert vars(Looked()).keys() <= Health.__dataclass_fields__.keys()
