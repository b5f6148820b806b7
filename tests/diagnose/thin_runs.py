"""Makes a small run folder of finished ones, for `test_healthy_runs.py`: a part of the steps, four digits.

    python tests/diagnose/thin_runs.py tests/diagnose/healthy/cola-scratch 12 RUN RUN RUN

Runs of one fine-tuning recipe that differ in their seed become one of several seeds, whose score and interval
are those that `--score MEAN LOW HIGH` says: of the study that made them.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

KEPT = (
    "kind",
    "model",
    "rows",
    "metric",
    "score",
    "interval",
    "baselines",
    "floor",
    "label_shares",
    "version",
    "steps",
    "tokens",
    "epochs",
    "seconds",
    "train_loss",
    "train_mlm_loss",
    "heldout",
    "before",
    "floors",
    "through_at",
    "long_from",
    "tokens_per_second",
)
OF_SEED = ("seed", "score", "status", "best_epoch", "seconds")
OF_STEPS = ("learning_rate", "gradient_norm", "tokens_per_second")
OF_RECORDS = (
    "event",
    "step",
    "epoch",
    "fraction",
    "loss",
    "mlm_loss",
    "mlm_accuracy",
    "train_loss",
    "score",
    "interval",
    "unigram",
    "uniform",
    "smoothed_loss",
    "baseline_loss",
    "heldout_gap",
    "gradient_norms",
    "update_ratios",
    "cls_spread",
    "probability_spread",
    "majority_share",
    "attention_entropy",
    "dead_units",
    "learning_rate",
)


def short(value: Any) -> Any:
    """The value with four digits of every number in it that is no integer."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: short(each) for key, each in value.items()}
    return [short(each) for each in value] if isinstance(value, list) else value


def thin_log(path: Path, every: int, out: Path) -> None:
    """Every n-th step, every fourth of these and the last with its rate, and all else."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    last = max(record["step"] for record in records if record["event"] == "train")
    lines = []
    for record in records:
        step = record.get("step", 0)
        train = record["event"] == "train"
        if train and step % every and step != last:
            continue
        kept = {key: record[key] for key in OF_RECORDS if key in record}
        if train:
            kept.pop("learning_rate", None)
            kept.pop("mlm_accuracy", None)
            if step % (4 * every) == 0 or step == last:
                kept |= {key: record[key] for key in OF_STEPS if key in record}
        lines.append(json.dumps(short(kept), separators=(",", ":")))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def thin(runs: list[Path], every: int, out: Path, score: list[float]) -> None:
    """See above."""
    results = [json.loads((run / "result.json").read_text(encoding="utf-8")) for run in runs]
    result = {key: results[0][key] for key in KEPT if key in results[0]}
    several = len(runs) > 1
    for run, each in zip(runs, results, strict=True):
        seed = each["seeds"][0]["seed"] if several else ""
        folder = out / f"seed-{seed}" if several else out
        thin_log(run / "metrics.jsonl", every, folder / "metrics.jsonl")
        if (run / "seed.json").is_file():
            told = json.loads((run / "seed.json").read_text(encoding="utf-8"))
            kept = {
                key: told[key] for key in ("seed", "score", "status", "best_epoch", "seconds") if key in told
            }
            (folder / "seed.json").write_text(json.dumps(short(kept)) + "\n", encoding="utf-8")
    if score:
        result |= {"score": score[0], "interval": score[1:]}
    (out / "result.json").write_text(json.dumps(short(result)) + "\n", encoding="utf-8")
    # Where the text lay is of no concern.
    recipe = re.sub(r'"/[^"]*/([^"/]+)"', r'"\1"', (runs[0] / "recipe.toml").read_text(encoding="utf-8"))
    if several:
        recipe = re.sub(r"(?m)^seed = .*\nseeds = .*$", f"seed = 0\nseeds = {len(runs)}", recipe)
    (out / "recipe.toml").write_text(recipe, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("every", type=int)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--score", type=float, nargs=3, default=[])
    arguments = parser.parse_args()
    thin(arguments.runs, arguments.every, arguments.out, arguments.score)
