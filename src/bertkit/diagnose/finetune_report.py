"""The page of a fine-tuning run."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bertkit.diagnose.curves import Curves, draw_loss, draw_score
from bertkit.diagnose.page import commands, facts, figure, header, key, note, recipe_text, side, table
from bertkit.diagnose.verdict import give_verdict
from bertkit.diagnose.wording import capital, duration, title
from bertkit.train.runfolder import RECIPE

LEVELS = {"learned": "good", "not learned": "open", "collapsed": "bad", "diverged": "bad"}
NO_RESULT = "This run has no result yet: it is going on, or was interrupted."
Result = Mapping[str, Any]


def finetune_parts(run: Path, name: str, result: Result, seeds: Sequence[Curves]) -> list[str]:
    """The page's parts, of a run that may have no result yet (then it is empty)."""
    level, verdict = "open", NO_RESULT
    if result:
        given = give_verdict(result)
        level, verdict = given.level, given.text
    return [
        header("bertkit fine-tuning", name, level, verdict),
        _facts(result) if result else "",
        side(_loss(seeds, result), _score(seeds, result)) if seeds else "",
        side(_confusion(result), _metrics(result)) if result else "",
        _seeds(result) if result and len(result["seeds"]) > 1 else "",
        _mistakes(result) if result else "",
        _again(run, bool(result)),
    ]


def _facts(result: Result) -> str:
    return facts(
        {
            "training rows": f"{result['train_rows']:,}",
            "dev rows": f"{result['rows']:,}",
            "parameters": f"{result['parameters']:,}",
            "precision": result["precision"],
            "best epoch": f"{result['best_epoch']:g}",
            "training time": duration(result["seconds"]),
            "pieces a second": f"{result['pieces_per_second']:,.0f}",
        }
    )


def _loss(seeds: Sequence[Curves], result: Result) -> str:
    prior = _prior_loss(result["confusion"]) if result else None
    keys = [key("train", "training rows"), key("dev", "dev rows")]
    if prior is not None:
        keys.append(key("majority", f"knowing only the label shares, {prior:.3f}", dashed=True))
    broken = [curves.broke_at for curves in seeds if curves.broke_at is not None]
    if broken:
        keys.append(note(f"The loss was no number from epoch {min(broken):.2f} on."))
    return figure("Loss", draw_loss(seeds, prior), [*keys, *_how_many(seeds)])


def _prior_loss(confusion: Sequence[Sequence[int]]) -> float:
    """Entropy of the dev labels in nats: the least loss without a look at the text."""
    counts = [sum(row) for row in confusion]
    shares = [count / sum(counts) for count in counts if count]
    return -sum(share * math.log(share) for share in shares)


def _score(seeds: Sequence[Curves], result: Result) -> str:
    name = title(result["metric"]) if result else "score"
    baselines = {who: found["score"] for who, found in result["baselines"].items()} if result else {}
    keys = [key("dev", "dev rows, with 95 % interval" if len(seeds) == 1 else "dev rows")]
    words = {"ngram": "n-gram model", "majority": "majority"}
    keys += [
        key(who, f"{words[who]}, {baselines[who]:.3f}", dashed=True) for who in words if who in baselines
    ]
    svg = draw_score(seeds, name, baselines)
    return figure(f"{capital(name)} after each epoch", svg, [*keys, *_how_many(seeds)])


def _how_many(seeds: Sequence[Curves]) -> list[str]:
    return [note(f"One line a seed ({len(seeds)}).")] if len(seeds) > 1 else []


def _confusion(result: Result) -> str:
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
    wide = " class=wide" if len(labels) > 6 else ""
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
        "n-gram model": result["baselines"]["ngram"]["metrics"],
        "majority": result["baselines"]["majority"]["metrics"],
    }
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


def _mistakes(result: Result) -> str:
    if not result["mistakes"]:
        return ""
    lines = [
        [
            str(row["line"]),
            escape(row["text"]) + (f"<br>{escape(row['pair'])}" if row["pair"] else ""),
            escape(row["label"]),
            escape(row["predicted"]),
            f"{row['probability']:.1%}",
        ]
        for row in result["mistakes"]
    ]
    heads = ["line", "text", "true", "predicted", "probability"]
    made = table(heads, lines, numbers=(0, 4), name="mistakes")
    remark = f"<p class=quiet>The dev rows it is surest about and wrong{_of_best(result)}.</p>"
    return f"<section><h2>What it gets most wrong</h2>{remark}{made}</section>"


def _again(run: Path, finished: bool) -> str:
    recipe = run / RECIPE
    if not recipe.is_file():
        return ""
    folder = shlex.quote(str(run))
    heading, lines = "To go on", [f"bertkit finetune -o {folder} --resume"]
    if finished:
        heading = "To use it, and to do it again"
        again = shlex.quote(f"{run}-again")
        lines = [
            f"bertkit predict {folder} FILE",
            f"bertkit finetune --recipe {shlex.quote(str(recipe))} -o {again}",
        ]
    return commands(heading, lines) + recipe_text(recipe)
