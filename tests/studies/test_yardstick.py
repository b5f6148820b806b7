"""Pretrainings with tasks of their own, measured by the same pieces."""

from pathlib import Path

import pytest

from bertkit.errors import UserError
from bertkit.recipe import PretrainRecipe
from bertkit.studies.yardstick import yardstick_of
from bertkit.train.listener import Silent
from bertkit.train.start import train


def test_the_first_ones_held_out_loss_is_measured_as_its_run_measured_it(
    pretraining: PretrainRecipe, tmp_path: Path
) -> None:
    words = pretraining.with_changes({"objective": {"masking": "whole-word", "rate": 0.4}})
    yardstick = yardstick_of([pretraining, words])
    assert yardstick is not None
    for name, each in (("first", pretraining), ("words", words)):
        train(each, tmp_path / name, resume=False, overwrite=False, listener=Silent())
    own = train(pretraining, tmp_path / "again", resume=False, overwrite=False, listener=Silent())
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
