"""What came of a seed, read back, or refused with its file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bertkit.errors import UserError
from bertkit.runs.result import PretrainedSeed, SeedResult

DONE = SeedResult(3, 0.5, 0.4, "learned", 2.0, 17, 99, 1.5)
PRETRAINED = {
    "steps": 9,
    "heldout": None,
    "train_mlm_loss": 2.5,
    "through_at": None,
    "restarts": [],
    "seconds": 1,
}


@pytest.mark.parametrize("done", [DONE, PretrainedSeed(4, PRETRAINED)])
def test_a_seed_that_is_done_is_read_back(tmp_path: Path, done: SeedResult | PretrainedSeed) -> None:
    assert type(done).read(tmp_path) is None
    done.write(tmp_path)
    assert type(done).read(tmp_path) == done


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (SeedResult, {"seed": 3}, "it is no result of a seed"),
        (SeedResult, {**asdict(DONE), "colour": "red"}, "it is no result of a seed"),
        (SeedResult, [], "is [], and not a JSON object"),
        (PretrainedSeed, {"seed": 4}, "'steps' is missing"),
        (PretrainedSeed, {**PRETRAINED, "seed": "four"}, "'seed' is 'four', and not a number"),
    ],
)
def test_a_damaged_result_of_a_seed_is_told(tmp_path: Path, kind: Any, values: Any, words: str) -> None:
    (tmp_path / "seed.json").write_text(json.dumps(values))
    with pytest.raises(UserError) as error:
        kind.read(tmp_path)
    assert str(tmp_path / "seed.json") in str(error.value)
    assert words in str(error.value)
