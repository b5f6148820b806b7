"""The whole life of a BERT in about two minutes, offline: text, vocabulary, pretraining, fine-tuning.

The text is of a small English grammar. The model first reads many sentences without labels, then learns from
a few labelled ones to tell acceptable from unacceptable; beside it the same model does so from fresh weights.
"""

from __future__ import annotations

import argparse
import shlex
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.cli.arguments import add_shared
from bertkit.demo import FRESH, NOVELTIES, PRETRAIN, PRETRAINED, Sizes
from bertkit.errors import UserError
from bertkit.text.jsons import to_json
from bertkit.version import __version__

if TYPE_CHECKING:
    from rich.table import Table

    from bertkit.show.display import PlainConsole

# An empty file in the demo's folder: what has it may be overwritten.
MARK = ".bertkit-demo"

SIZES = Sizes()

# What the pretrained model fills in: each turns on the number of a noun that stands farther off.
GAPS = (
    "The doctors beside my aunt [MASK] tall.",
    "The doctor beside my aunts [MASK] tall.",
)
SHOWN = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-o", "--out", type=Path, default=Path("runs/demo"), help="the folder to make (%(default)s)")
    add("--seed", type=int, default=0, help="of the sentences and of the models")
    add("--overwrite", action="store_true", help="replace the demo that is there")
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Make the data, train, compare, and show what came of it."""
    from bertkit.demo.report import demo_verdict, write_demo_report
    from bertkit.show.display import plain_console

    out: Path = arguments.out
    if out.exists():
        if not arguments.overwrite:
            raise UserError(f"{out} exists; choose another folder with -o, or say --overwrite to replace it.")
        if not (out / MARK).is_file():
            raise UserError(f"{out} is no demo, so it is not overwritten; choose another folder with -o.")
    console = plain_console(to_stderr=arguments.json)
    found = live(out, SIZES, arguments.seed, console)
    page = write_demo_report(out, found)
    console.show(shares_table(found))
    pairs, filled = found["pairs"], found["filled"]
    console.say(
        f"{demo_verdict(found)[1]}\n"
        f"Without any label it finds the acceptable one of two twins likelier in {pairs['accuracy']:.0%} of "
        f"{pairs['pairs']:,} pairs."
    )
    for each in filled:
        candidates = each["masks"][0]["candidates"]
        likeliest = ", ".join(f"{one['token']} {one['probability']:.0%}" for one in candidates)
        console.say(f"  {each['text']:<42} {likeliest}")
    console.print("Ask it yourself:")
    for line in found["commands"]:
        console.print(f"  {line}", soft_wrap=True)
    console.print(f"{found['seconds']:.0f} s in all. The picture of it: {page}", soft_wrap=True)
    if arguments.json:
        print(to_json({**found, "report": str(page)}))
    return 0


def live(out: Path, sizes: Sizes, seed: int, console: PlainConsole) -> dict[str, Any]:
    """All of it, in the folder `out`; returns what --json prints."""
    from bertkit import api
    from bertkit.cli.demo_display import DemoDisplay
    from bertkit.demo import parts
    from bertkit.infer.model import load

    began = time.monotonic()

    def say(step: str, words: str) -> None:
        console.say(f"{step:<11}{words}")

    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()
    text, dev = parts.write_data(out, sizes, seed)
    say("text", f"{sizes.text:,} sentences of a small grammar, without labels; none that is scored later")
    tokenizer = parts.write_vocabulary(out, text, sizes)
    shards = parts.write_shards(out, tokenizer)
    say("tokens", f"{tokenizer.size:,} in the vocabulary, {shards['tokens']:,} in the text")
    say("pretrain", f"{sizes.steps:,} steps of about {sizes.tokens:,} tokens, some masked, to be restored")
    with (shown := DemoDisplay(console, sizes.steps)):
        recipe = parts.pretrain_recipe(out, sizes, seed)
        pretraining = api.pretrain(recipe=recipe, out=out / PRETRAIN, overwrite=True, listener=shown)
    updates = sizes.epochs * -(-sizes.labels // sizes.sequences)
    seeds = f", {sizes.seeds} seeds" if sizes.seeds > 1 else ""
    say("fine-tune", f"{sizes.labels:,} labelled sentences, {updates:,} updates{seeds}; {sizes.dev:,} scored")
    runs = {}
    for name, words in ((FRESH, "fresh weights"), (PRETRAINED, "pretrained")):
        with (shown := DemoDisplay(console, updates * sizes.seeds, words)):
            labelled = parts.finetune_recipe(out, sizes, seed, pretrained=name == PRETRAINED)
            runs[name] = api.finetune(recipe=labelled, out=out / name, overwrite=True, listener=shown)
    pretrained, restorer = (shlex.quote(str(out / name)) for name in (PRETRAINED, PRETRAIN))
    return {
        "sizes": asdict(sizes),
        "updates": runs[FRESH]["seeds"][0]["steps"],
        "novelties": NOVELTIES,
        "pretraining": pretraining,
        **runs,
        **parts.compare(out, dev, runs[FRESH], runs[PRETRAINED]),
        "pairs": parts.compare_twins(out / PRETRAIN, dev),
        "filled": load(out / PRETRAIN).fill(GAPS, top=SHOWN),
        "commands": [
            f'bertkit predict {pretrained} --say "My aunts was tired."',
            f'bertkit fill {restorer} "Our nephew described [MASK]."',
        ],
        "seconds": time.monotonic() - began,
        "version": __version__,
    }


def shares_table(found: dict[str, Any]) -> Table:
    """Shares of right answers, on what is like the labelled sentences and on what is new."""
    from rich.table import Table

    from bertkit.demo.report import WHO

    groups = found["groups"]
    columns = {name: words for name, words in NOVELTIES.items() if name in groups}
    table = Table(title="Share of right answers, with 95 % interval", title_justify="left", show_edge=False)
    for number, head in enumerate(("", "all", "interval")):
        table.add_column(head, justify="right" if number else "left", no_wrap=True)
    for words in columns.values():
        table.add_column(words, justify="right")
    for who in reversed(WHO):
        share, low, high = groups["all"][who]
        cells = [f"{groups[name][who][0]:.0%}" for name in columns]
        interval = f"[{100 * low:.1f}, {100 * high:.1f}]"
        style = "bold" if who == PRETRAINED else None
        table.add_row(WHO[who], f"{100 * share:.1f} %", interval, *cells, style=style)
    table.add_row("majority", "50.0 %", "", *("50%" for _ in columns))
    return table
