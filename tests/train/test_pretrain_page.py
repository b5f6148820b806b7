"""`api.pretrain` leaves a page, at the end of a run or where it was cut off; the first process writes it."""

from pathlib import Path

import pytest
from trained import StopsAfter

from bertkit import api
from bertkit.recipe import PretrainRecipe


def test_a_run_leaves_a_page_at_its_end_and_where_it_was_interrupted(
    restoring: PretrainRecipe, tmp_path: Path
) -> None:
    recipe = restoring.with_changes({"training": {"steps": 4}})
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        api.pretrain(recipe=recipe, out=out, listener=StopsAfter(2))
    assert "This run has no result yet" in (page := (out / "report.html").read_text())
    assert "token frequencies" in page
    result = api.pretrain(recipe=recipe, out=out, resume=True)
    assert f"{result['heldout']['mlm_loss']:.3f}" in (page := (out / "report.html").read_text())
    assert "token frequencies" in page


def test_only_the_first_process_writes_the_page(
    restoring: PretrainRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    api.pretrain(recipe=restoring.with_changes({"training": {"steps": 2}}), out=tmp_path / "run")
    assert not (tmp_path / "run" / "report.html").exists()
