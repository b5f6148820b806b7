"""`doctor.html`: what the doctor says of a run, with the pictures that it looked at."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from bertkit.diagnose.answers import Answer
from bertkit.diagnose.curves import SIZE, draw_loss, draw_score, read_curves
from bertkit.diagnose.doctor import Examination, examined
from bertkit.diagnose.findings import findings_section
from bertkit.diagnose.heat import HEAT_MAPS, heat_map
from bertkit.diagnose.histories import History, read_history
from bertkit.diagnose.page import commands, figure, header, key, note, recipe_text, side, write_page
from bertkit.diagnose.pictures import DEV, Points, draw_line, name_axes, picture, thinned
from bertkit.diagnose.pretrain_curves import draw_accuracy, draw_losses, read_pretraining
from bertkit.diagnose.spreads import spreads
from bertkit.diagnose.wording import capital, title
from bertkit.runs.folder import RECIPE
from bertkit.runs.history import FinetuneHistory, PretrainHistory, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "doctor.html"
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_doctor_page(run: Path) -> tuple[Examination, Path | None]:
    """Examine a run and write `RUN/doctor.html`; returns what was found and the page's path.

    The path is None where the folder may be read and not written to.

    Raises:
        UserError: see `read_history`.
    """
    history = read_history(run)
    found = examined(run, history)
    name = run.resolve().name
    parts = _parts(found, name, history)
    try:
        return found, write_page(run / PAGE, f"doctor · {name}", parts)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return found, None


def _parts(found: Examination, name: str, history: History) -> list[str]:
    if isinstance(history, FinetuneHistory):
        pictures = _finetuning(found.run, history)
    else:
        pictures = _pretraining(found.run, history)
    gradients, *watched = _watched(history)
    return [
        header(f"bertkit doctor · {found.kind}", name, found.level, found.verdict),
        findings_section(found.findings) or _nothing(found),
        _commands(found),
        side(_answers(found.answers), gradients),
        side(*pictures, *filter(None, watched)),
        recipe_text(found.run / RECIPE),
    ]


def _nothing(found: Examination) -> str:
    words = "No check found anything wrong with this run."
    if not found.finished:
        words = "No check has found anything wrong with this run so far."
    return f"<section><h2>What the checks found</h2><p>{words}</p></section>"


def _answers(answers: Sequence[Answer]) -> str:
    if not answers:
        return ""
    items = "".join(
        f"<p><strong>{escape(answer.question)}</strong> {escape(answer.words)}</p>" for answer in answers
    )
    return f"<section><h2>What its folder tells</h2>{items}</section>"


def _finetuning(run: Path, history: FinetuneHistory) -> list[str]:
    """The pictures of loss and score, as far as there are."""
    curves = [each for each in read_curves(run) if each.train or each.dev]
    if not curves:
        return []
    several = [note(f"One line a seed ({len(curves)}).")] if len(curves) > 1 else []
    keys = [key("train", "training rows"), key("dev", "dev rows")]
    if history.prior is not None:
        keys.append(key("majority", f"knowing only the label shares, {history.prior:.3f}", dashed=True))
    sections = [figure("Loss", draw_loss(curves, history.prior), [*keys, *several])]
    if any(each.scores for each in curves):
        scores = history.scores
        baselines = {} if scores is None else {"majority": scores.majority, "ngram": scores.ngram}
        known = {who: score for who, score in baselines.items() if score is not None}
        metric = "score" if scores is None else title(scores.metric)
        words = {"ngram": "n-gram model", "majority": "majority"}
        keys = [key("dev", "dev rows, with 95 % interval" if len(curves) == 1 else "dev rows")]
        keys += [key(who, f"{words[who]}, {score:.3f}", dashed=True) for who, score in known.items()]
        svg = draw_score(curves, metric, known)
        sections.append(figure(f"{capital(metric)} after each epoch", svg, [*keys, *several]))
    return sections


def _pretraining(run: Path, history: PretrainHistory) -> list[str]:
    """See `_finetuning`."""
    curves = read_pretraining(run)
    floors = dict(history.floors)
    sections = []
    if curves.steps or curves.heldout:
        keys = [key("train", "training text, smoothed")]
        if curves.heldout:
            keys.append(key("dev", "held-out text"))
        words = {"unigram": ("ngram", "knowing word frequencies"), "uniform": ("majority", "knowing nothing")}
        keys += [
            key(colour, f"{word}, {floors[name]:.3f}", dashed=True)
            for name, (colour, word) in words.items()
            if name in floors
        ]
        sections.append(figure("Loss of masked pieces", draw_losses(curves, floors), keys))
    if curves.heldout:
        keys = [key("dev", "masked pieces restored")]
        if curves.pairs:
            keys.append(key("ngram", "pairs told right (chance: 50 %)"))
        sections.append(figure("Right on held-out text", draw_accuracy(curves), keys))
    return sections


def _watched(history: History) -> list[str]:
    """What was seen inside the model while it trained: of the gradients, of its inputs, and of its layers."""
    if isinstance(history, FinetuneHistory):
        tracks, steps = [seed.health for seed in history.seeds], [seed.steps for seed in history.seeds]
        gradients = _gradients(steps, "epoch")
        spread = spreads(tracks, lambda look: look.epoch, "epoch")
        shown = next((seed for seed in history.seeds if len(seed.health) > 1), None)
        remark = f" Of seed {shown.seed}." if shown is not None and len(tracks) > 1 else ""
        health = () if shown is None else shown.health
    else:
        gradients = _gradients([history.steps], "step")
        spread = spreads([history.health], lambda look: look.step, "step")
        health, remark = history.health, ""
    by_layer, *others = (heat_map(health, measure, remark) for measure in HEAT_MAPS)
    return [by_layer or gradients, spread, *others]


def _gradients(tracks: Sequence[Sequence[Step]], across: str) -> str:
    """The size of the whole gradient, where that of the layers was not measured; nothing without either."""
    lines: list[Points] = []
    for steps in tracks:
        points = [
            (float(step.step) if across == "step" else step.place, step.gradient_norm)
            for step in steps
            if step.gradient_norm > 0
        ]
        if points:
            lines.append(thinned(points))
    if not lines:
        return ""

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

        axes = all_axes[0]
        for points in lines:
            draw_line(axes, points, DEV, 1.0 if len(lines) == 1 else 0.6)
        name_axes(axes, across, "gradient norm")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        # Ten times from bottom to top at least: what hardly changes is not to look as if it did.
        low, high = axes.get_ylim()
        middle = (low * high) ** 0.5
        axes.set_ylim(min(low, middle / 10**0.5), max(high, middle * 10**0.5))

    keys = [key("dev", "before clipping, smoothed")]
    if len(lines) > 1:
        keys.append(note(f"One line a seed ({len(lines)})."))
    return figure("Size of the gradient", picture("gradients", draw, size=SIZE), keys)


def _commands(found: Examination) -> str:
    again = found.again.replace(" --set ", " \\\n  --set ").replace(" -o ", " \\\n  -o ")
    if not found.finished:
        command = "finetune" if found.kind == "fine-tuning" else "pretrain"
        going_on = f"bertkit {command} -o {shlex.quote(str(found.run))} --resume"
        return commands("To go on, or to do it again", [going_on, again])
    return commands(
        "To do it again, with the changes" if " --set " in found.again else "To do it again", [again]
    )
