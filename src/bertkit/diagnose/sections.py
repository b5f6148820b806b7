"""The sections of a run's pages: each a function of what is told of a run, empty where that says nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bertkit.config.terms import MASKED, PAIRS
from bertkit.diagnose import classes, numbers
from bertkit.diagnose.answers import begun_again, typed_settings
from bertkit.diagnose.charts import (
    Bar,
    draw_accuracy,
    draw_forest,
    draw_gradients,
    draw_loss,
    draw_masked_loss,
    draw_score,
    gradient_lines,
    pair_points,
)
from bertkit.diagnose.doctor import Examination
from bertkit.diagnose.looks import heat_map, spreads
from bertkit.diagnose.page import commands, facts, figure, folded, header, key, note, side, stack, table
from bertkit.diagnose.pictures import DEV, MAJORITY, NGRAM
from bertkit.diagnose.verdict import losses, verdict_on
from bertkit.diagnose.wording import capital, duration, perplexity, said, title
from bertkit.recipe import Recipe
from bertkit.runs.findings import FEW, MAY_HELP, WITH, Change, Finding, as_above, by_weight, ways
from bertkit.runs.folder import RECIPE, is_run, recipe_text
from bertkit.runs.history import History, Track, mean
from bertkit.runs.records import number
from bertkit.tasks.kinds import get_kind
from bertkit.tasks.registry import kind_of

PHASES = {"finetune": "fine-tuning", "pretrain": "pretraining"}
OUTCOMES = {"learned": "good", "not learned": "open", "collapsed": "bad", "diverged": "bad"}
WEIGHTS = {"grave": "bad", "notable": "open"}
BLIND, RIVAL = ("majority", MAJORITY), ("ngram", NGRAM)
"""The colours of baselines: of the one that reads no text, and of the others."""


@dataclass(frozen=True)
class Told:
    """What a page is made of.

    Attributes:
        run: the folder.
        name: of the page.
        history: what the run went through.
        result: the content of its `result.json`; empty while it has none.
        findings: what the checks found.
        examined: what the doctor says, on a page of the doctor's.
    """

    run: Path
    name: str
    history: History
    result: Mapping[str, Any]
    findings: Sequence[Finding]
    examined: Examination | None = None

    @property
    def tracks(self) -> list[Track]:
        """The models that have logged anything."""
        return [track for track in self.history.tracks if track.begun]

    @property
    def of_best(self) -> str:
        """Words that say of which seed the model is that is kept, where there are several."""
        best = self.result["best_seed"] if self.several else None
        return "" if best is None else f", seed {best} (the best)"

    @property
    def several(self) -> bool:
        """Whether the result is of several seeds."""
        return len(self.result.get("seeds", ())) > 1

    @property
    def across(self) -> str:
        """What runs from left to right in a picture of the run."""
        return "epoch" if self.history.phase == "finetune" else "step"


# ---- What every run has


def verdict(told: Told) -> str:
    """What the page is about, and what came of the run."""
    phase = PHASES[told.history.phase]
    if told.examined is not None:
        return header(f"bertkit doctor · {phase}", told.name, told.examined.level, told.examined.verdict)
    given = verdict_on(told.history, told.result)
    return header(f"bertkit {phase}", told.name, given.level, given.text, given.lead)


def restarts(told: Told) -> str:
    """How a run was begun again after a collapse."""
    words = begun_again(told.history)
    if not words:
        return ""
    return (
        f"<section><h2>Begun again</h2><p>{escape(words)}</p>"
        "<p class=quiet>What else is told here is of the last attempt.</p></section>"
    )


def findings(told: Told) -> str:
    """What the checks found; on a page of the doctor's also that they found nothing."""
    if not told.findings and told.examined is not None:
        words = "No check found anything wrong with this run."
        if not told.history.finished:
            words = "No check has found anything wrong with this run so far."
        return f"<section><h2>What the checks found</h2><p>{words}</p></section>"
    return findings_section(told.findings)


def findings_section(found: Sequence[Finding]) -> str:
    """The findings, the gravest and surest first; nothing where there are none."""
    if not found:
        return ""
    cards, above = "", list[Change]()
    for finding in by_weight(found):
        cards += _card(finding, above)
        above += finding.changes
    return f"<section><h2>What the checks found</h2>{cards}</section>"


