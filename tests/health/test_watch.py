"""What is seen of a run while it trains."""

import json

from bertkit.health.watch import Health


def test_a_record_has_what_was_measured_and_reads_back() -> None:
    seen = Health(step=7, epoch=0.5, smoothed_loss=0.0, gradient_norms={"layer 1": 0.25, "head": 1.5})
    record = seen.to_record()
    assert record == {
        "step": 7, "epoch": 0.5, "smoothed_loss": 0.0, "gradient_norms": {"layer 1": 0.25, "head": 1.5},
    }  # fmt: skip
    line = json.loads(json.dumps({"event": "health", **record, "added_later": 3}))
    assert Health.from_record(line) == seen
