"""The page of a study: the answer, a picture and a table for each stage, and how to run it again."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.diagnose.charts import heldout_points
from bertkit.diagnose.groups import Finetuned, Pretrained
from bertkit.diagnose.page import REPORT, commands, facts, figure, header, key, table, write_page
from bertkit.diagnose.pictures import DEV, MAJORITY, NGRAM, TRAIN, draw_level, draw_line, picture, standalone
from bertkit.diagnose.wording import capital
from bertkit.recipe.study import Study
from bertkit.runs.history import Track
from bertkit.runs.log import read_track
from bertkit.studies.measures import REACH
from bertkit.studies.variants import Row
from bertkit.studies.words import COMPARED, lines_of, say, why_not

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"dev": DEV, "ngram": NGRAM, "majority": MAJORITY, "train": TRAIN}
LINES = [(name, dotted) for dotted in (False, True) for name in COLOURS][:-1]
"""Of a variant's curve: a colour, and whether it is dotted; more variants than these begin again."""
DARKEST = 0.5
"""Share of a head's attention that is drawn darkest."""


def write_study_page(
    out: Path,
    study: Study,
    stages: Mapping[str, Sequence[Row]],
    result: Mapping[str, Any],
) -> Path:
    """Write `report.html`, and its pictures as files: `picture-STAGE.svg` and `heads-STAGE.svg`."""
    sentences = [sentence for rows in stages.values() for sentence in say(rows)]
    counts = {"variants": len(study.variants), "runs done": result["runs"], "of": result["planned"]}
    counts["failed"] = result["failed"]
    parts = [
        header("bertkit study", study.question, "open", " ".join(sentences[:2]) or "Nothing is done yet."),
        facts({name: f"{count:,}" for name, count in counts.items()}),
    ]
    for stage, rows in stages.items():
        pictures = {
            ("picture", capital(stage)): draw_stage(stage, rows),
            ("heads", f"{capital(stage)}: where heads look"): draw_heads(stage, rows),
        }
        for (name, heading), (svg, keys) in pictures.items():
            if svg:
                with replace_file(out / f"{name}-{stage}.svg") as temporary:
                    temporary.write_text(standalone(svg), encoding="utf-8")
                parts.append(figure(heading, svg, keys))
        parts.append(_table(stage, rows))
    again = f"bertkit study {shlex.quote(study.name)} -o {shlex.quote(str(out))}"
    parts.append(commands("To go on, or to do it again", [again]))
    return write_page(out / REPORT, study.question, parts)


def _table(stage: str, rows: Sequence[Row]) -> str:
    heads, lines = lines_of(rows)
    shown = []
    for line, row in zip(lines, rows, strict=True):
        # Why a variant has no figures is too long for a column of figures.
        figures = line[1:] if row.group else [""] * len(line[1:])
        notes = [row.note, *([] if row.group else [why_not(row)])]
        below = "".join(f"<br><span class=quiet>{escape(note)}</span>" for note in notes if note)
        shown.append([escape(line[0]) + below, *map(escape, figures)])
    right = [place for place, head in enumerate(heads) if head not in ("variant", COMPARED)]
    made = table(heads, shown, numbers=right, name="variants", caption=escape(_caption(rows)))
    told = "".join(f"<p>{escape(sentence)}</p>" for sentence in say(rows))
    return f"<section><h2>{escape(capital(stage))}: what it says</h2>{told}{made}</section>"


def _caption(rows: Sequence[Row]) -> str:
    if any(isinstance(row.group, Finetuned) for row in rows):
        return (
            "Scores are of each seed's best epoch, chosen on the same rows; intervals of 95 % are over rows "
            "and seeds. A variant is compared with the one it comes after, or with the first."
        )
    outcomes = [row.group for row in rows if isinstance(row.group, Pretrained)]
    text = "of held-out text" if all(one.heldout for one in outcomes) else "of training, where it says so"
    same = " Masked alike: all variants restore the tokens that the first one's masking hides."
    return f"Losses in nats a masked token {text}, for each seed." + same * any(row.alike for row in rows)


def draw_stage(stage: str, rows: Sequence[Row]) -> tuple[str, list[str]]:
    """The picture of a stage as SVG text, and its keys; empty where nothing is done."""
    finetuned = [(row.name, row.group) for row in rows if isinstance(row.group, Finetuned)]
    if finetuned:
        return _draw_scores(stage, finetuned)
    curves = [
        (row.name, [read_track(row.runs[seed].folder, "pretrain") for seed in row.done])
        for row in rows
        if row.group
    ]
    return _draw_curves(stage, curves) if curves else ("", [])