def _change(change: Change) -> str:
    if not change.key:
        return escape(change.words)
    return f"<code>{escape(change.typed)}</code>" + (f" ({escape(change.words)})" if change.words else "")


def _card(finding: Finding, above: Sequence[Change]) -> str:
    alternatives = [WITH.join(map(_change, way)) for way in ways(finding.changes)]
    tried = f"<p>{MAY_HELP}: {'; or '.join(alternatives)}</p>" if alternatives else ""
    if as_above(finding.changes, above):
        tried = f"<p>{MAY_HELP}: as above</p>"
    elif len(finding.changes) > FEW and len(alternatives) > 1:
        items = "".join(f"<li>{alternative}</li>" for alternative in alternatives)
        tried = f"<p>{MAY_HELP}, one or the other:</p><ul>{items}</ul>"
    read = f"; more in {escape(finding.read)}" if finding.read else ""
    return (
        f"<div class='finding {WEIGHTS[finding.weight]}'><p><strong>{escape(finding.seen)}</strong></p>"
        f"<p>{escape(finding.means)}</p>{tried}"
        f"<p class=quiet>{finding.weight}, {finding.sureness}{read}</p></div>"
    )


def gradients_by_layer(told: Told) -> str:
    """Of the model that is kept, or of the first."""
    tracks = told.tracks
    best = told.result["best_seed"] if told.result and len(tracks) > 1 else None
    chosen = next((track for track in tracks if best in (None, track.seed)), None)
    if chosen is None:
        return ""
    return heat_map(chosen.health, "gradient_norms", "" if len(tracks) == 1 else f" Of seed {chosen.seed}.")


def ways_on(told: Told) -> str:
    """What to do with a run next: commands to copy, and its recipe; nothing where there is no recipe."""
    if not is_run(told.run):
        return ""
    phase, run = told.history.phase, shlex.quote(str(told.run))
    if not told.result:
        return commands("To go on", [f"bertkit {phase} -o {run} --resume"]) + recipe(told)
    uses = {
        "finetune": [f"bertkit predict {run} FILE"],
        "pretrain": [
            f"bertkit fill {run} 'the man went to the [MASK] .'",
            f"bertkit score {run} FILE",
            f"bertkit finetune TASK --model {run} -o RUN",
        ],
    }[phase]
    words = ["bertkit", phase, "--recipe", str(told.run / RECIPE)]
    words += [word for setting in typed_settings(told.history).values() for word in ("--set", setting)]
    again = shlex.join([*words, "-o", f"{told.run}-again"])
    return commands("To use it, and to do it again", [*uses, again]) + recipe(told)


def recipe(told: Told) -> str:
    """The recipe of a run, folded; nothing where there is none."""
    return folded("The recipe", recipe_text(told.run))


# ---- What the doctor adds


def again(told: Told) -> str:
    """Commands that go on with a run, and that do it again with what the findings propose."""
    assert told.examined is not None, "a page of the doctor's"
    typed = told.examined.again.replace(" --set ", " \\\n  --set ").replace(" -o ", " \\\n  -o ")
    if not told.history.finished:
        going_on = f"bertkit {told.history.phase} -o {shlex.quote(str(told.run))} --resume"
        return commands("To go on, or to do it again", [going_on, typed])
    changed = " --set " in told.examined.again
    return commands("To do it again, with the changes" if changed else "To do it again", [typed])


def answers(told: Told) -> str:
    """Short answers to what one would ask."""
    if told.examined is None or not told.examined.answers:
        return ""
    items = "".join(
        f"<p><strong>{escape(answer.question)}</strong> {escape(answer.words)}</p>"
        for answer in told.examined.answers
    )
    return f"<section><h2>What its folder tells</h2>{items}</section>"


def gradients_seen(told: Told) -> str:
    """Those of the layers, and where they were not measured the size of the whole."""
    if found := _seen(told, "gradient_norms"):
        return found
    lines = gradient_lines(told.history.tracks, told.across)
    if not lines:
        return ""
    keys = [key("dev", "before clipping, smoothed"), *_several(lines)]
    return figure("Size of the gradient", draw_gradients(lines, told.across), keys)


def inputs_apart(told: Told) -> str:
    """Whether different inputs are told apart."""
    tracks = [track.health for track in told.history.tracks]
    return spreads(tracks, lambda look: getattr(look, told.across), told.across)


