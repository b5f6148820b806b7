"""`doctor.html`: what the doctor says of a run, with the pictures that it looked at."""

from __future__ import annotations

import errno
import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path

from bertkit.diagnose.answers import Answer
from bertkit.diagnose.charts import (
    draw_accuracy,
    draw_gradients,
    draw_loss,
    draw_masked_loss,
    draw_score,
    gradient_lines,
    pair_points,
)
from bertkit.diagnose.doctor import Examination, examined
from bertkit.diagnose.findings import findings_section
from bertkit.diagnose.heat import HEAT_MAPS, heat_map
from bertkit.diagnose.page import commands, figure, header, key, note, recipe_text, side, write_page
from bertkit.diagnose.spreads import spreads
from bertkit.diagnose.wording import capital, title
from bertkit.runs.folder import RECIPE
from bertkit.runs.history import History
from bertkit.runs.reader import read_history

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
    pictures = _finetuning(history) if history.phase == "finetune" else _pretraining(history)
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


def _finetuning(history: History) -> list[str]:
    """The pictures of loss and score, as far as there are."""
    curves = [track for track in history.tracks if track.steps or track.evaluations]
    if not curves:
        return []
    several = [note(f"One line a seed ({len(curves)}).")] if len(curves) > 1 else []
    keys = [key("train", "training rows"), key("dev", "dev rows")]
    if history.floor is not None:
        keys.append(key("majority", f"knowing only the label shares, {history.floor:.3f}", dashed=True))
    sections = [figure("Loss", draw_loss(curves, history.floor), [*keys, *several])]
    if any(each.evaluations for each in curves):
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


def _pretraining(history: History) -> list[str]:
    """See `_finetuning`."""
    track = history.track
    sections = []
    if track.steps or track.evaluations:
        keys = [key("train", "training text, smoothed")]
        if track.evaluations:
            keys.append(key("dev", "held-out text"))
        if history.floor is not None:
            keys.append(key("ngram", f"knowing word frequencies, {history.floor:.3f}", dashed=True))
        if history.uniform is not None:
            keys.append(key("majority", f"knowing nothing, {history.uniform:.3f}", dashed=True))
        svg = draw_masked_loss(track, history.floor, history.uniform)
        sections.append(figure("Loss of masked pieces", svg, keys))
    if track.evaluations:
        keys = [key("dev", "masked pieces restored")]
        if pair_points(track):
            keys.append(key("ngram", "pairs told right (chance: 50 %)"))
        sections.append(figure("Right on held-out text", draw_accuracy(track), keys))
    return sections


def _watched(history: History) -> list[str]:
    """What was seen inside the model while it trained: of the gradients, of its inputs, and of its layers."""
    tracks = history.tracks
    across = "epoch" if history.phase == "finetune" else "step"
    gradients = _gradients(history, across)
    spread = spreads([track.health for track in tracks], lambda look: getattr(look, across), across)
    shown = next((track for track in tracks if len(track.health) > 1), None)
    remark = f" Of seed {shown.seed}." if shown is not None and len(tracks) > 1 else ""
    health = () if shown is None else shown.health
    by_layer, *others = (heat_map(health, measure, remark) for measure in HEAT_MAPS)
    return [by_layer or gradients, spread, *others]


def _gradients(history: History, across: str) -> str:
    """The size of the whole gradient, where that of the layers was not measured; nothing without either."""
    lines = gradient_lines(history.tracks, across)
    if not lines:
        return ""
    keys = [key("dev", "before clipping, smoothed")]
    if len(lines) > 1:
        keys.append(note(f"One line a seed ({len(lines)})."))
    return figure("Size of the gradient", draw_gradients(lines, across), keys)


def _commands(found: Examination) -> str:
    again = found.again.replace(" --set ", " \\\n  --set ").replace(" -o ", " \\\n  -o ")
    if not found.finished:
        command = "finetune" if found.kind == "fine-tuning" else "pretrain"
        going_on = f"bertkit {command} -o {shlex.quote(str(found.run))} --resume"
        return commands("To go on, or to do it again", [going_on, again])
    return commands(
        "To do it again, with the changes" if " --set " in found.again else "To do it again", [again]
    )
