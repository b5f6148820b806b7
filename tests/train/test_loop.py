import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch
from bertkit.errors import UserError
from bertkit.model.compute import FLOAT32
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.optimisers import OPTIMISERS, build_optimiser
from bertkit.recipe import OptimiserName, OptimiserRecipe
from bertkit.runs.checkpoints import load_state, save_state
from bertkit.train.loop import Diverged, Interrupted, StepRecord, deferred_signals, run_steps
from bertkit.train.schedule import rates

CONFIG = ModelConfig(
    vocabulary_size=19, layers=2, hidden_size=12, heads=3, feedforward_size=20, max_positions=7
)


class Points(NamedTuple):
    """A micro-batch."""

    x: torch.Tensor

    @property
    def tokens(self) -> int:
        return self.x.numel()


class First:
    """Which of two halves of the vocabulary a sequence's first token is of."""

    def batches(self, step: int) -> Sequence[Points]:
        return [Points(torch.randint(0, 19, (8, 5), generator=torch.Generator().manual_seed(step)))]

    def loss(self, model: nn.Module, points: Points) -> torch.Tensor:
        batch = points.x
        places = torch.arange(5).repeat(8)
        packed = PackedBatch(batch.flatten(), torch.zeros_like(places), places, (5,) * 8)
        return model.losses(model(packed), (batch[:, 0] > 9).long(), packed).mean()


class Line:
    """Fits y = 3x; `parts` cuts each step's eight points into that many micro-batches."""

    def __init__(self, parts: int = 1, poison: int = -1) -> None:
        self.parts = parts
        self.poison = poison

    def batches(self, step: int) -> Sequence[Points]:
        x = torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
        return [Points(part) for part in (x * float("nan") if step == self.poison else x).chunk(self.parts)]

    def loss(self, model: nn.Module, points: Points) -> torch.Tensor:
        return ((model(points.x) - 3 * points.x) ** 2).sum() / 8


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
        compute=FLOAT32,
        after_step=after_step,
    )
    return model, records


def test_the_loss_falls_and_every_step_is_told() -> None:
    _, records = fit(Line(), steps=60)
    assert [record.step for record in records] == list(range(1, 61))
    assert records[-1].loss < records[0].loss / 10
    assert {record.tokens for record in records} == {8}


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


@pytest.fixture
def handler() -> Iterator[Callable[[signal.Signals, object], None]]:
    """Sets who handles a signal while the test lasts."""
    before: dict[signal.Signals, object] = {}

    def put(number: signal.Signals, handler: object) -> None:
        before[number] = signal.signal(number, handler)  # type: ignore[arg-type]

    yield put
    for number, handler in before.items():
        signal.signal(number, handler)  # type: ignore[arg-type]


# Who closes a terminal may be told of it twice.
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_step_finish(
    number: signal.Signals, handler: Callable[[signal.Signals, object], None]
) -> None:
    handler(number, signal.default_int_handler)

    class Signalled(Line):
        def loss(self, model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
            for _ in range(2 if number == signal.SIGHUP else 1):
                os.kill(os.getpid(), number)
            return super().loss(model, batch)

    model = nn.Linear(1, 1)
    before = model.weight.item()
    with pytest.raises(Interrupted):
        fit(Signalled(), model=model)
    assert model.weight.item() != before
    assert signal.getsignal(number) is signal.default_int_handler
    handler(signal.SIGHUP, signal.SIG_IGN)
    with deferred_signals() as came:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not came(), "nohup wants it so"


def train(name: OptimiserName, steps: range, state: Path, total: int = 6) -> tuple[Classifier, list[float]]:
    """Make `steps` of `total` from the state that is there, and leave one."""
    torch.manual_seed(0)
    model = Classifier(Encoder(CONFIG), ClassificationHead(HeadConfig(labels=("a", "b")), CONFIG))
    recipe = OptimiserRecipe(name=name, lr=5e-3, weight_decay=0.0)
    optimiser = build_optimiser(model, recipe)
    if steps.start:
        assert load_state(state, model, optimiser) == {"step": steps.start}
    losses: list[float] = []

    def after_step(record: StepRecord) -> bool:
        losses.append(record.loss)
        return record.step == steps.stop

    run_steps(
        model,
        First(),
        optimiser,
        rate=rates(total, recipe),
        clip=recipe.clip,
        start=steps.start,
        seed=1,
        compute=FLOAT32,
        after_step=after_step,
    )
    save_state(state, model, optimiser, {"step": steps.stop})
    return model, losses


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_run_goes_on_exactly_with_every_optimiser(name: OptimiserName, tmp_path: Path) -> None:
    if name == "lamb":
        pytest.importorskip("pytorch_optimizer", reason="the extra lamb is not installed")
    whole, losses = train(name, range(6), tmp_path / "whole")
    _, first = train(name, range(3), tmp_path / "cut")
    cut, second = train(name, range(3, 6), tmp_path / "cut")
    assert first + second == losses
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), cut.parameters(), strict=True))
    ends = [load_file(tmp_path / name) for name in ("whole", "cut")]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_the_state_of_another_optimiser_is_refused(tmp_path: Path) -> None:
    train("adamw", range(1), tmp_path / "state")
    with pytest.raises(UserError, match=r"of the optimiser 'adamw', and the recipe's is 'muon'; go on with"):
        train("muon", range(1, 2), tmp_path / "state")


def test_muon_learns_another_way_than_adamw(tmp_path: Path) -> None:
    _, muon = train("muon", range(60), tmp_path / "muon", 60)
    _, adamw = train("adamw", range(60), tmp_path / "adamw", 60)
    assert muon[0] == adamw[0]
    assert muon[2] != adamw[2]
    assert sum(muon[-5:]) < 5 * 0.2
