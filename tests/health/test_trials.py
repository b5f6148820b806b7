"""Trials on copies of tiny models: the faults that they are for are planted in the models themselves."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.data.packed import PackedBatch
from bertkit.health.start import (
    embedding_sizes,
    kept_for_backward,
    measure_start,
)
from bertkit.health.trials import (
    KNOWN,
    LEAST_OVERFIT,
    RANGE_STEPS,
    Trial,
    overfit_batch,
    range_test,
)
from bertkit.model.compute import FLOAT32, available_memory, resident_memory
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.optimisers import build_optimiser
from bertkit.recipe import OptimiserRecipe

CONFIG = ModelConfig(
    vocabulary_size=40,
    layers=2,
    hidden_size=24,
    heads=2,
    feedforward_size=32,
    max_positions=16,
    norm="pre",
    initialiser_range=0.15,
)
LABELS = torch.tensor([0, 1, 1, 0])


def batch(lengths: tuple[int, ...] = (5, 4, 7, 6)) -> PackedBatch:
    chance = torch.Generator().manual_seed(3)
    ids = torch.randint(5, 40, (sum(lengths),), generator=chance)
    packed = PackedBatch(
        ids_T=ids,
        segments_T=torch.zeros_like(ids),
        positions_T=torch.cat([torch.arange(length) for length in lengths]),
        lengths=lengths,
    )
    ids[packed.starts_B] = 2
    return packed


BATCH = batch()


def classifier(config: ModelConfig = CONFIG) -> Classifier:
    torch.manual_seed(1)
    return Classifier(Encoder(config), ClassificationHead(HeadConfig(labels=("no", "yes")), config))


def loss(model: nn.Module) -> torch.Tensor:
    assert isinstance(model, Classifier)
    return model.losses(model(BATCH), LABELS, BATCH).mean()


def trial(model: Classifier) -> Trial:
    return Trial(
        copy=lambda: copy.deepcopy(model),
        loss=loss,
        optimiser=lambda each: build_optimiser(each, OptimiserRecipe(eps=1e-8)),
        batch=BATCH,
        baseline_loss=math.log(2),
        clip=1.0,
        compute=FLOAT32,
    )


def constant(rate: float) -> Callable[[int], float]:
    return lambda step: rate


def test_a_healthy_model_learns_by_heart_on_a_copy() -> None:
    model = classifier()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    found = overfit_batch(trial(model), constant(3e-3), steps=100, seconds=600)
    assert found.ended == "learnt"
    assert found.losses[-1] < KNOWN <= min(found.losses[:-1])
    assert (found.rows, found.tokens, found.rate, found.calmer) == (4, 22, 3e-3, None)
    assert list(found.cls_spread) == ["layer 1", "layer 2"]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_whose_inputs_are_alike_does_not_learn_and_nothing_helps() -> None:
    model = classifier()
    with torch.no_grad():  # The same vector for every token: texts differ in nothing but their lengths.
        model.encoder.embeddings.tokens.weight.zero_()
        for block in model.encoder.blocks:
            block.attention.output.weight.zero_()
            block.attention.output.requires_grad_(False)
    model.encoder.embeddings.requires_grad_(False)
    found = overfit_batch(trial(model), constant(3e-3), steps=40, seconds=600)
    assert found.ended == "steps"
    assert len(found.losses) == 40
    assert found.losses[-1] == pytest.approx(math.log(2), abs=0.02)
    assert max(found.cls_spread.values()) < 1e-5
    assert found.calmer is not None
    assert (found.calmer.ended, found.calmer.rate) == ("steps", pytest.approx(3e-4))


def test_a_rate_that_is_far_too_high_fails_where_a_tenth_succeeds() -> None:
    found = overfit_batch(trial(classifier()), constant(0.1), steps=60, seconds=600)
    assert found.ended != "learnt"
    assert found.calmer is not None
    assert found.calmer.ended == "learnt"


def deep() -> Classifier:
    """Eight fresh post-norm layers, as the article's."""
    return classifier(replace(CONFIG, layers=8, norm="post"))


def test_a_signal_that_stops_ends_a_trial_soon_however_little_time_there_is() -> None:
    for seconds in (0.0, 600.0):
        found = overfit_batch(trial(deep()), constant(0.1), steps=100, seconds=seconds, calmer=False)
        assert (found.ended, len(found.losses)) == ("stopped", 21), seconds
        assert found.stops_at is not None
        assert found.cls_spread[found.stops_at] < 1e-4


