"""The life of a small model in about two minutes, offline: text, vocabulary, training, score, prediction.

The data are sentences of a small English grammar, half of them spoilt in one place. Half of those that the
model is scored on have words or a construction that it never saw in training.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.errors import UserError
from bertkit.recipe import Recipe

if TYPE_CHECKING:
    from rich.table import Table

    from bertkit.data.grammar import Sentence

# An empty file in the demo's folder: what has it may be overwritten.
MARK = ".bertkit-demo"

ROWS = {"train": 30_000, "dev": 800}

# What the trained model is asked at the end: each pair turns on one word.
QUESTIONS = (
    "The doctors beside my aunt are tall.",
    "The doctors beside my aunt is tall.",
    "Our nephew described himself.",
    "Our nephew described themselves.",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "-o", "--out", type=Path, default=Path("runs/demo"), help="the folder to make (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sentences and of the model")
    parser.add_argument("--overwrite", action="store_true", help="replace the demo that is there")
    parser.add_argument(
        "--json", action="store_true", help="print the result object alone on standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    """Make the data, train, and show what came of it."""
    from rich.console import Console

    from bertkit import api, load
    from bertkit.cli.display import Display

    out: Path = arguments.out
    if out.exists():
        if not arguments.overwrite:
            raise UserError(f"{out} exists; choose another folder with -o, or say --overwrite to replace it.")
        if not (out / MARK).is_file():
            raise UserError(f"{out} is no demo, so it is not overwritten; choose another folder with -o.")
    console = Console(stderr=arguments.json, highlight=False, markup=False)
    console.print(
        f"Writing sentences of a small grammar, half of them spoilt in one place, to {out}", soft_wrap=True
    )
    dev = write_sentences(out, arguments.seed)
    with Display(to_stderr=arguments.json, out=out / "run") as display:
        result = api.finetune(
            recipe=recipe(out, arguments.seed),
            out=out / "run",
            overwrite=arguments.overwrite,
            listener=display,
        )
    model = load(out / "run")
    answers = [answer["label"] for answer in model.predict([sentence.text for sentence in dev])]
    console.print(by_dependency(dev, answers))
    for answer in model.predict(QUESTIONS):
        share = answer["probabilities"][answer["label"]]
        console.print(f"{answer['text']:<38} {answer['label']:<13} {share:.0%}")
    console.print(
        f'Ask it yourself: bertkit predict {out / "run"} --say "My aunts was tired."', soft_wrap=True
    )
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    return 0


def write_sentences(folder: Path, seed: int) -> list[Sentence]:
    """Write train.tsv and dev.tsv and return the sentences of dev."""
    from bertkit.checkpoint.atomic import replace_file
    from bertkit.data.grammar import generate

    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    sentences: list[Sentence] = []
    for split in ("train", "dev"):
        sentences = generate(split, ROWS[split], seed)
        lines = ["sentence\tlabel\tdependency\tnovelty"]
        lines += [f"{each.text}\t{each.label}\t{each.phenomenon}\t{each.novelty}" for each in sentences]
        with replace_file(folder / f"{split}.tsv") as temporary:
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sentences


def recipe(folder: Path, seed: int) -> Recipe:
    """The demo's recipe over the files in `folder`."""
    changes: dict[str, dict[str, Any]] = {
        "task": {
            "train": str(folder / "train.tsv"),
            "dev": str(folder / "dev.tsv"),
            "text": "sentence",
            "metric": "mcc",
        },
        # The initialisation is in proportion to the small width: 0.02 is BERT's choice for a width of 768.
        "model": {
            "start": "tiny",
            "options": {
                "heads": 4,
                "max_positions": 64,
                "hidden_dropout": 0.0,
                "initialiser_range": 0.08,
            },
        },
        "head": {"dropout": 0.0},
        "vocabulary": {"size": 800},
        "batch": {"max_length": 64},
        "optimiser": {"lr": 1e-3},
        "training": {"epochs": 3, "seed": seed},
    }
    return Recipe().with_changes(changes)


def by_dependency(sentences: Sequence[Sentence], answers: Sequence[str]) -> Table:
    """Share of right answers for each dependency, on what is like the training rows and on what is new."""
    from rich.table import Table

    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for sentence, answer in zip(sentences, answers, strict=True):
        for row in (sentence.phenomenon, "all"):
            right[row, sentence.novelty].append(answer == sentence.label)
    columns = {"none": "as in training", "words": "new words", "construction": "new construction"}
    table = Table(title="Share of right answers (chance: 50 %)", title_justify="left")
    table.add_column("dependency")
    for heading in columns.values():
        table.add_column(heading, justify="right")
    names = dict.fromkeys(sentence.phenomenon for sentence in sentences)
    for name in (*names, "all"):
        shares = [right[name, novelty] for novelty in columns]
        cells = [f"{sum(each) / len(each):.0%}" if each else "" for each in shares]
        table.add_row(name, *cells, style="bold" if name == "all" else None)
    return table
