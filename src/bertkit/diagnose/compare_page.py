"""The page of runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from bertkit.config.terms import MASKED
from bertkit.diagnose.charts import Bar, draw_forest
from bertkit.diagnose.compare import PRETRAINING, Row
from bertkit.diagnose.page import figure, header, key, note, side, table, write_page
from bertkit.diagnose.pictures import DEV, TRAIN
from bertkit.diagnose.wording import capital, duration, with_interval
from bertkit.tasks.kinds import KINDS

Found = Mapping[str, Any]


class Scale(NamedTuple):
    """What runs are laid side by side on: its name, what the best has, whether a higher one is better, what
    dots stand for; and what is shown beside them: where rows have it, its name there, and words for it.
    """

    name: str
    best: str
    higher: bool
    dots: str
    beside: tuple[str, str, str]


_LOSSES = Scale(
    *("held-out loss", "lowest loss", False, "held-out text, nats"),
    beside=("floors", "unigram", "token frequencies"),
)


def scale_of(found: Found) -> Scale:
    """Of what was found: the losses of pretrainings, or scores by the metric of a kind of tasks."""
    if found["kind"] == PRETRAINING:
        return _LOSSES
    kind = KINDS[found["kind"]]
    metric = kind.metric(found["metric"]) if found["metric"] else None
    higher, rival = metric is None or metric.higher, kind.baselines[-1]
    return Scale(
        capital(found["metric_title"] if metric else "score"),
        f"{'highest' if higher else 'lowest'} score",
        higher,
        "with 95 % interval",
        ("baselines", rival.name, rival.title),
    )


def write_comparison(path: Path, found: Found) -> Path:
    """Write a page of what `diagnose.compare.compare` found, and return its path."""
    what = found["task"] or "pretraining"
    name = f"{what} · {len(found['rows'])} runs"
    level, lead, verdict = _verdict(found)
    parts = [
        header("bertkit compare", name, level, verdict, lead),
        side(_scores(found), _differences(found)),
        _table(found),
        _words(found),
        _recipe(found),
    ]
    return write_page(path, name, parts, found["version"])


def columns(found: Found) -> tuple[list[str], list[list[str]]]:
    """The heads and the lines of the table, on page and terminal alike."""
    text, name = found["kind"] == PRETRAINING, scale_of(found).name
    drawn = "" if text else " [95 %]"
    cells: dict[str, Callable[[Row], str]] = {
        "run": lambda row: row["name"] + (f" ({row['seeds']} seeds)" if row["seeds"] > 1 else ""),
        f"{name}{drawn}": lambda row: with_interval(row["score"], row["interval"]),
        f"difference{drawn}": lambda row: _apart(row["difference"]),
        "tokens right": lambda row: with_interval(row[MASKED.accuracy], form=".1%"),
        "train loss": lambda row: with_interval(row["train_loss"]),
        "steps": lambda row: f"{row['steps']:,}",
        "time": lambda row: duration(row["seconds"]),
        "weights": lambda row: _count(row["parameters"]),
    }
    heads = [head for head in cells if text or head not in ("tokens right", "steps")]
    lines = [
        [cells[head](row) for head in heads]
        if row["finished"]
        else [row["name"], "not finished", *[""] * (len(heads) - 2)]
        for row in found["rows"]
    ]
    return heads, lines


def _apart(difference: Row | None) -> str:
    return with_interval(difference["value"], difference["interval"]) if difference else "first"


def _count(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e6 else f"{parameters / 1e3:.0f} k"


def sentences(found: Found) -> list[str]:
    """What the differences mean, and what the numbers do not say, a sentence each."""
    told = [f"{row['name']}: {row['difference']['words']}" for row in found["rows"] if row.get("difference")]
    return [*told, *found["remarks"]]


def _verdict(found: Found) -> tuple[str, str, str]:
    finished = [row for row in found["rows"] if row["finished"] and row["score"] is not None]
    if not finished:
        return "open", "No run is finished.", "There is nothing to compare yet."
    scale = scale_of(found)
    best = (max if scale.higher else min)(finished, key=lambda row: row["score"])
    lead = f"{best['name']} has the {scale.best}."
    paired = [row["difference"] for row in finished if (row["difference"] or {}).get("interval")]
    apart = sum(low > 0 or high < 0 for low, high in (each["interval"] for each in paired))
    if not paired:
        return "open", lead, "No difference has an interval: see below why."
    first = next(row["name"] for row in finished if row["run"] == found["first"])
    drawn = all(each["seeds_drawn"] for each in paired)
    more = "significant (p below 0.05)" if drawn else "significant over the rows (p below 0.05)"
    verdict = f"Of {len(paired)} differences from {first}, {apart} {'is' if apart == 1 else 'are'} {more}."
    if len(paired) == 1:
        verdict = f"The difference from {first} is {'' if apart else 'not '}{more}."
    if not drawn:
        verdict += " Rows only, where a run has one seed: another seed may differ."
    return "good" if drawn and apart == len(paired) else "open", lead, verdict


def _words(found: Found) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences(found))
    return f"<section><h2>What the differences say</h2><ul>{items}</ul></section>" if items else ""


def _scores(found: Found) -> str:
    bars = []
    for row in found["rows"]:
        if row["finished"] and row["score"] is not None:
            interval = tuple(row["interval"]) if row["interval"] else None
            seeds = tuple(row["seed_scores"]) if row["seeds"] > 1 else ()
            bars.append(Bar(row["name"], row["score"], interval, DEV, seeds))
    if not bars:
        return ""
    scale = scale_of(found)
    name, keys = scale.name, [key("dev", scale.dots)]
    if any(bar.seeds for bar in bars):
        keys.append(note("Small dots are seeds."))
    place, beside, words = scale.beside
    heights = {row[place].get(beside) for row in found["rows"] if row["finished"]}
    # What the scores are seen against, where it is the same for all runs.
    levels = [height for height in heights if height is not None] if len(heights) == 1 else []
    keys += [key("ngram", f"{words}, {height:.3f}", dashed=True) for height in levels]
    svg = draw_forest("scores", bars, name, levels=levels)
    return figure(capital(name), svg, keys)


def _differences(found: Found) -> str:
    bars = []
    for row in found["rows"]:
        difference = row.get("difference")
        if difference and difference["value"] is not None:
            interval = tuple(difference["interval"]) if difference["interval"] else None
            bars.append(Bar(row["name"], difference["value"], interval, DEV if interval else TRAIN))
    if not bars:
        return ""
    first = next(row["name"] for row in found["rows"] if row["run"] == found["first"])
    remark = f"{capital(scale_of(found).name)} less that of {first}. "
    if found["kind"] != PRETRAINING:
        drawn = all((row.get("difference") or {}).get("seeds_drawn", True) for row in found["rows"])
        remark += (
            "A difference whose interval leaves out 0 is significant (p below 0.05). Rows and seeds are "
            "resampled together, so "
            if drawn
            else "A difference whose interval leaves out 0 is significant over the rows (p below 0.05). Of a "
            "run with one seed only rows are resampled: another seed may differ. Rows are resampled for both "
            "runs together, so "
        )
        remark += (
            "that rows which are hard for both count for neither. Without a line the rows cannot be paired."
        )
    elif any(bar.interval for bar in bars):
        remark += "An interval that leaves out 0 is more than the seeds scatter."
    svg = draw_forest("differences", bars, f"difference from {first}", zero=True)
    return figure(f"Difference from {first}", svg, [note(remark)])


def _table(found: Found) -> str:
    heads, lines = columns(found)
    cells = [[escape(cell) for cell in line] for line in lines]
    made = table([escape(head) for head in heads], cells, numbers=range(1, len(heads)), name="compared")
    return f"<section><h2>Side by side</h2>{made}</section>"


def _recipe(found: Found) -> str:
    if not found["recipe"]:
        return "<section><h2>Recipes</h2><p>The recipes are the same.</p></section>"
    heads = ["key", *(escape(row["name"]) for row in found["rows"])]
    lines = [
        [f"<code>{escape(name)}</code>", *(escape(value_text(value)) for value in values)]
        for name, values in found["recipe"].items()
    ]
    made = table(heads, lines, name="compared")
    return f"<section><h2>What differs in the recipes</h2>{made}</section>"


def value_text(value: Any) -> str:
    """A recipe's value for people; a key that a recipe does not have is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value) or "(empty)"