def updates_seen(told: Told) -> str:
    """How far each layer was moved."""
    return _seen(told, "update_ratios")


def attention_seen(told: Told) -> str:
    """How widely each layer looks."""
    return _seen(told, "attention_entropy")


def dead_units_seen(told: Told) -> str:
    """How much of each layer no input moves."""
    return _seen(told, "dead_units")


def _seen(told: Told, measure: str) -> str:
    """The heat map of the first model that was looked at more than once."""
    tracks = told.history.tracks
    shown = next((track for track in tracks if len(track.health) > 1), None)
    if shown is None:
        return ""
    return heat_map(shown.health, measure, f" Of seed {shown.seed}." if len(tracks) > 1 else "")


# ---- Labelled rows


def standing(told: Told) -> str:
    """The score and those of the baselines, with their intervals."""
    result = told.result
    seeds = tuple(seed["score"] for seed in result["seeds"]) if told.several else ()
    bars = [Bar("model", result["score"], tuple(result["interval"]), DEV, seeds)]
    for words, (_, colour), found in _baselines(told):
        interval = tuple(found["interval"]) if "interval" in found else None
        bars.append(Bar(words, found["score"], interval, colour))
    name = capital(title(result["metric"]))
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
        "parameters": f"{result['parameters']:,}",
    }
    if told.history.known and isinstance(asked, Recipe):
        training, optimiser = asked.training, asked.optimiser
        found |= {
            "start": Path(asked.model.start).name,
            "epochs": f"{training.epochs}" if not training.steps else f"up to {training.steps:,} steps",
            "batch": f"{asked.batch.sequences} sequences",
            "highest rate": f"{optimiser.lr:g}, {optimiser.name}",
        }
    found |= {
        "best epoch": f"{result['best_epoch']:g}",
        "precision": result["precision"],
        "training time": duration(result["seconds"]),
        "pieces a second": f"{result['pieces_per_second']:,.0f}",
    }
    return facts(found, heading="What was run")


def loss(told: Told) -> str:
    """Of training and dev rows, over epochs."""
    tracks, doctors = told.tracks, told.examined is not None
    if not tracks:
        return ""
    floor = told.history.floor if told.history.finished or doctors else None
    keys = [key("train", "training rows"), key("dev", "dev rows")]
    if floor is not None and isinstance(told.history.recipe, Recipe):
        kind = told.result.get("kind") or kind_of(told.history.recipe.task).name
        knowing, _ = get_kind(kind).knowing
        keys.append(key("majority", f"knowing only {knowing}, {floor:.3f}", dashed=True))
    broken = [track.broke.place for track in tracks if track.broke is not None]
    if broken and not doctors:
        keys.append(note(f"The loss was no number from epoch {min(broken):.2f} on."))
    return figure("Loss", draw_loss(tracks, floor), [*keys, *_several(tracks)])


def score(told: Told) -> str:
    """Of the dev rows, over epochs, beside the baselines."""
    tracks, scores = told.tracks, told.history.scores
    if not any(track.evaluations or (track.begun and told.examined is None) for track in tracks):
        return ""
    name = "score" if scores is None else title(scores.metric)
    known = [] if scores is None else [(BLIND, scores.blind), (RIVAL, scores.rival)]
    baselines = [(colour, each) for colour, each in known if each is not None]
    keys = [key("dev", "dev rows, with 95 % interval" if len(tracks) == 1 else "dev rows")]
    beside = [key(of, f"{each.title}, {each.score:.3f}", dashed=True) for (of, _), each in baselines]
    # On the report as in its tables, the better ones first.
    keys += beside if told.examined is not None else reversed(beside)
    svg = draw_score(tracks, name, {colour: each.score for (_, colour), each in baselines})
    return figure(f"{capital(name)} after each epoch", svg, [*keys, *_several(tracks)])


def _several(lines: Sequence[object]) -> list[str]:
    return [note(f"One line a seed ({len(lines)}).")] if len(lines) > 1 else []


def gradients_and_metrics(told: Told) -> str:
    """Two columns, with gradients or without."""
    gradients = gradients_by_layer(told)
    if not told.result:
        return gradients
    found = (classes.confusion(told.result, told.of_best), _metrics(told))
    # Many classes make a table that needs the whole width.
    if not gradients or len(told.result.get("labels", ())) > classes.FEW:
        return gradients + side(*found)
    return side(gradients, stack(*found))


