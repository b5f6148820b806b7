"""What is measured of pretrained models: losses at the same tokens, and where heads look."""

from pathlib import Path

import pytest
import torch

from bertkit.config.model import ModelConfig
from bertkit.data.packed import pack
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.recipe import PretrainRecipe
from bertkit.studies.measures import REACH, attention_by_offset, look, yardstick_of
from bertkit.train.listener import Listener
from bertkit.train.start import train

CONFIG = ModelConfig(
    vocabulary_size=99, layers=2, hidden_size=12, heads=3, feedforward_size=7, max_positions=32
)


class Fixed(torch.nn.Module):
    """An encoder of one layer whose one head looks at the next token alone."""

    def forward(self, batch, return_attention):  # type: ignore[no-untyped-def]
        maps = [torch.eye(length).roll(1, dims=1)[None] for length in batch.lengths]
        return torch.empty(0), [maps]


def test_a_head_that_looks_at_the_next_token_is_found(random_sequences) -> None:
    batch = pack(random_sequences([12, 15]), [0, 1])
    offsets = attention_by_offset(Fixed(), batch)
    assert offsets.shares[0][0] == tuple(float(offset == 1) for offset in range(-REACH, REACH + 1))
    assert offsets.strongest == 1.0


def test_the_shares_are_means_of_the_encoders_own_attention(random_sequences) -> None:
    torch.manual_seed(3)
    encoder = Encoder(CONFIG).eval().requires_grad_(False)
    batch = pack(random_sequences([13, 16]), [0, 1])
    _, attentions = encoder(batch, return_attention=True)
    found = attention_by_offset(encoder, batch)
    expected = [
        float(attention[2, place, place - 1])
        for attention in attentions[1]
        for place in range(2, attention.shape[1] - 1)
    ]
    assert abs(found.shares[1][2][REACH - 1] - sum(expected) / len(expected)) < 1e-6


def test_sequences_too_short_for_the_offsets_show_none(pretraining: PretrainRecipe, tmp_path: Path) -> None:
    train(pretraining, tmp_path / "run", resume=False, overwrite=False, listener=Listener())
    assert look(tmp_path / "run", pretraining) is not None
    assert look(tmp_path / "run", pretraining.with_changes({"batch": {"length": 2 * REACH + 2}})) is None


def test_the_first_ones_held_out_loss_is_measured_as_its_run_measured_it(
    pretraining: PretrainRecipe, tmp_path: Path
) -> None:
    words = pretraining.with_changes({"objective": {"masking": "whole-word", "rate": 0.4}})
    yardstick = yardstick_of([pretraining, words])
    assert yardstick is not None
    for name, each in (("first", pretraining), ("words", words)):
        train(each, tmp_path / name, resume=False, overwrite=False, listener=Listener())
    own = train(pretraining, tmp_path / "again", resume=False, overwrite=False, listener=Listener())
    assert yardstick.loss_of(tmp_path / "first") == pytest.approx(own["heldout"]["mlm_loss"], rel=1e-5)
    assert yardstick.loss_of(tmp_path / "words") != yardstick.loss_of(tmp_path / "first")


def test_none_is_needed_where_all_mask_alike_and_none_fits_where_texts_differ(
    pretraining: PretrainRecipe, tmp_path: Path
) -> None:
    assert yardstick_of([pretraining, pretraining.with_changes({"objective": {"fixed_masks": 2}})]) is None
    other = pretraining.with_changes({"objective": {"rate": 0.4}, "batch": {"length": 9}})
    assert yardstick_of([pretraining, other]) is None
    gone = pretraining.with_changes({"corpus": {"shards": str(tmp_path / "gone")}})
    assert yardstick_of([gone, gone.with_changes({"objective": {"rate": 0.4}})]) is None


def test_a_run_without_a_model_has_no_loss(pretraining: PretrainRecipe, tmp_path: Path) -> None:
    yardstick = yardstick_of([pretraining, pretraining.with_changes({"objective": {"rate": 0.4}})])
    assert yardstick is not None
    with pytest.raises(UserError):
        yardstick.loss_of(tmp_path)