def test_a_signal_that_passes_does_not_stop() -> None:
    found = overfit_batch(trial(deep()), constant(1e-3), steps=100, seconds=600)
    assert (found.ended, found.stops_at) == ("learnt", None)


def test_a_loss_that_is_no_number_ends_a_trial() -> None:
    model = classifier()
    with torch.no_grad():
        model.head.output.weight[0, 0] = math.nan
    found = overfit_batch(trial(model), constant(1e-3), steps=9, seconds=600)
    assert found.ended == "diverged"
    assert range_test(trial(model), seconds=600).ended == "diverged"


def test_time_ends_a_trial_honestly() -> None:
    found = overfit_batch(trial(classifier()), constant(1e-6), steps=100, seconds=0.0)
    assert (found.ended, len(found.losses)) == ("time", LEAST_OVERFIT)
    assert range_test(trial(classifier()), seconds=0.0).ended == "time"


def test_the_range_test_finds_where_the_loss_falls_and_where_it_rises() -> None:
    found = range_test(trial(classifier()), seconds=600)
    assert found.falls_at is not None
    assert found.reach is not None
    assert 1e-5 < found.falls_at < 1e-2
    assert found.reach > found.falls_at
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= RANGE_STEPS
    assert found.rates[0] == pytest.approx(1e-6)
    assert found.smoothed[0] == pytest.approx(found.losses[0])
    if found.cliff is not None:
        assert found.cliff > found.falls_at


def test_a_model_that_any_update_breaks_has_a_low_cliff() -> None:
    """Weights of 30 times the usual size under a norm-free sum: what breaks first is found first."""
    fragile = classifier()
    with torch.no_grad():
        fragile.head.output.weight.mul_(300)
    robust, broken = (range_test(trial(model), seconds=600) for model in (classifier(), fragile))
    assert broken.losses[0] > 3 * robust.losses[0]
    assert broken.falls_at is not None
    assert robust.falls_at is not None
    assert broken.falls_at < robust.falls_at


def test_the_start_is_measured_and_left_as_it_was() -> None:
    model = classifier()
    model.train()
    found = measure_start(model, loss, BATCH, uniform=math.log(2), compute=FLOAT32)
    assert found.loss == pytest.approx(loss(model.eval()).item())
    assert list(found.gradient_norms) == ["embeddings", "layer 1", "layer 2", "pooler", "head"]
    assert min(found.gradient_norms.values()) > 0
    assert all(parameter.grad is None for parameter in model.parameters())
    assert found.attention_to_pads == 0


def test_sinusoids_are_far_larger_than_fresh_tokens() -> None:
    model = classifier(replace(CONFIG, positions="sinusoidal", initialisation="keras", embedding_norm=False))
    tokens, positions, segments = embedding_sizes(model.encoder, BATCH)
    assert positions is not None
    assert tokens == pytest.approx(0.05 / math.sqrt(3), rel=0.1)  # uniform between -0.05 and 0.05
    assert positions == pytest.approx(math.sqrt(0.5))
    assert segments == pytest.approx(0.05 / math.sqrt(3), rel=0.3)
    assert embedding_sizes(classifier(replace(CONFIG, positions="rotary")).encoder, BATCH)[1] is None


def test_pads_get_their_share_of_attention() -> None:
    padded = batch((8, 8))
    padded.ids_T[4:8] = 0
    padded.ids_T[12:16] = 0
    model = classifier(replace(CONFIG, initialiser_range=1e-4))  # attention is even then

    def of_padded(each: nn.Module) -> torch.Tensor:
        assert isinstance(each, Classifier)
        return each.losses(each(padded), LABELS[:2], padded).mean()

    found = measure_start(model, of_padded, padded, uniform=0.7, compute=FLOAT32, pad_id=0)
    assert found.attention_to_pads == pytest.approx(0.5, abs=1e-3)


def test_what_is_kept_for_the_backward_pass_grows_with_the_batch() -> None:
    model = classifier().train()

    def of(packed: PackedBatch) -> int:
        labels = torch.zeros(len(packed.lengths), dtype=torch.int64)
        kept = kept_for_backward(
            model, lambda each: each.losses(each(packed), labels, packed).mean(), FLOAT32
        )
        return kept[0]

    one, three = of(batch((6, 6))), of(batch((6,) * 6))
    assert 2.5 < three / one < 3.5
    # At the very least, each layer keeps its input and the feed-forward part's, float32.
    assert one > 12 * 4 * CONFIG.layers * (CONFIG.hidden_size + CONFIG.feedforward_size)


def test_memory_is_read_where_the_system_tells() -> None:
    assert resident_memory() >= 0
    assert available_memory() is None or available_memory() > 0
