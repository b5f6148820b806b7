"""Cut text into pieces once, for pretraining: a folder of memory-mapped shards.

Interrupted at any moment, the same command goes on where it was. The shards depend on the text and the
options, not on the number of workers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

LAYOUTS = ("auto", "blank", "lines")
FORMATS = ("txt", "jsonl", "parquet", "tsv", "csv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("texts", nargs="*", metavar="TEXT", help="files, folders or patterns")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--vocab", type=Path, metavar="FILE", help="the vocab.txt to cut with")
    which.add_argument("--model", type=Path, metavar="DIR", help="a folder with a tokenizer")
    add("--cased", action="store_true")
    add("-o", "--out", type=Path, required=True)
    add("--heldout", default="0.5%")
    add("--sentences", default="auto")
    add("--documents", choices=LAYOUTS, default="auto")
    add("--column")
    add("--workers", type=int)
    add("--overwrite", action="store_true")
    add("--strict", action="store_true")
    add("--words", choices=("jieba",))
    add("--json", action="store_true")


def run(arguments: argparse.Namespace) -> int:
    """Do it."""
    import json

    from bertkit.data.corpus import Reading
    from bertkit.data.prepare import Options, prepare
    from bertkit.text.tokenizer import Tokenizer

    tokenizer = (
        Tokenizer.from_vocabulary(arguments.vocab, lowercase=not arguments.cased)
        if arguments.vocab
        else Tokenizer.from_folder(arguments.model)
    )
    share = arguments.heldout
    heldout = float(share[:-1]) / 100 if share.endswith("%") else float(share)
    options = Options(
        heldout=heldout,
        sentences=arguments.sentences,
        words=arguments.words,
        reading=Reading(layout=arguments.documents, column=arguments.column),
    )
    result = prepare(
        arguments.texts,
        tokenizer,
        arguments.out,
        options,
        workers=arguments.workers,
        strict=arguments.strict,
        overwrite=arguments.overwrite,
    )
    print(json.dumps(result, indent=1))
    return 0
