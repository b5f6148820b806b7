from importlib.util import find_spec

import pytest
import torch
from torch import nn

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.optimisers import OPTIMISERS, _Float32Muon, build_optimiser
from bertkit.recipe import OptimiserName, OptimiserRecipe


def test_decay_spares_biases_and_norms() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5), nn.Embedding(7, 3))
    optimiser = build_optimiser(model, OptimiserRecipe(weight_decay=0.3))
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert {name: decay[id(p)] for name, p in model.named_parameters()} == {
        "0.weight": 0.3,
        "0.bias": 0.0,
        "1.weight": 0.0,
        "1.bias": 0.0,
        "2.weight": 0.3,
    }


def test_the_first_update_is_bias_corrected() -> None:
    weight = nn.Linear(1, 1, bias=False)
    before = weight.weight.item()
    optimiser = build_optimiser(weight, OptimiserRecipe(lr=0.5, weight_decay=0.0, eps=1e-12))
    weight(torch.tensor([[0.01]])).sum().backward()
    optimiser.step()
    # With bias correction the first step is the learning rate whatever the gradient's size.
    assert before - weight.weight.item() == pytest.approx(0.5, rel=1e-4)


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    model[0].requires_grad_(False)
    optimiser = build_optimiser(model, OptimiserRecipe())
    assert sum(len(group["params"]) for group in optimiser.param_groups) == 2


def test_lamb_scales_each_update_by_the_trust_ratio() -> None:
    pytest.importorskip("pytorch_optimizer", reason="the extra lamb is not installed")
    recipe = OptimiserRecipe(name="lamb", lr=0.5, beta1=0.9, beta2=0.99, eps=1e-6, weight_decay=0.1)
    model = nn.Linear(2, 1, bias=False)
    weight, gradient = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.2, -0.1]])
    with torch.no_grad():
        model.weight.copy_(weight)
    model.weight.grad = gradient.clone()
    build_optimiser(model, recipe).step()
    # You et al., arXiv 1904.00962v3: no bias correction.
    update = 0.1 * gradient / ((0.01 * gradient**2).sqrt() + 1e-6) + 0.1 * weight
    expected = weight - 0.5 * weight.norm() / update.norm() * update
    assert torch.allclose(model.weight, expected, atol=1e-4)


def small() -> Classifier:
    config = ModelConfig(
        vocabulary_size=19, layers=2, hidden_size=12, heads=3, feedforward_size=20, max_positions=7
    )
    return Classifier(Encoder(config), ClassificationHead(HeadConfig(labels=("a", "b")), config))


NEEDS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name == "lamb" and not find_spec("pytorch_optimizer"), reason="the extra lamb is not installed"
        ),
    )
    for name in OPTIMISERS
]


@pytest.mark.parametrize("name", NEEDS)
def test_lower_layers_learn_at_a_share_of_the_rate(name: OptimiserName) -> None:
    model, decay = small(), 0.0 if name == "adam" else 0.01
    optimiser = build_optimiser(model, OptimiserRecipe(name=name, layer_decay=0.5, weight_decay=decay))
    optimiser.set_rate(8.0)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    for part, expected in {
        model.head: 8.0,
        model.encoder.pooler: 8.0,
        model.encoder.blocks[1]: 4.0,
        model.encoder.blocks[0]: 2.0,
        model.encoder.embeddings: 1.0,
    }.items():
        assert {rates[id(parameter)] for parameter in part.parameters()} == {expected}
    assert len(rates) == len([*model.parameters()])


@pytest.mark.parametrize("name", NEEDS)
def test_each_optimiser_keeps_what_its_row_says(name: OptimiserName) -> None:
    model = small()
    optimiser = build_optimiser(model, OptimiserRecipe(name=name, weight_decay=0.0, lr=1e-2))
    before = [p.clone() for p in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimiser.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    kept = [
        value for state in optimiser.state.values() for key, value in state.items() if key in optimiser.saved
    ]
    assert sum(t.numel() for t in kept if t.ndim) == OPTIMISERS[name].numbers(model)


def test_muon_has_the_matrices_of_the_layers_and_a_rate_of_its_own() -> None:
    model = small()
    optimiser = build_optimiser(model, OptimiserRecipe(name="muon", lr=0.1, matrix_lr=0.3))
    optimiser.set_rate(0.05)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    matrices = {name for name, p in model.named_parameters() if rates[id(p)] == pytest.approx(0.15)}
    assert matrices == {
        f"encoder.blocks.{layer}.{name}.weight"
        for layer in (0, 1)
        for name in ("attention.qkv", "attention.output", "intermediate", "output")
    }
    assert {rates[id(p)] for name, p in model.named_parameters() if name not in matrices} == {0.05}


def test_without_a_rate_of_its_own_a_matrix_moves_as_far_as_with_adamw() -> None:
    moved = {}
    for name in ("adamw", "muon"):
        torch.manual_seed(1)
        model = small()
        matrix = model.encoder.blocks[0].intermediate.weight
        before = matrix.clone()
        optimiser = build_optimiser(model, OptimiserRecipe(name=name, lr=0.1, weight_decay=0.0))
        matrix.grad = torch.randn_like(matrix)
        optimiser.step()
        moved[name] = (matrix - before).square().mean().sqrt().item()
    # Newton and Schulz leave singular values between about 0.7 and 1.2; Liu et al. scale them by 0.2, the
    # usual root mean square of AdamW's updates, of which the first one is a full step.
    assert 0.1 < moved["muon"] / moved["adamw"] < 0.3


def test_muon_without_layers_to_train_is_refused() -> None:
    model = small()
    model.encoder.requires_grad_(False)
    with pytest.raises(UserError, match="none is trained"):
        build_optimiser(model, OptimiserRecipe(name="muon"))


@pytest.mark.parametrize("shape", [(13, 7), (7, 13)])
def test_muon_in_float32_is_torchs_but_for_its_rounding(shape: tuple[int, int]) -> None:
    start, gradients = torch.randn(shape), [torch.randn(shape) for _ in range(3)]
    moved = []
    for kind in (torch.optim.Muon, _Float32Muon):
        weight = nn.Parameter(start.clone())
        optimiser = kind([weight], lr=0.1, weight_decay=0.3, adjust_lr_fn="match_rms_adamw")
        for gradient in gradients:
            weight.grad = gradient.clone()
            optimiser.step()
        moved.append(weight.detach() - start)
    torch.testing.assert_close(moved[0], moved[1], rtol=0.05, atol=5e-3)
