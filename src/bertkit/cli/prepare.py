"""Cut text into tokens for pretraining, once: into a folder of memory-mapped shards.

Interrupted at any moment, the same command goes on where it was. The shards depend on the text and the
options, not on the number of workers. Documents whose text stood before are dropped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from bertkit.cli.arguments import CLEANING, add_shared, text_options
from bertkit.errors import UserError, check_at_least
from bertkit.recipe.pretrain import Layout
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from bertkit.text.tokenizer import Tokenizer

SEGMENTERS = ("jieba",)
EXAMPLES = """examples:
  bertkit prepare corpus/*.jsonl.gz --vocab vocab.txt -o shards      a document a line, its key "text"
  bertkit prepare books/ --model RUN -o shards                       all text files in a folder
  bertkit prepare google.txt --vocab vocab.txt -o shards --sentences lines
                                  a sentence a line, blank lines between documents
  zcat old.gz | bertkit prepare - --vocab vocab.txt -o shards        cannot be continued if interrupted"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="files (plain text, JSON, TSV, CSV, Excel, Parquet, Arrow; text also as .gz, .zst, .bz2, .xz), "
        "folders of such files, patterns in quotes, or - for standard input",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--vocab", type=Path, metavar="FILE", help="the vocab.txt to cut with")
    which.add_argument("--model", metavar="DIR", help="cut with the tokenizer of this run or model folder")
    cleaning = parser.add_argument_group(
        "for a --vocab without the tokenizer_config.json that `bertkit vocab` writes beside it"
    )
    add_shared(cleaning, *CLEANING)
    add("-o", "--out", type=Path, required=True, metavar="SHARDS", help="the folder to make")
    add(
        "--heldout",
        type=_share,
        default=0.005,
        metavar="SHARE",
        help="share of the documents to hold out, such as 0.5%% (default) or 0.005; a hash of the text "
        "chooses",
    )
    add(
        "--sentences",
        default="auto",
        metavar="HOW",
        help="where sentences end: auto (default) splits lines by rules that know the full stops of all "
        "scripts and the abbreviations of English; de, zh, ... by those of a language; lines: each line is a "
        "sentence; length:N: after N tokens, wherever lines end",
    )
    add(
        "--documents",
        choices=get_args(Layout),
        default="auto",
        help="documents of plain text: files (a document a file), blank (between blank lines), lines (a "
        "document a line), or auto (default): files for folders of several files of at most a MiB; else "
        "blank if lines are sentences or the file's first million characters have a blank line; else lines",
    )
    add_shared(parser, "--column", "--header", "--format", "--separator", "--encoding")
    add("--words", choices=SEGMENTERS, help="find Chinese words, for masking whole ones")
    add("--workers", type=int, metavar="N", help="processes; by default one for each processor")
    add("--strict", action="store_true", help="stop at the first place that cannot be read")
    add("--overwrite", action="store_true", help="replace the shards that are there, finished or not")
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    if arguments.workers is not None:
        check_at_least("prepare", "workers", arguments.workers, 1)
    if arguments.model and any(getattr(arguments, name) is not None for name in CLEANING.values()):
        raise UserError(
            "--lower-case, --cased, --strip-accents and --split-cjk are for --vocab; a model folder says "
            "itself how its text is read."
        )

    from bertkit.data.corpus import CorpusReading
    from bertkit.data.prepare import Options, prepare
    from bertkit.show.display import PrepareDisplay

    piped = "-" in arguments.texts
    layout = arguments.documents
    if layout == "auto" and arguments.sentences == "lines":
        layout = "blank"
    kind = f".{arguments.format}" if arguments.format else None
    options = Options(
        heldout=arguments.heldout,
        sentences=arguments.sentences,
        words=arguments.words,
        reading=CorpusReading(
            layout=layout,
            column=arguments.column,
            header=arguments.header,
            kind=kind,
            **text_options(arguments),
        ),
    )
    with PrepareDisplay(to_stderr=arguments.json, out=arguments.out, piped=piped) as display:
        result = prepare(
            arguments.texts,
            _tokenizer(arguments),
            arguments.out,
            options,
            workers=arguments.workers,
            strict=arguments.strict,
            overwrite=arguments.overwrite,
            listener=display,
        )
    if arguments.json:
        print(to_json(result))
    return 0


def _tokenizer(arguments: argparse.Namespace) -> Tokenizer:
    from bertkit.text.tokenizer import Tokenizer

    if arguments.vocab:
        cleaning = {name: getattr(arguments, name) for name in CLEANING.values()}
        return Tokenizer.from_vocabulary(arguments.vocab, **cleaning)
    from bertkit.checkpoint.folder import read_tokenizer
    from bertkit.checkpoint.locate import find_model

    folder = find_model(arguments.model)
    if folder is None:
        raise UserError(f"{arguments.model} is a preset, which has no vocabulary; name one with --vocab.")
    return read_tokenizer(folder)


def _share(text: str) -> float:
    """`0.5%` or `0.005`."""
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
