"""The page of a pretraining run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bertkit.diagnose.begun_again import begun_again_section, typed_settings
from bertkit.diagnose.charts import draw_accuracy, draw_masked_loss, heldout_points, pair_points
from bertkit.diagnose.findings import findings_section
from bertkit.diagnose.heat import heat_map
from bertkit.diagnose.page import facts, figure, header, key, note, side, table, ways_on
from bertkit.diagnose.pretrain_verdict import give_pretrain_verdict, losses
from bertkit.diagnose.verdict import Verdict
from bertkit.diagnose.wording import duration, perplexity, said
from bertkit.runs.findings import Finding
from bertkit.runs.folder import RECIPE
from bertkit.runs.history import History, Track, mean

Result = Mapping[str, Any]


def pretrain_parts(
    run: Path,
    name: str,
    result: Result,
    findings: Sequence[Finding],
    history: History,
) -> list[str]:
    """The page's parts, of a run that may have no result yet (then it is empty)."""
    track = history.track
    verdict = give_pretrain_verdict(result, heldout_points(track)) if result else _unfinished(history)
    figures = [_losses(history)] if track.steps or track.evaluations else []
    if track.evaluations:
        figures.append(_accuracy(track))
    settings = list(typed_settings(history).values())
    return [
        header("bertkit pretraining", name, verdict.level, verdict.text, verdict.lead),
        _facts(result, track),
        begun_again_section(history),
        findings_section(findings),
        side(*figures),
        heat_map(track.health, "gradient_norms"),
        _table(result) if result else "",
        ways_on(run / RECIPE, "pretrain", _uses(run) if result else [], settings),
    ]


def _unfinished(history: History) -> Verdict:
    if history.stopped:
        return Verdict("bad", f"This run stopped: {history.stopped}", "Stopped.")
    heldout = history.track.evaluations
    last = f" Its last held-out loss is {said(heldout[-1].loss, 3)}." if heldout else ""
    return Verdict(
        "open", f"This run has no result yet: it is going on, or was interrupted.{last}", "Not finished."
    )


def _facts(result: Result, track: Track) -> str:
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


def _losses(history: History) -> str:
    track = history.track
    keys = [key("train", "training text, smoothed")]
    if track.evaluations:
        keys.append(key("dev", "held-out text"))
    if history.floor is not None:
        keys.append(key("ngram", f"knowing word frequencies, {history.floor:.3f}", dashed=True))
    if history.uniform is not None:
        keys.append(key("majority", f"knowing nothing, {history.uniform:.3f}", dashed=True))
    if track.broke is not None:
        keys.append(note(f"The loss was no number from step {track.broke.step:,} on."))
    return figure("Loss of masked pieces", draw_masked_loss(track, history.floor, history.uniform), keys)


def _accuracy(track: Track) -> str:
    keys = [key("dev", "masked pieces restored")]
    if pair_points(track):
        keys.append(key("ngram", "pairs told right (chance: 50 %)"))
    return figure("Right on held-out text", draw_accuracy(track), keys)


def _table(result: Result) -> str:
    rows = losses(result)
    names = [name for name in ("mlm_accuracy", "pair_accuracy") if any(name in row for row in rows.values())]
    titles = {"mlm_accuracy": "pieces right", "pair_accuracy": "pairs right"}
    lines = [
        [
            escape(who),
            said(row["mlm_loss"], 3),
            said(perplexity(row["mlm_loss"]), 1),
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


def _uses(run: Path) -> list[str]:
    folder = shlex.quote(str(run))
    return [
        f"bertkit fill {folder} 'the man went to the [MASK] .'",
        f"bertkit score {folder} FILE",
        f"bertkit finetune TASK --model {folder} -o RUN",
    ]
