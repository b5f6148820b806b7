import pytest
import torch
from torch import nn

from bertkit.recipe import OptimiserRecipe
from bertkit.train.optimiser import build_optimiser, learning_rate, learning_rate_at


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    recipe = OptimiserRecipe(lr=12.0, warmup=0.2)
    rates = [learning_rate(step, 10, recipe) for step in range(10)]
    assert rates == pytest.approx([4, 8, 12, 10.5, 9, 7.5, 6, 4.5, 3, 1.5])


def test_a_constant_rate_is_constant_after_the_warm_up() -> None:
    recipe = OptimiserRecipe(lr=3.0, warmup=0.0, schedule="constant")
    assert {learning_rate(step, 7, recipe) for step in range(7)} == {3.0}


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


def test_the_rate_of_a_share_of_a_run_warms_up_and_falls_to_zero() -> None:
    recipe = OptimiserRecipe(lr=8.0, warmup=0.2)
    shares = (0.0, 0.1, 0.2, 0.6, 1.0)
    assert [learning_rate_at(share, recipe) for share in shares] == pytest.approx([0, 4, 8, 4, 0])
    constant = OptimiserRecipe(lr=8.0, warmup=0.0, schedule="constant")
    assert learning_rate_at(0.9, constant) == 8.0


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
