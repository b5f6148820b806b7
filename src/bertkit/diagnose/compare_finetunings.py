"""Fine-tuning runs side by side: scores over the same dev rows, paired row by row where they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bertkit.config.head import USUAL_KIND
from bertkit.diagnose.side_by_side import Finished, Row, rows_of
from bertkit.errors import UserError
from bertkit.runs.folder import seed_folders
from bertkit.runs.history import last_train_loss, mean
from bertkit.runs.log import read_track
from bertkit.runs.reader import read_answers
from bertkit.runs.records import Record
from bertkit.tasks.kinds import METRICS
from bertkit.tasks.metrics import middle, paired_samples

NO_ROWS = "only each run's own interval is given"


def compare_finetunings(runs: Sequence[Path], results: Sequence[Record | None]) -> dict[str, Any]:
    """What `diagnose.compare.compare` says of fine-tunings, without what it says of every kind.

    Raises:
        UserError: runs of different metrics, or of different tasks and dev rows, or a damaged file.
    """
    finished = [result for result in results if result is not None]
    # Files of one's own give a task its name: other rows to train on and the same ones to score are no other.
    scored = {result.text("dev_fingerprint", "") for result in finished if result.has("dev_fingerprint")}
    same_rows = len(scored) == 1 and all(result.has("dev_fingerprint") for result in finished)
    for key in ("kind", "metric") if same_rows else ("task", "kind", "metric"):
        values = {result.text(key): result.place for result in finished}
        if len(values) > 1:
            (one, here), (other, there), *_ = values.items()
            raise UserError(
                f"The {key} of {Path(here).parent} is {one!r}, and of {Path(there).parent} {other!r}; "
                "compare runs that were scored alike."
            )
    rows, first = rows_of(runs, results, _figures, _difference)
    remarks = []
    if first is not None:
        if any(row.get("seeds") == 1 for row in rows):
            remarks.append(
                "Of one seed no interval tells how much another seed would change: --seeds 5 does."
            )
        remarks.append("The best epochs were chosen on the rows that are scored: other rows may score lower.")
    return {
        "kind": finished[0].text("kind") if finished else USUAL_KIND,
        "task": finished[0].text("task") if finished else None,
        "metric": finished[0].text("metric") if finished else None,
        "rows": rows,
        "first": None if first is None else str(first.run),
        "remarks": remarks,
    }


def _figures(one: Finished) -> Row:
    result = one.result
    seeds = result.parts("seeds")
    tracks = [read_track(folder, "finetune") for folder in seed_folders(one.run).values()]
    train_loss = mean([last_train_loss(track.evaluations) for track in tracks])
    return {
        "rows": result.whole("rows"),
        "score": result.number("score"),
        "interval": list(result.interval("interval")),
        "seeds": len(seeds),
        "seed_scores": [seed.number("score") for seed in seeds],
        "learned": sum(seed.text("status") == "learned" for seed in seeds),
        "train_loss": None if math.isnan(train_loss) else train_loss,
        "baselines": {
            name: result.part("baselines").part(name).number("score")
            for name in result.part("baselines").values
        },
        "seconds": result.number("seconds"),
        "parameters": result.whole("parameters"),
    }


def _difference(first: Finished, other: Finished) -> Row:
    reference, result = first.result, other.result
    value = result.number("score") - reference.number("score")
    found: Row = {
        "value": value,
        "interval": None,
        "ahead": None,
        "why": None,
        "seeds_drawn": False,
    }
    why = _not_paired(reference, result)
    theirs, ours = ([] if why else read_answers(each.run) for each in (first, other))
    if not theirs or not ours:
        found["why"] = why or "a seed's answers row by row are not in its folder"
        return found | {"words": f"No interval of the difference: {found['why']}; {NO_ROWS}."}
    metric = METRICS[result.text("metric")]
    samples = paired_samples(metric, [each.adds for each in ours], [each.adds for each in theirs])
    if not metric.higher:
        samples = -samples
    ahead = float((samples > 0).mean() + (samples == 0).mean() / 2)
    low, high = middle(samples)
    found |= {"interval": [low, high], "ahead": ahead}
    # One seed is drawn again and again: the samples say nothing of what another one would change.
    seeds = min(len(ours), len(theirs)) > 1
    return found | {"words": _words(low, high, ahead, len(samples), seeds), "seeds_drawn": seeds}


def _not_paired(reference: Record, result: Record) -> str | None:
    """Why rows of two runs are not known to be the same ones; None where they are."""
    if not (reference.has("dev_fingerprint") and result.has("dev_fingerprint")):
        return "one of the runs is of a bertkit that did not yet note which dev rows it scored"
    if reference.text("dev_fingerprint") != result.text("dev_fingerprint"):
        return "their dev rows are not the same"
    if not (reference.has("labels") and result.has("labels")):
        return "one of the results does not tell in which order its labels stand"
    if reference.values["labels"] != result.values["labels"]:
        return "their labels stand in another order"
    for each in (reference, result):
        if not isinstance(each.values["labels"], list):
            raise each.fault("'labels' is no list")
    return None


def _words(low: float, high: float, ahead: float, samples: int, seeds: bool) -> str:
    if low == high == 0:
        return "It scores the same on these rows, whichever are drawn."
    drawn = f"of {samples:,} resampled sets of rows{' and seeds' if seeds else ''}"
    rest = "" if seeds else " Rows only: another seed may differ."
    if low > 0:
        return f"It is better: ahead in {ahead:.1%} {drawn}.{rest}"
    if high < 0:
        return f"It is worse: behind in {1 - ahead:.1%} {drawn}.{rest}"
    return f"The two cannot be told apart on these rows: it is ahead in {ahead:.0%} {drawn}.{rest}"
