"""The page of a pretraining run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from bertkit.diagnose.begun_again import begun_again_section, typed_settings
from bertkit.diagnose.findings import findings_section
from bertkit.diagnose.heat import heat_map
from bertkit.diagnose.histories import History
from bertkit.diagnose.page import facts, figure, header, key, note, side, table, ways_on
from bertkit.diagnose.pretrain_curves import PretrainCurves, draw_accuracy, draw_losses
from bertkit.diagnose.pretrain_verdict import give_pretrain_verdict, losses
from bertkit.diagnose.verdict import Verdict
from bertkit.diagnose.wording import duration, perplexity, said
from bertkit.runs.findings import Finding
from bertkit.runs.folder import RECIPE, STOPPED
from bertkit.runs.records import read_object

Result = Mapping[str, Any]


def pretrain_parts(
    run: Path,
    name: str,
    result: Result,
    curves: PretrainCurves,
    findings: Sequence[Finding] = (),
    history: History | None = None,
) -> list[str]:
    """The page's parts, of a run that may have no result yet (then it is empty)."""
    verdict = give_pretrain_verdict(result, curves.heldout) if result else _unfinished(run, curves)
    floors = result["floors"] if result else curves.floors
    figures = [_losses(curves, floors)] if curves.steps or curves.heldout else []
    if curves.heldout:
        figures.append(_accuracy(curves))
    settings = list(typed_settings(history).values()) if history else []
    return [
        header("bertkit pretraining", name, verdict.level, verdict.text, verdict.lead),
        _facts(result, curves),
        begun_again_section(history) if history else "",
        findings_section(findings),
        side(*figures),
        heat_map(curves.health, "gradient_norms"),
        _table(result) if result else "",
        ways_on(run / RECIPE, "pretrain", _uses(run) if result else [], settings),
    ]


def _unfinished(run: Path, curves: PretrainCurves) -> Verdict:
    if (stopped := read_object(run / STOPPED)) is not None:
        return Verdict("bad", f"This run stopped: {stopped.text('why')}", "Stopped.")
    last = f" Its last held-out loss is {said(curves.heldout[-1][1], 3)}." if curves.heldout else ""
    return Verdict(
        "open", f"This run has no result yet: it is going on, or was interrupted.{last}", "Not finished."
    )


def _facts(result: Result, curves: PretrainCurves) -> str:
    found = {"steps": f"{curves.steps:,}", "pieces read": f"{curves.pieces:,}"}
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
    if curves.gemm_share:
        found["of the GEMM rate"] = f"{curves.gemm_share:.0%}"
    return facts(found)


def _losses(curves: PretrainCurves, floors: dict[str, float]) -> str:
    keys = [key("train", "training text, smoothed")]
    if curves.heldout:
        keys.append(key("dev", "held-out text"))
    if floors:
        keys.append(key("ngram", f"knowing word frequencies, {floors['unigram']:.3f}", dashed=True))
        keys.append(key("majority", f"knowing nothing, {floors['uniform']:.3f}", dashed=True))
    if curves.broke_at is not None:
        keys.append(note(f"The loss was no number from step {curves.broke_at:,} on."))
    return figure("Loss of masked pieces", draw_losses(curves, floors), keys)


def _accuracy(curves: PretrainCurves) -> str:
    keys = [key("dev", "masked pieces restored")]
    if curves.pairs:
        keys.append(key("ngram", "pairs told right (chance: 50 %)"))
    return figure("Right on held-out text", draw_accuracy(curves), keys)


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
