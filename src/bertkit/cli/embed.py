"""Turn texts into vectors with a model: the states of any layers, pooled, one vector a text or a word.

The file has a row for each row of the input, in its order. A row that cannot be read, or has no text, is
reported and keeps its place: NaN in .npy, an error in Parquet; the exit code is then 2.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bertkit.cli.arguments import (
    add_input_arguments,
    add_shared,
    can_be_read_again,
    check_out,
    check_sources,
    input_rows,
    report_tally,
)
from bertkit.text.jsons import to_json

EXAMPLES = """examples:
  bertkit embed RUN sentences.txt -o vectors.npy                  the mean of the last layer's tokens
  bertkit embed MODEL reviews.csv --text review -o vectors.parquet --layers -2 --pooling max
  bertkit embed MODEL sentences.txt -o vectors.npy --layers -4 -3 -2 -1 --combine concat
  bertkit embed MODEL sentences.txt -o words.parquet --pooling words"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", help="a run, a model folder, or a folder of sentence-transformers")
    add_input_arguments(parser)
    add("-o", "--out", type=Path, required=True, metavar="FILE", help="the .npy or .parquet file to make")
    add(
        "--layers",
        nargs="+",
        type=int,
        metavar="LAYER",
        help="1 is the lowest layer, 0 the embeddings; -1 the last, -2 the one below it (default: -1)",
    )
    add("--combine", choices=("sum", "concat"), help="what is made of several layers (default: sum)")
    add(
        "--pooling",
        choices=("cls", "mean", "max", "pooler", "words"),
        help="what is made of the tokens of a text (default: as sentence-transformers noted, or mean); "
        "words: a vector for each word",
    )
    add(
        "--normalise",
        action=argparse.BooleanOptionalAction,
        help="divide each vector by its length (default: as sentence-transformers noted, or not)",
    )
    add_shared(parser, "--json", "--overwrite")


def run(arguments: argparse.Namespace) -> int:
    """Write the vectors; 2 if some rows have none."""
    check_out(arguments.out, arguments.overwrite, arguments.files)
    check_sources(arguments)
    from bertkit.infer.embed import check_ending, open_writer
    from bertkit.infer.model import load
    from bertkit.infer.rows import Tally, survey
    from bertkit.show.display import RowsDisplay

    check_ending(arguments.out, by_word=arguments.pooling == "words")
    windows = {"window": arguments.window, "stride": arguments.stride}
    model = load(arguments.model, precision=arguments.precision, **windows)
    embedder = model.embedder(
        layers=arguments.layers,
        combine=arguments.combine,
        pooling=arguments.pooling,
        normalise=arguments.normalise,
    )
    tally, began = Tally(), time.perf_counter()
    with (
        RowsDisplay("embedding") as progress,
        open_writer(arguments.out, embedder.width, by_word=embedder.embedding.by_word) as write,
    ):
        if can_be_read_again(arguments.files):
            found = survey(input_rows(arguments, model.card))
            progress.begin(found.rows, found.characters)
        for rows, vectors in embedder.embed_rows(input_rows(arguments, model.card), tally, progress=progress):
            write(rows, vectors)
    seconds = time.perf_counter() - began
    report_tally(tally, embedder.reading.longest, "vector")
    done, speed = embedder.embedding, tally.tokens / seconds
    if arguments.json:
        result = {
            "model": arguments.model,
            "out": str(arguments.out),
            **asdict(tally),
            "width": embedder.width,
            **asdict(done),
            **asdict(embedder.reading),
            "precision": embedder.compute.precision,
            "seconds": seconds,
            "tokens_per_second": speed,
        }
        print(to_json(result))
    else:
        print(
            f"{arguments.out}: {tally.rows:,} rows of {embedder.width}, {' and '.join(done.poolings)} of "
            f"layer {' and '.join(map(str, done.layers))}{', of length 1' if done.normalise else ''}; "
            f"{seconds:.1f} s, {speed:,.0f} tokens/s",
            file=sys.stderr,
        )
    return 2 if tally.bad else 0
