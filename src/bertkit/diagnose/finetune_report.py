"""The page of a fine-tuning run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bertkit.diagnose.begun_again import begun_again_section, typed_settings
from bertkit.diagnose.charts import draw_loss, draw_score
from bertkit.diagnose.explained import mistakes_section
from bertkit.diagnose.findings import findings_section
from bertkit.diagnose.forest import Bar, draw_forest
from bertkit.diagnose.heat import heat_map
from bertkit.diagnose.page import facts, figure, header, key, note, side, stack, table, ways_on
from bertkit.diagnose.pictures import DEV, MAJORITY, NGRAM
from bertkit.diagnose.probabilities import reliability, threshold_curve
from bertkit.diagnose.verdict import give_verdict
from bertkit.diagnose.wording import capital, duration, title
from bertkit.recipe import Recipe
from bertkit.runs.findings import Finding
from bertkit.runs.folder import RECIPE
from bertkit.runs.history import History, Track

LEVELS = {"learned": "good", "not learned": "open", "collapsed": "bad", "diverged": "bad"}
FEW = 6
"""Classes whose table fits into a column."""
NO_RESULT = "This run has no result yet: it is going on, or was interrupted."
Result = Mapping[str, Any]


def finetune_parts(
    run: Path,
    name: str,
    result: Result,
    findings: Sequence[Finding],
    history: History,
) -> list[str]:
    """The page's parts, of a run that may have no result yet (then it is empty)."""
    level, lead, verdict = "open", "Not finished.", NO_RESULT
    if result:
        given = give_verdict(result)
        level, lead, verdict = given.level, given.lead, given.text
    seeds = [track for track in history.tracks if track.begun]
    settings = list(typed_settings(history).values())
    uses = [f"bertkit predict {shlex.quote(str(run))} FILE"] if result else []
    return [
        header("bertkit fine-tuning", name, level, verdict, lead),
        side(_standing(result), _facts(result, history)) if result else "",
        begun_again_section(history),
        findings_section(findings),
        side(_loss(seeds, result), _score(seeds, result)) if seeds else "",
        _gradients_and_answers(_gradients(seeds, result), result),
        side(*_probabilities(result)) if result else "",
        _seeds(result) if result and len(result["seeds"]) > 1 else "",
        mistakes_section(result["mistakes"], _of_best(result)) if result else "",
        ways_on(run / RECIPE, "finetune", uses, settings),
    ]


def _standing(result: Result) -> str:
    """The score and those of the baselines, with their intervals."""
    colours = {"ngram": ("n-gram model", NGRAM), "majority": ("majority", MAJORITY)}
    seeds = tuple(seed["score"] for seed in result["seeds"]) if len(result["seeds"]) > 1 else ()
    bars = [Bar("model", result["score"], tuple(result["interval"]), DEV, seeds)]
    for who, (words, colour) in colours.items():
        if found := result["baselines"].get(who):
            interval = tuple(found["interval"]) if "interval" in found else None
            bars.append(Bar(words, found["score"], interval, colour))
    name = capital(title(result["metric"]))
    remark = "Lines are 95 % intervals over dev rows" + (
        " and seeds; small dots are seeds." if seeds else "."
    )
    return figure(f"{name} beside the baselines", draw_forest("standing", bars, name), [note(remark)])


def _facts(result: Result, history: History) -> str:
    told = {
        "training rows": f"{result['train_rows']:,}",
        "dev rows": f"{result['rows']:,}",
        "parameters": f"{result['parameters']:,}",
        **(_asked(history.recipe) if history.known and isinstance(history.recipe, Recipe) else {}),
        "best epoch": f"{result['best_epoch']:g}",
        "precision": result["precision"],
        "training time": duration(result["seconds"]),
        "pieces a second": f"{result['pieces_per_second']:,.0f}",
    }
    return facts(told, heading="What was run")


def _asked(recipe: Recipe) -> dict[str, str]:
    """What a reader wants to know of the recipe at a glance."""
    training, optimiser = recipe.training, recipe.optimiser
    return {
        "start": Path(recipe.model.start).name,
        "epochs": f"{training.epochs}" if not training.steps else f"up to {training.steps:,} steps",
        "batch": f"{recipe.batch.sequences} sequences",
        "highest rate": f"{optimiser.lr:g}, {optimiser.name}",
    }


def _gradients(seeds: Sequence[Track], result: Result) -> str:
    """The heat map of the only seed, or of the best one."""
    best = result["best_seed"] if result and len(seeds) > 1 else None
    chosen = next((track for track in seeds if best in (None, track.seed)), None)
    if chosen is None:
        return ""
    return heat_map(chosen.health, "gradient_norms", "" if len(seeds) == 1 else f" Of seed {chosen.seed}.")


