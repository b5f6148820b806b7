"""The sections of a run's pages that are about what it learned from: labelled rows, or text."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from bertkit.config.terms import MASKED, PAIRS
from bertkit.diagnose import classes
from bertkit.diagnose.charts import (
    Bar,
    draw_accuracy,
    draw_forest,
    draw_loss,
    draw_masked_loss,
    draw_score,
    pair_points,
)
from bertkit.diagnose.page import facts, figure, key, note, side, stack, table
from bertkit.diagnose.pictures import DEV, MAJORITY, NGRAM
from bertkit.diagnose.sections import Told, gradients_by_layer, one_each
from bertkit.diagnose.verdict import losses
from bertkit.diagnose.wording import capital, duration, model_name, perplexity, said
from bertkit.recipe import Recipe, TrainingRecipe
from bertkit.runs.history import mean
from bertkit.runs.records import number
from bertkit.tasks.kinds import get_kind, title, title_of
from bertkit.tasks.registry import kind_of

OUTCOMES = {"learned": "good", "not learned": "open", "collapsed": "bad", "diverged": "bad"}
BLIND, RIVAL = ("majority", MAJORITY), ("ngram", NGRAM)
"""The colours of baselines: of the one that reads no text, and of the others."""


# ---- Labelled rows


def standing(told: Told) -> str:
    """The score and those of the baselines, with their intervals."""
    result = told.result
    seeds = tuple(seed["score"] for seed in result["seeds"]) if told.several else ()
    bars = [Bar("model", result["score"], tuple(result["interval"]), DEV, seeds)]
    for words, (_, colour), found in _baselines(told):
        interval = tuple(found["interval"]) if "interval" in found else None
        bars.append(Bar(words, found["score"], interval, colour))
    name = capital(title_of(result))
    remark = "Lines are 95 % intervals over dev rows" + (
        " and seeds; small dots are seeds." if seeds else "."
    )
    return figure(f"{name} beside the baselines", draw_forest("standing", bars, name), [note(remark)])


def _baselines(told: Told) -> list[tuple[str, tuple[str, str], Mapping[str, Any]]]:
    """Title, colour and figures of each that the result has, the blind one last."""
    known, found = get_kind(told.result["kind"]).baselines, told.result["baselines"]
    colours = (BLIND, *[RIVAL] * (len(known) - 1))
    rows = zip(known, colours, strict=True)
    return [(each.title, colour, found[each.name]) for each, colour in rows if found.get(each.name)][::-1]


def labelled_facts(told: Told) -> str:
    """What was run, at a glance."""
    result, asked = told.result, told.history.recipe
    found = {
        "training rows": f"{result['train_rows']:,}",
        "dev rows": f"{result['rows']:,}",
        **({"rows left out": f"{left_out:,}"} if (left_out := result.get("left_out")) else {}),
        "parameters": f"{result['parameters']:,}",
    }
    if told.history.known and isinstance(asked, Recipe):
        training, optimiser = asked.training, asked.optimiser
        found |= {
            "start": model_name(asked.model.start),
            "epochs": _length(training),
            "batch": f"{asked.batch.sequences} sequences",
            "highest learning rate": f"{optimiser.lr:g}, {optimiser.name}",
        }
    found |= {
        "best epoch": f"{result['best_epoch']:.3g}",
        "precision": result["precision"],
        "training time": duration(result["seconds"]),
        "tokens a second": f"{result['tokens_per_second']:,.0f}",
    }
    return facts(found, heading="What was run")


def about_rows(told: Told) -> str:
    """What was said of the rows before the run: those that are left out, and why."""
    said = "".join(f"<li>{escape(each)}</li>" for each in told.result.get("notes", ()))
    return f"<section><h2>About the rows</h2><ul>{said}</ul></section>" if said else ""


def _length(training: TrainingRecipe) -> str:
    if training.budget:
        return f"what fits into {duration(60 * training.budget)}"
    return f"up to {training.steps:,} steps" if training.steps else f"{training.epochs}"


def loss(told: Told) -> str:
    """Of training and dev rows, over epochs."""
    tracks, doctors = told.tracks, told.examined is not None
    if not tracks:
        return ""
    floor = told.history.floor if told.history.finished or doctors else None
    keys = [key("train", "training rows"), key("dev", "dev rows")]
    if floor is not None and isinstance(told.history.recipe, Recipe):
        kind = told.result.get("kind") or kind_of(told.history.recipe.task).name
        keys.append(key("majority", f"{get_kind(kind).floor_title}, {floor:.3f}", dashed=True))
    broken = [track.broke.place for track in tracks if track.broke is not None]
    if broken and not doctors:
        keys.append(note(f"The loss was no number from epoch {min(broken):.2f} on."))
    return figure("Loss", draw_loss(tracks, floor), [*keys, *one_each(tracks)])


def score(told: Told) -> str:
    """Of the dev rows, over epochs, beside the baselines."""
    tracks, scores = told.tracks, told.history.scores
    if not any(track.evaluations or (track.begun and told.examined is None) for track in tracks):
        return ""
    name = "score" if scores is None else title(scores.metric, scores.positive)
    known = [] if scores is None else [(BLIND, scores.blind), (RIVAL, scores.rival)]
    baselines = [(colour, each) for colour, each in known if each is not None]
    keys = [key("dev", "dev rows, with 95 % interval" if len(tracks) == 1 else "dev rows")]
    beside = [key(of, f"{each.title}, {each.score:.3f}", dashed=True) for (of, _), each in baselines]
    # On the report as in its tables, the better ones first.
    keys += beside if told.examined is not None else reversed(beside)
    svg = draw_score(tracks, name, {colour: each.score for (_, colour), each in baselines})
    return figure(f"{capital(name)} after each epoch", svg, [*keys, *one_each(tracks)])


def gradients_and_metrics(told: Told) -> str:
    """Two columns, with gradients or without."""
    gradients = gradients_by_layer(told)
    if not told.result:
        return gradients
    one_of_several = get_kind(told.result["kind"]).classes
    confusion = classes.confusion(told.result, told.of_best) if one_of_several else ""
    metrics = _metrics(told)
    # Many classes make a table that needs the whole width.
    if not gradients or len(told.result.get("labels", ())) > classes.FEW:
        return side(gradients, metrics, confusion)
    return side(gradients, stack(confusion, metrics))


def _metrics(told: Told) -> str:
    result = told.result
    names = list(result["metrics"])
    rows = {"model": result["metrics"]}
    rows |= {words: found["metrics"] for words, _, found in _baselines(told)}
    lines = [[escape(who), *(f"{metrics[name]:.3f}" for name in names)] for who, metrics in rows.items()]
    heads = ["", *(escape(title(name, result.get("positive", ""))) for name in names)]
    caption = (
        f"On the dev rows{told.of_best}. The epoch with the best {escape(title_of(result))} was "
        "chosen on these same rows: other rows may score a little lower."
    )
    made = table(heads, lines, numbers=range(1, len(heads)), caption=caption)
    return f"<section><h2>Beside the baselines</h2>{made}</section>"


def seeds(told: Told) -> str:
    """What each of several came to."""
    if not told.several:
        return ""
    found = told.result["seeds"]
    lines = [
        [
            str(seed["seed"]),
            f"{seed['score']:.3f}",
            f"{seed['last_score']:.3f}",
            f"{seed['best_epoch']:.3g}",
            escape(seed["status"]),
        ]
        for seed in found
    ]
    levels = [OUTCOMES[seed["status"]] for seed in found]
    name = escape(title_of(told.result))
    heads = ["seed", f"best {name}", f"last {name}", "best epoch", "outcome"]
    return f"<section><h2>Seeds</h2>{table(heads, lines, numbers=range(4), levels=levels)}</section>"


# ---- Text


def text_facts(told: Told) -> str:
    """What was run, at a glance."""
    result, track = told.result, told.history.track
    found = {"steps": f"{track.last_step:,}", "tokens read": f"{track.tokens:,}"}
    if result:
        found = {
            "parameters": f"{result['parameters']:,}",
            "vocabulary": f"{result['vocabulary_size']:,} tokens",
            "steps": f"{result['steps']:,}",
            "tokens read": f"{result['tokens']:,}",
            "times the text": f"{result['epochs']:.2f}",
            "time": duration(result["seconds"]),
            "tokens a second": f"{result['tokens_per_second']:,.0f}",
            "processes": str(result["processes"]),
            "precision": result["precision"],
        }
    if (share := mean(track.gemm_shares)) > 0:
        found["of the GEMM rate"] = f"{share:.0%}"
    return facts(found)


def masked_loss(told: Told) -> str:
    """Of training and held-out text, over steps."""
    history = told.history
    tracks = [track for track in history.tracks if track.steps or track.evaluations]
    if not tracks:
        return ""
    keys = [key("train", "training text, smoothed")]
    if any(track.evaluations for track in tracks):
        keys.append(key("dev", "held-out text"))
    if history.floor is not None:
        keys.append(key("ngram", f"token frequencies, {history.floor:.3f}", dashed=True))
    if history.uniform is not None:
        keys.append(key("majority", f"uniform guessing, {history.uniform:.3f}", dashed=True))
    broken = [track.broke.step for track in tracks if track.broke is not None]
    if broken and told.examined is None:
        keys.append(note(f"The loss was no number from step {min(broken):,} on."))
    svg = draw_masked_loss(tracks, history.floor, history.uniform)
    return figure("Loss of masked tokens", svg, [*keys, *one_each(tracks)])


def restored(told: Told) -> str:
    """How much of held-out text is right, over steps."""
    tracks = [track for track in told.history.tracks if track.evaluations]
    if not tracks:
        return ""
    keys = [key("dev", "masked tokens restored")]
    if any(pair_points(track) for track in tracks):
        keys.append(key("ngram", "pairs told right (chance: 50 %)"))
    return figure("Right on held-out text", draw_accuracy(tracks), [*keys, *one_each(tracks)])


def baseline_losses(told: Told) -> str:
    """The loss beside the baseline losses."""
    rows = losses(told.result)
    names = [name for name in (MASKED.accuracy, PAIRS.accuracy) if any(name in row for row in rows.values())]
    titles = {MASKED.accuracy: "tokens right", PAIRS.accuracy: "pairs right"}
    lines = [
        [
            escape(who),
            said(row[MASKED.loss], 3),
            said(perplexity(row[MASKED.loss]), 1),
            *(f"{row[name]:.1%}" if name in row else "" for name in names),
        ]
        for who, row in rows.items()
    ]
    heads = ["", "MLM loss", "perplexity", *(titles[name] for name in names)]
    caption = (
        "Perplexity is exp of the loss: among how many tokens, all equally likely, one would guess as well."
    )
    made = table(heads, lines, numbers=range(1, len(heads)), caption=caption)
    return f"<section><h2>Beside the baseline losses</h2>{made}</section>"


def seeds_of_text(told: Told) -> str:
    """What each of several came to."""
    if not told.several:
        return ""
    found = told.result["seeds"]
    outcomes = ["not learned" if seed["through_at"] is None else "learned" for seed in found]
    lines = [
        [
            str(seed["seed"]),
            said(number(seed["loss"]), 3),
            "" if seed["through_at"] is None else f"{seed['through_at']:,}",
            f"{seed['steps']:,}",
            outcome,
        ]
        for seed, outcome in zip(found, outcomes, strict=True)
    ]
    heads = ["seed", "MLM loss", "off the plateau by step", "steps", "outcome"]
    levels = [OUTCOMES[outcome] for outcome in outcomes]
    return f"<section><h2>Seeds</h2>{table(heads, lines, numbers=range(4), levels=levels)}</section>"
