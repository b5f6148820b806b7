"""What is seen of a run while it trains."""

import json
import math

import pytest

from bertkit.health.watch import Watch
from bertkit.runs.history import Health


def test_a_record_has_what_was_measured_and_reads_back() -> None:
    seen = Health(step=7, epoch=0.5, smoothed_loss=0.0, gradient_norms={"layer 1": 0.25, "head": 1.5})
    record = seen.to_record()
    assert record == {
        "step": 7, "epoch": 0.5, "smoothed_loss": 0.0, "gradient_norms": {"layer 1": 0.25, "head": 1.5},
    }  # fmt: skip
    line = json.loads(json.dumps({"event": "health", **record, "added_later": 3}))
    assert Health.from_record(line) == seen


@pytest.mark.parametrize(("loss", "through_at"), [(math.nan, None), (1.7, None), (1.69, 3)])
def test_only_a_number_below_the_plateau_is_through_it(loss: float, through_at: int | None) -> None:
    watch = Watch()
    assert watch.passed(3, loss, 2.0) == (through_at is not None)
    assert watch.through_at == through_at
