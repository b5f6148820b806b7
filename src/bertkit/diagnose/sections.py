"""The sections of a run's pages: each a function of what is told of a run, empty where that says nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bertkit.diagnose.answers import begun_again, typed_settings
from bertkit.diagnose.charts import (
    draw_gradients,
    gradient_lines,
)
from bertkit.diagnose.doctor import Examination
from bertkit.diagnose.looks import heat_map, spreads
from bertkit.diagnose.page import commands, figure, folded, header, key, note
from bertkit.diagnose.verdict import verdict_on
from bertkit.runs.findings import FEW, MAY_HELP, WITH, Change, Finding, as_above, by_weight, ways
from bertkit.runs.folder import RECIPE, is_run, recipe_text
from bertkit.runs.history import History, Track

PHASES = {"finetune": "fine-tuning", "pretrain": "pretraining"}
WEIGHTS = {"grave": "bad", "notable": "open"}


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


def one_each(lines: Sequence[object]) -> list[str]:
    """A remark that there is a line for each seed, where there are several."""
    return [note(f"One line a seed ({len(lines)}).")] if len(lines) > 1 else []


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
    keys = [key("dev", "before clipping, smoothed"), *one_each(lines)]
    return figure("Gradient norm", draw_gradients(lines, told.across), keys)


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
