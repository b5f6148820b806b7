"""`report.html`: a run on one page that needs nothing but a browser."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from bertkit import __version__
from bertkit.checkpoint.atomic import replace_file
from bertkit.diagnose.curves import Curves, draw_loss, draw_score, read_curves
from bertkit.diagnose.verdict import give_verdict
from bertkit.diagnose.wording import capital, duration, title
from bertkit.errors import UserError
from bertkit.train.runfolder import RECIPE, RESULT

REPORT = "report.html"
LEVELS = {"learned": "good", "not learned": "open", "collapsed": "bad", "diverged": "bad"}
Result = Mapping[str, Any]


def write_report(run: Path) -> Path:
    """Write `RUN/report.html` from what the run has logged so far, and return its path.

    A run that is not finished has a page too, without what only its result tells.

    Raises:
        UserError: the folder has neither a log nor a result, or one of them is damaged.
    """
    result = _read_result(run / RESULT)
    seeds = read_curves(run)
    if not result and not seeds:
        raise UserError(
            f"{run} is no run folder: it has neither {RESULT} nor a log. Give the folder of a run."
        )
    name = f"{result['task']} · {result['model']}" if result else run.resolve().name
    parts = [
        f"<header><p class=quiet>bertkit fine-tuning</p><h1>{escape(name)}</h1>{_verdict(result)}</header>",
        _facts(result) if result else "",
        f"<div class=side>{_loss(seeds, result)}{_score(seeds, result)}</div>" if seeds else "",
        f"<div class=side>{_confusion(result)}{_metrics(result)}</div>" if result else "",
        _seeds(result) if result and len(result["seeds"]) > 1 else "",
        _mistakes(result) if result else "",
        _again(run, bool(result)),
        f"<footer class=quiet>Made by bertkit {escape(result.get('version', __version__))}.</footer>",
    ]
    template = Template(files("bertkit.diagnose").joinpath(REPORT).read_text(encoding="utf-8"))
    page = run / REPORT
    text = template.substitute(title=escape(name), body="\n".join(filter(None, parts)))
    with replace_file(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _read_result(path: Path) -> dict[str, Any]:
    """The result, or nothing where the run has not come to its end."""
    if not path.is_file():
        return {}
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); evaluate the model again.") from None
    return result


def _verdict(result: Result) -> str:
    if not result:
        return "<p class='verdict open'>This run has no result yet: it is going on, or was interrupted.</p>"
    verdict = give_verdict(result)
    return f"<p class='verdict {verdict.level}'>{escape(verdict.text)}</p>"


def _facts(result: Result) -> str:
    facts = {
        "training rows": f"{result['train_rows']:,}",
        "dev rows": f"{result['rows']:,}",
        "parameters": f"{result['parameters']:,}",
        "precision": result["precision"],
        "best epoch": f"{result['best_epoch']:g}",
        "training time": duration(result["seconds"]),
        "pieces a second": f"{result['pieces_per_second']:,.0f}",
    }
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in facts.items())
    return f"<section><dl>{items}</dl></section>"


def _loss(seeds: Sequence[Curves], result: Result) -> str:
    prior = _prior_loss(result["confusion"]) if result else None
    keys = [_key("train", "training rows"), _key("dev", "dev rows")]
    if prior is not None:
        keys.append(_key("majority", f"knowing only the label shares, {prior:.3f}", dashed=True))
    broken = [curves.broke_at for curves in seeds if curves.broke_at is not None]
    if broken:
        keys.append(f"<span>The loss was no number from epoch {min(broken):.2f} on.</span>")
    return _figure("Loss", draw_loss(seeds, prior), keys, seeds)


def _prior_loss(confusion: Sequence[Sequence[int]]) -> float:
    """Entropy of the dev labels in nats: the least loss without a look at the text."""
    counts = [sum(row) for row in confusion]
    shares = [count / sum(counts) for count in counts if count]
    return -sum(share * math.log(share) for share in shares)


def _score(seeds: Sequence[Curves], result: Result) -> str:
    name = title(result["metric"]) if result else "score"
    baselines = {key: found["score"] for key, found in result["baselines"].items()} if result else {}
    keys = [_key("dev", "dev rows, with 95 % interval" if len(seeds) == 1 else "dev rows")]
    words = {"ngram": "n-gram model", "majority": "majority"}
    keys += [
        _key(key, f"{words[key]}, {baselines[key]:.3f}", dashed=True) for key in words if key in baselines
    ]
    return _figure(f"{capital(name)} after each epoch", draw_score(seeds, name, baselines), keys, seeds)


def _key(colour: str, words: str, dashed: bool = False) -> str:
    return f"<span><i{' class=dashed' * dashed} style='--key:var(--{colour})'></i>{escape(words)}</span>"


def _figure(heading: str, svg: str, keys: Iterable[str], seeds: Sequence[Curves]) -> str:
    note = f"<span>One line a seed ({len(seeds)}).</span>" if len(seeds) > 1 else ""
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(heading)}"', 1)
    return (
        f"<section><h2>{escape(heading)}</h2><figure>{svg}"
        f"<figcaption>{''.join(keys)}{note}</figcaption></figure></section>"
    )


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
    table = _table(heads, lines, numbers=range(1, len(heads)), caption=caption)
    return f"<section><h2>Beside the baselines</h2>{table}</section>"


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
    table = _table(heads, lines, numbers=range(4), levels=levels)
    return f"<section><h2>Seeds</h2>{table}</section>"


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
    table = _table(heads, lines, numbers=(0, 4), name="mistakes")
    note = f"<p class=quiet>The dev rows it is surest about and wrong{_of_best(result)}.</p>"
    return f"<section><h2>What it gets most wrong</h2>{note}{table}</section>"


def _table(
    heads: Sequence[str],
    lines: Sequence[Sequence[str]],
    *,
    numbers: Iterable[int] = (),
    name: str = "plain",
    caption: str = "",
    levels: Sequence[str] = (),
) -> str:
    """A table of texts that are escaped; columns `numbers` stand to the right, `levels` colour the last."""
    kinds = ["number" if column in set(numbers) else "" for column in range(len(heads))]

    def row(tag: str, line: Sequence[str], kinds: Sequence[str]) -> str:
        cells = zip(kinds, line, strict=True)
        return "<tr>" + "".join(f"<{tag} class='{kind}'>{text}</{tag}>" for kind, text in cells) + "</tr>"

    body = "".join(
        row("td", line, [*kinds[:-1], levels[place]] if levels else kinds) for place, line in enumerate(lines)
    )
    note = f"<caption>{caption}</caption>" if caption else ""
    return (
        f"<div class=scroll><table class={name}>{note}<thead>{row('th', heads, kinds)}</thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _again(run: Path, finished: bool) -> str:
    recipe = run / RECIPE
    if not recipe.is_file():
        return ""
    folder = shlex.quote(str(run))
    heading, commands = "To go on", [f"bertkit finetune -o {folder} --resume"]
    if finished:
        heading = "To use it, and to do it again"
        again = shlex.quote(f"{run}-again")
        commands = [
            f"bertkit predict {folder} FILE",
            f"bertkit finetune --recipe {shlex.quote(str(recipe))} -o {again}",
        ]
    text = escape(recipe.read_text(encoding="utf-8"))
    return (
        f"<section><h2>{heading}</h2><pre>{escape(chr(10).join(commands))}</pre></section>"
        f"<section><details><summary>The recipe</summary><pre>{text}</pre></details></section>"
    )