def _gradients_and_answers(gradients: str, result: Result) -> str:
    """Two columns, with gradients or without."""
    if not result:
        return gradients
    answers = (_confusion(result), _metrics(result))
    # Many classes make a table that needs the whole width.
    if not gradients or len(result["labels"]) > FEW:
        return gradients + side(*answers)
    return side(gradients, stack(*answers))


def _probabilities(result: Result) -> tuple[str, str]:
    ngram = result["baselines"].get("ngram", {}).get("score")
    of_best = _of_best(result)
    return (
        reliability(result.get("calibration"), of_best),
        threshold_curve(result.get("thresholds"), ngram, of_best),
    )


def _loss(seeds: Sequence[Track], result: Result) -> str:
    prior = result.get("floor")
    keys = [key("train", "training rows"), key("dev", "dev rows")]
    if prior is not None:
        keys.append(key("majority", f"knowing only the label shares, {prior:.3f}", dashed=True))
    broken = [track.broke.place for track in seeds if track.broke is not None]
    if broken:
        keys.append(note(f"The loss was no number from epoch {min(broken):.2f} on."))
    return figure("Loss", draw_loss(seeds, prior), [*keys, *_how_many(seeds)])


def _score(seeds: Sequence[Track], result: Result) -> str:
    name = title(result["metric"]) if result else "score"
    baselines = {who: found["score"] for who, found in result["baselines"].items()} if result else {}
    keys = [key("dev", "dev rows, with 95 % interval" if len(seeds) == 1 else "dev rows")]
    words = {"ngram": "n-gram model", "majority": "majority"}
    keys += [
        key(who, f"{words[who]}, {baselines[who]:.3f}", dashed=True) for who in words if who in baselines
    ]
    svg = draw_score(seeds, name, baselines)
    return figure(f"{capital(name)} after each epoch", svg, [*keys, *_how_many(seeds)])


def _how_many(seeds: Sequence[Track]) -> list[str]:
    return [note(f"One line a seed ({len(seeds)}).")] if len(seeds) > 1 else []


def _confusion(result: Result) -> str:
    if not result.get("confusion"):
        return ""
    labels = [escape(label) for label in result["labels"]]
    head = "".join(f"<th scope=col>{label}</th>" for label in labels)
    rows = ""
    for label, counts in zip(labels, result["confusion"], strict=True):
        total = sum(counts)
        shares = [count / total if total else 0.0 for count in counts]
        cells = "".join(
            f"<td style='--share:{share:.3f}'>{count:,}<small>{share:.0%}</small></td>"
            for count, share in zip(counts, shares, strict=True)
        )
        rows += f"<tr><th scope=row>{label}</th>{cells}</tr>"
    wide = " class=wide" if len(labels) > FEW else ""
    return (
        f"<section{wide}><h2>What is taken for what</h2><div class=scroll><table class=confusion>"
        f"<caption>Rows: the true label. Columns: the prediction{_of_best(result)}. "
        "Percentages are of the row.</caption>"
        f"<thead><tr><td style='--share:0;background:none'></td>{head}</tr></thead><tbody>{rows}</tbody>"
        "</table></div></section>"
    )


def _of_best(result: Result) -> str:
    return f", seed {result['best_seed']} (the best)" if len(result["seeds"]) > 1 else ""


def _metrics(result: Result) -> str:
    names = list(result["metrics"])
    rows = {
        "model": result["metrics"],
    }
    for who, words in (("ngram", "n-gram model"), ("majority", "majority")):
        if found := result["baselines"].get(who):
            rows[words] = found["metrics"]
    lines = [[escape(who), *(f"{metrics[name]:.3f}" for name in names)] for who, metrics in rows.items()]
    heads = ["", *(escape(title(name)) for name in names)]
    caption = (
        f"On the dev rows{_of_best(result)}. The epoch with the best {escape(title(result['metric']))} was "
        "chosen on these same rows: other rows may score a little lower."
    )
    made = table(heads, lines, numbers=range(1, len(heads)), caption=caption)
    return f"<section><h2>Beside the baselines</h2>{made}</section>"


def _seeds(result: Result) -> str:
    lines = [
        [
            str(seed["seed"]),
            f"{seed['score']:.3f}",
            f"{seed['last_score']:.3f}",
            f"{seed['best_epoch']:g}",
            escape(seed["status"]),
        ]
        for seed in result["seeds"]
    ]
    levels = [LEVELS[seed["status"]] for seed in result["seeds"]]
    name = title(result["metric"])
    heads = ["seed", f"best {name}", f"last {name}", "best epoch", "outcome"]
    made = table(heads, lines, numbers=range(4), levels=levels)
    return f"<section><h2>Seeds</h2>{made}</section>"
