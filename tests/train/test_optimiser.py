import pytest
import torch
from torch import nn

from bertkit.recipe import OptimiserRecipe
from bertkit.train.optimiser import build_optimiser, learning_rate


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
