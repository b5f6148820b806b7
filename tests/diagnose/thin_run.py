"""Thin a run's folder out to a few kB that the doctor says the same of: `python thin_run.py RUN FOLDER`.

`runs/stuck` and `runs/my-bert` were made by it, of the runs whose commands docs/doctor.md gives.
"""

import json
import sys
from pathlib import Path
from typing import Any

STEPS = 50
"""Of the training log; the checks want 30."""
RESULT = {"task", "kind", "model", "rows", "train_rows", "metric", "score", "interval", "baselines", "seeds"}
RESULT |= {
    "floor",
    "label_shares",
    "steps",
    "tokens",
    "epochs",
    "seconds",
    "heldout",
    "before",
    "floors",
    "through_at",
}
RESULT |= {"long_from", "version"}
SEED = {"seed", "score", "last_score", "status", "best_epoch", "steps", "seconds"}
TRAIN = {"event", "step", "epoch", "fraction", "loss", "mlm_loss", "learning_rate", "gradient_norm"}
TRAIN |= {"tokens_per_second"}
AS_IT_IS = ("recipe.toml", "findings.json")


def rounded(value: Any, digits: int = 6) -> Any:
    """Floats to six digits, of what was measured by layer to three, wherever they stand."""
    if isinstance(value, dict):
        return {name: rounded(inner, 3 if "layer 1" in value else 6) for name, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner, digits) for inner in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def spaced(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many of them: the first, the last, and some at equal distances between."""
    if len(records) <= count:
        return records
    return [records[round(place * (len(records) - 1) / (count - 1))] for place in range(count)]


def thin(run: Path, folder: Path) -> None:
    """Write what is needed of `run` to `folder`."""
    folder.mkdir(parents=True)
    for name in AS_IT_IS:
        if (run / name).is_file():
            (folder / name).write_text((run / name).read_text())
    for name, wanted in (("result.json", RESULT), ("seed.json", SEED)):
        if (run / name).is_file():
            values = json.loads((run / name).read_text())
            fewer = {key: value for key, value in values.items() if key in wanted}
            (folder / name).write_text(json.dumps(rounded(fewer), indent=1) + "\n")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    events: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        events.setdefault(record["event"], []).append(record)
    trained = events.pop("train")
    highest = max(trained, key=lambda record: float(record["learning_rate"]))
    kept = {record["step"]: record for record in (*spaced(trained, STEPS), highest)}
    fewer = [{key: value for key, value in record.items() if key in TRAIN} for record in kept.values()]
    # Of the looks in the first steps, two that looked at inputs too are enough.
    fewer += [look for look in events.pop("health", []) if "cls_spread" in look]
    fewer += [record for others in events.values() for record in others]
    lines = [json.dumps(rounded(record)) for record in sorted(fewer, key=lambda record: record["step"])]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    thin(Path(sys.argv[1]), Path(sys.argv[2]))