def _metrics(told: Told) -> str:
    result = told.result
    names = list(result["metrics"])
    rows = {"model": result["metrics"]}
    rows |= {words: found["metrics"] for words, _, found in _baselines(told)}
    lines = [[escape(who), *(f"{metrics[name]:.3f}" for name in names)] for who, metrics in rows.items()]
    heads = ["", *(escape(title(name)) for name in names)]
    caption = (
        f"On the dev rows{told.of_best}. The epoch with the best {escape(title(result['metric']))} was "
        "chosen on these same rows: other rows may score a little lower."
    )
    made = table(heads, lines, numbers=range(1, len(heads)), caption=caption)
    return f"<section><h2>Beside the baselines</h2>{made}</section>"


def calibration(told: Told) -> str:
    """Whether probabilities mean what they say."""
    return classes.reliability(told.result.get("calibration"), told.of_best)


def thresholds(told: Told) -> str:
    """What another threshold would give, of two labels."""
    ngram = told.result["baselines"].get("ngram", {}).get("score")
    return classes.threshold_curve(told.result.get("thresholds"), ngram, told.of_best)


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
            f"{seed['best_epoch']:g}",
            escape(seed["status"]),
        ]
        for seed in found
    ]
    levels = [OUTCOMES[seed["status"]] for seed in found]
    name = title(told.result["metric"])
    heads = ["seed", f"best {name}", f"last {name}", "best epoch", "outcome"]
    return f"<section><h2>Seeds</h2>{table(heads, lines, numbers=range(4), levels=levels)}</section>"


def points(told: Told) -> str:
    """Predicted against true numbers, and what is left of them."""
    return numbers.points_section(told.result.get("points"), told.of_best)


def mistakes(told: Told) -> str:
    """What the model is surest about, and wrong."""
    return classes.mistakes_section(told.result["mistakes"], told.of_best)


def furthest(told: Told) -> str:
    """The numbers that the model is furthest off."""
    return numbers.furthest_section(told.result["mistakes"], told.of_best)


# ---- Text


def text_facts(told: Told) -> str:
    """What was run, at a glance."""
    result, track = told.result, told.history.track
    found = {"steps": f"{track.last_step:,}", "pieces read": f"{track.pieces:,}"}
    if result:
        found = {
            "parameters": f"{result['parameters']:,}",
            "vocabulary": f"{result['vocabulary_size']:,} pieces",
            "steps": f"{result['steps']:,}",
            "pieces read": f"{result['pieces']:,}",
            "times the text": f"{result['epochs']:.2f}",
            "time": duration(result["seconds"]),
            "pieces a second": f"{result['pieces_per_second']:,.0f}",
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
        keys.append(key("ngram", f"knowing word frequencies, {history.floor:.3f}", dashed=True))
    if history.uniform is not None:
        keys.append(key("majority", f"knowing nothing, {history.uniform:.3f}", dashed=True))
    broken = [track.broke.step for track in tracks if track.broke is not None]
    if broken and told.examined is None:
        keys.append(note(f"The loss was no number from step {min(broken):,} on."))
    svg = draw_masked_loss(tracks, history.floor, history.uniform)
    return figure("Loss of masked pieces", svg, [*keys, *_several(tracks)])


def restored(told: Told) -> str:
    """How much of held-out text is right, over steps."""
    tracks = [track for track in told.history.tracks if track.evaluations]
    if not tracks:
        return ""
    keys = [key("dev", "masked pieces restored")]
    if any(pair_points(track) for track in tracks):
        keys.append(key("ngram", "pairs told right (chance: 50 %)"))
    return figure("Right on held-out text", draw_accuracy(tracks), [*keys, *_several(tracks)])


def knowing_less(told: Told) -> str:
    """The loss beside those of knowing less."""
    rows = losses(told.result)
    names = [name for name in (MASKED.accuracy, PAIRS.accuracy) if any(name in row for row in rows.values())]
    titles = {MASKED.accuracy: "pieces right", PAIRS.accuracy: "pairs right"}
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
        "Perplexity is exp of the loss: among how many pieces, all equally likely, one would guess as well."
    )
    made = table(heads, lines, numbers=range(1, len(heads)), caption=caption)
    return f"<section><h2>Beside knowing less</h2>{made}</section>"


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
