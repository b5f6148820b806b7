"""The demo's page: what pretraining buys, on one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.diagnose.page import (
    REPORT,
    commands,
    facts,
    figure,
    header,
    key,
    note,
    side,
    stack,
    table,
    write_page,
)
from bertkit.diagnose.pictures import COLOURS, LINE, MAJORITY, TEXT, picture
from bertkit.diagnose.wording import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Found = Mapping[str, Any]
Bars = Mapping[str, Sequence[float]]

WHO = {"ngram": "n-gram model", "fresh": "fresh weights", "pretrained": "pretrained"}
RUNS = {
    "pretrain": "Pretraining: losses over its steps",
    "pretrained": "Fine-tuning the pretrained model",
    "fresh": "Fine-tuning fresh weights",
}
COLOUR = {"ngram": "ngram", "fresh": "train", "pretrained": "dev"}
_STAND_INS = {colour: stand_in for stand_in, colour in COLOURS.items()}
CHANCE = 0.5


def write_demo_report(folder: Path, found: Found) -> Path:
    """Write `FOLDER/report.html` and return its path.

    Args:
        folder: the demo's, with its runs in it, which the page leads to.
        found: what the demo prints with --json.
    """
    groups: Mapping[str, Bars] = found["groups"]
    sizes, pretraining = found["sizes"], found["pretraining"]
    novelties = {"all": "all", **found["novelties"]}
    dependencies = [name for name in groups if name not in novelties]
    parts = [
        header("bertkit demo", "What pretraining buys", *demo_verdict(found)),
        facts(
            {
                "sentences of text": f"{sizes['text']:,}",
                "labels in the text": "none",
                "steps of pretraining": f"{pretraining['steps']:,}",
                "time of pretraining": duration(pretraining["seconds"]),
                "labelled sentences": f"{sizes['labels']:,}",
                "updates on them": f"{found['updates']:,}",
                "seeds": str(sizes["seeds"]),
                "parameters": f"{pretraining['parameters']:,}",
            }
        ),
        side(
            _bars(
                "Right answers, by what is new in the sentence",
                {label: groups[name] for name, label in novelties.items() if name in groups},
                "New: in no labelled sentence. The text without labels has the new words too, the new "
                "constructions not; no sentence that is scored stands in either.",
            ),
            _bars(
                "Right answers, by dependency",
                {name: groups[name] for name in dependencies},
                "Thin lines are 95 % intervals. Of each run the epoch that is best on these rows counts.",
            ),
        ),
        side(_without_labels(found, dependencies, novelties), _filled_and_runs(found)),
        commands("Ask it yourself", found["commands"]),
    ]
    return write_page(folder / REPORT, "What pretraining buys", parts, found["version"])


def demo_verdict(found: Found) -> tuple[str, str]:
    """A level (good, open or bad) and what the demo came to, in words."""
    bars: Bars = found["groups"]["all"]
    more, low, high = found["difference"]
    sizes = found["sizes"]
    seeds = f", mean of {sizes['seeds']} seeds" if sizes["seeds"] > 1 else ""
    text = (
        f"From the same {sizes['labels']:,} labelled sentences, in the same {found['updates']:,} updates, "
        f"the pretrained model learned to answer {percent(bars['pretrained'])} of {sizes['dev']:,} new "
        f"sentences right, fresh weights {percent(bars['fresh'])}{seeds}, an n-gram model "
        f"{percent(bars['ngram'])}; half are acceptable, so chance is 50 %. "
    )
    if low > 0:
        text += f"Pretraining buys {100 * more:.1f} points [{100 * low:.1f}, {100 * high:.1f}]."
        return "good", text
    text += f"The difference, {100 * more:.1f} points [{100 * low:.1f}, {100 * high:.1f}], may be chance."
    return "open" if high > 0 else "bad", text


def percent(bar: Sequence[float]) -> str:
    """A share with its 95 % interval."""
    share, low, high = bar
    return f"{100 * share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def _bars(heading: str, groups: Mapping[str, Bars], remark: str) -> str:
    """Bars with 95 % intervals, a group of three below the other."""

    def draw(all_axes: Sequence[Axes]) -> None:
        from matplotlib.ticker import PercentFormatter

        axes = all_axes[0]
        height = 0.8 / len(WHO)
        for number, who in enumerate(WHO):
            places = [group + (number - (len(WHO) - 1) / 2) * height for group in range(len(groups))]
            shares, lows, highs = zip(*(bars[who] for bars in groups.values()), strict=True)
            axes.barh(places, shares, height * 0.9, color=_STAND_INS[f"var(--{COLOUR[who]})"])
            axes.hlines(places, lows, highs, color=TEXT, linewidth=1.2, alpha=0.7)
        axes.axvline(CHANCE, color=MAJORITY, linestyle="--", linewidth=1.2)
        axes.set_yticks(range(len(groups)), list(groups))
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color=LINE)

    keys = [key(COLOUR[who], name) for who, name in WHO.items()]
    keys.append(key("majority", "majority, 50 %", dashed=True))
    return figure(heading, picture(heading, draw, size=(5.4, 3.9)), [*keys, note(remark)])


def _without_labels(found: Found, dependencies: Sequence[str], novelties: Mapping[str, str]) -> str:
    pairs = found["pairs"]
    names = {**novelties, **dict(zip(dependencies, dependencies, strict=True))}
    lines = []
    for name, words in names.items():
        group = pairs if name == "all" else pairs["groups"].get(name)
        if group:
            bar = (group["accuracy"], *group["interval"])
            lines.append([escape(words), f"{group['pairs']:,}", percent(bar)])
    made = table(
        ["", "pairs", "the acceptable one is likelier"],
        lines,
        numbers=(1, 2),
        caption="Of two sentences that differ in one place, which does the pretrained model find likelier: "
        "before it has seen a single label. Chance is 50 %.",
    )
    return f"<section><h2>Without any label</h2>{made}</section>"


def _filled_and_runs(found: Found) -> str:
    lines = []
    for each in found["filled"]:
        likeliest = each["masks"][0]["candidates"]
        told = ", ".join(f"{escape(one['token'])} {one['probability']:.0%}" for one in likeliest)
        lines.append([escape(each["text"]), told])
    filled = f"<section><h2>What may stand there</h2>{table(['', 'likeliest'], lines)}</section>"
    items = "".join(f"<li><a href='{run}/{REPORT}'>{escape(words)}</a></li>" for run, words in RUNS.items())
    return stack(filled, f"<section><h2>The runs</h2><ul>{items}</ul></section>")
