"""Tables out of files that are published in other layouts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

from bertkit.data.files import open_text
from bertkit.errors import UserError

Tables = Mapping[str, Iterator[str]]
"""The lines of each table, by the name of its file."""

_HEAD = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
# What stands in a tree before a word or another tree, and what ends them.
_BRACKETS = re.compile(r"\(\d |\(|\)")


def mrpc(folder: Path) -> Tables:
    """GLUE's tables of MRPC, as its `download_glue_data.py` makes them of Microsoft's.

    Of `msr_paraphrase_train.txt` the rows whose two IDs `mrpc_dev_ids.tsv` lists are dev and the others are
    train. Of the rows of test the label is replaced by their number from 0.
    """
    ids = {tuple(line.split("\t")) for _, line in open_text(folder / "mrpc_dev_ids.tsv")}

    def rows(name: str) -> Iterator[list[str]]:
        for number, line in open_text(folder / name):
            cells = line.split("\t")
            if len(cells) != 5:
                raise UserError(f"{folder / name}, line {number}: 5 columns are needed, not {len(cells)}.")
            if number > 1:
                yield [cell.strip() for cell in cells]

    def part(dev: bool) -> Iterator[str]:
        kept = (cells for cells in rows("msr_paraphrase_train.txt") if ((cells[1], cells[2]) in ids) == dev)
        return chain([_HEAD], map("\t".join, kept))

    test = enumerate(rows("msr_paraphrase_test.txt"))
    return {
        "train.tsv": part(False),
        "dev.tsv": part(True),
        "test.tsv": chain(
            [_HEAD.replace("Quality", "index")], ("\t".join([str(n), *cells[1:]]) for n, cells in test)
        ),
    }


def treebank(folder: Path) -> Tables:
    """Sentences and their classes, 0 to 4, of the trees of the Stanford Sentiment Treebank.

    A line of `train.trees` is a tree such as `(3 (2 A) (4 (3 good) (2 film)))`: the number at its root is the
    class of the sentence.
    """

    def rows(name: str) -> Iterator[str]:
        yield "sentence\tlabel"
        for number, line in open_text(folder / name):
            if not re.match(r"\([0-4] ", line):
                raise UserError(f"{folder / name}, line {number}: no tree of the form (3 (2 a) (2 word)).")
            yield f"{' '.join(_BRACKETS.sub(' ', line).split())}\t{line[1]}"

    return {f"{split}.tsv": rows(f"{split}.trees") for split in ("train", "dev", "test")}


MAKERS: Mapping[str, Callable[[Path], Tables]] = {"mrpc": mrpc, "treebank": treebank}
"""By the name that `sources.toml` calls them."""