def _draw_scores(stage: str, found: Sequence[tuple[str, Finetuned]]) -> tuple[str, list[str]]:
    """Training losses beside the baseline loss, and scores with intervals, a line for each variant."""
    first = found[0][1]
    assert first.floor is not None, "runs that do not tell it are taken for damaged"
    floor, blind = first.floor, first.baselines[first.kind.baselines[0].name]
    places = range(len(found))

    def draw(all_axes: Sequence[Axes]) -> None:
        losses, scores = all_axes
        for place, (_, one) in zip(places, found, strict=True):
            losses.plot(one.train_loss, place, "o", color=TRAIN if not one.off_floor else DEV)
            scores.plot(one.interval, (place, place), color=DEV, linewidth=1.4)
            scores.plot(one.scores, [place] * len(one.scores), "|", color=DEV, alpha=0.6, markersize=7)
            scores.plot(one.score, place, "o", color=DEV)
        losses.axvline(floor, color=MAJORITY, linestyle="--", linewidth=1.2)
        scores.axvline(blind, color=MAJORITY, linestyle="--", linewidth=1.2)
        losses.set_yticks(list(places), [name for name, _ in found])
        losses.set_ylim(len(found) - 0.4, -0.6)
        losses.set_xlim(left=0)
        losses.set_xlabel("training loss, last epoch")
        scores.set_xlabel(f"{first.metric.title} on the dev rows")
        for axes in all_axes:
            axes.grid(axis="x")

    svg = picture(f"study-{stage}", draw, size=(9.0, 0.9 + 0.27 * len(found)), widths=(1.0, 1.6))
    keys = [
        key("dev", "mean of the seeds with a 95 % interval over rows and seeds; strokes: the seeds"),
        key("majority", first.kind.floor_title, dashed=True),
        key("train", "a loss that stayed there"),
    ]
    return svg, keys


def draw_heads(stage: str, rows: Sequence[Row]) -> tuple[str, list[str]]:
    """A map for each variant: how much each head attends to the tokens around a token."""
    found = [(row.name, row.offsets) for row in rows if row.offsets is not None]
    if not found:
        return "", []

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.patches import Rectangle

        for axes, (name, offsets) in zip(all_axes, found, strict=True):
            heads = [row for layer in offsets.shares for row in layer]
            for place, row in enumerate(heads):
                for column, share in enumerate(row):
                    box = (column - REACH - 0.5, place - 0.5)
                    axes.add_patch(
                        Rectangle(box, 1, 1, color=DEV, alpha=min(1.0, share / DARKEST), linewidth=0)
                    )
            for layer in range(1, len(offsets.shares)):
                axes.axhline(layer * len(offsets.shares[0]) - 0.5, color=MAJORITY, linewidth=0.6)
            axes.set_xlim(-REACH - 0.5, REACH + 0.5)
            axes.set_ylim(len(heads) - 0.5, -0.5)
            axes.set_title(textwrap.fill(name, 16), fontsize=10)
            axes.set_xlabel("offset")
            axes.set_xticks(range(-REACH, REACH + 1, 2))
            axes.set_yticks([])
            axes.grid(False)
        all_axes[0].set_ylabel("heads, by layer")

    svg = picture(f"heads-{stage}", draw, size=(1.2 + 1.6 * len(found), 3.8), widths=[1.0] * len(found))
    keys = [
        key(
            "dev",
            "share of a head's attention, from none to half and more, to the token so many places on; seed 0",
        ),
        key("majority", "between layers, the first on top"),
    ]
    return svg, keys


def _draw_curves(stage: str, found: Sequence[tuple[str, Sequence[Track]]]) -> tuple[str, list[str]]:
    """Held-out losses over steps, a colour for each variant, a line for each seed."""
    unigram = found[0][1][0].floors.get("unigram")

    def draw(all_axes: Sequence[Axes]) -> None:
        axes = all_axes[0]
        if unigram is not None:
            draw_level(axes, unigram, MAJORITY)
        for (_, seeds), (colour, dotted) in zip(found, cycle(LINES), strict=False):
            for track in seeds:
                draw_line(axes, heldout_points(track), COLOURS[colour], 0.9)
                axes.lines[-1].set_linestyle(":" if dotted else "-")
        # What comes before the plateau is as high as ln V and says nothing.
        axes.set_ylim(top=1.08 * unigram if unigram is not None else None)
        axes.set_xlim(left=0)
        axes.set_xlabel("step")
        axes.set_ylabel("held-out MLM loss, nats")

    svg = picture(f"study-{stage}", draw, size=(7.5, 4.2))
    keys = [
        key(colour, name, dashed=dotted)
        for (name, _), (colour, dotted) in zip(found, cycle(LINES), strict=False)
    ]
    return svg, [*keys, key("majority", "token frequencies", dashed=True)]
