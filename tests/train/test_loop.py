import os
import signal
from collections.abc import Sequence

import pytest
import torch
from torch import nn

from bertkit.recipe import OptimiserRecipe
from bertkit.train.loop import Diverged, Interrupted, StepRecord, run_steps
from bertkit.train.optimiser import build_optimiser, rates


class Line:
    """Fits y = 3x; `parts` cuts each step's eight points into that many micro-batches."""

    def __init__(self, parts: int = 1, poison: int = -1) -> None:
        self.parts = parts
        self.poison = poison

    def batches(self, step: int) -> Sequence[torch.Tensor]:
        x = torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
        return (x * float("nan") if step == self.poison else x).chunk(self.parts)

    def pieces(self, batch: torch.Tensor) -> int:
        return len(batch)

    def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        return ((model(batch) - 3 * batch) ** 2).sum() / 8


def fit(objective: Line, *, steps: int = 5, start: int = 0, stop_at: int = 0, model: nn.Module | None = None):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    model = model or nn.Linear(1, 1)
    recipe = OptimiserRecipe(lr=0.1)
    records: list[StepRecord] = []

    def after_step(record: StepRecord) -> bool:
        records.append(record)
        return record.step == stop_at

    run_steps(
        model,
        objective,
        build_optimiser(model, recipe),
        rate=rates(steps, recipe),
        clip=recipe.clip,
        start=start,
        seed=1,
        precision="fp32",
        after_step=after_step,
    )
    return model, records


def test_the_loss_falls_and_every_step_is_told() -> None:
    _, records = fit(Line(), steps=60)
    assert [record.step for record in records] == list(range(1, 61))
    assert records[-1].loss < records[0].loss / 10
    assert {record.pieces for record in records} == {8}


def test_micro_batches_add_up_to_the_batch() -> None:
    whole, first = fit(Line(parts=1))
    cut, second = fit(Line(parts=4))
    assert torch.allclose(whole.weight, cut.weight, atol=1e-6)
    assert [r.loss for r in first] == pytest.approx([r.loss for r in second], rel=1e-5)


def test_the_run_ends_when_it_is_enough() -> None:
    _, records = fit(Line(), steps=9, stop_at=4)
    assert len(records) == 4


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(Diverged, match="step 3"):
        fit(Line(poison=2), model=model)
    assert torch.isfinite(model.weight).all()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_step_finish(number: signal.Signals) -> None:
    handler = signal.getsignal(number)

    class Signalled(Line):
        def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
            os.kill(os.getpid(), number)
            return super().loss(model, batch)

    model = nn.Linear(1, 1)
    before = model.weight.item()
    with pytest.raises(Interrupted):
        fit(Signalled(), model=model)
    assert model.weight.item() != before
    assert signal.getsignal(number) is handler
