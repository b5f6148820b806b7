"""Say how likely a model finds sentences, and which of two it prefers.

A sentence's score is its pseudo-log-likelihood: each piece is masked in turn, and the log-probabilities
that the model gives to them are summed. Of minimal pairs, rows with an acceptable sentence and one that is
not, the share is told in which the acceptable one has the higher score; a tie counts as half.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.cli.arguments import add_shared, check_out, ending_of, source
from bertkit.cli.predict import CONTROL
from bertkit.errors import UserError
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from bertkit.data.tables import Columns, Row
    from bertkit.infer.masked import MaskedModel
    from bertkit.infer.score import Scores

EXAMPLES = """examples:
  bertkit score RUN sentences.txt                          one sentence a line
  bertkit score RUN reviews.csv --column review --json
  bertkit score RUN pairs.jsonl --group phenomenon         {"good": ..., "bad": ..., "phenomenon": ...}
  bertkit score RUN blimp/*.jsonl --good sentence_good --bad sentence_bad --group UID -o scores.jsonl"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("model", help="a pretrained run or model folder")
    add(
        "files",
        nargs="*",
        type=source,
        metavar="FILE",
        help="TXT, TSV, CSV, JSONL or Parquet; none is standard input. Files whose rows have the fields good "
        "and bad are pairs",
    )
    add("--column", metavar="COLUMN", help="of the sentences: a name, or a number from 1 (default: text)")
    add("--good", metavar="COLUMN", help="of pairs: the acceptable sentence (default: good)")
    add("--bad", metavar="COLUMN", help="of pairs: the other sentence (default: bad)")
    add("--group", metavar="COLUMN", help="of pairs: tell the accuracy for each value of this column too")
    add(
        "--whole-words",
        action="store_true",
        help="while a piece is masked, mask those behind it in its word too (Kauf and Ivanova 2023)",
    )
    add_shared(parser, "--format", "--precision", "--json")
    add("-o", "--out", type=Path, metavar="FILE", help="write each row with its scores, as JSON lines")
    add_shared(parser, "--overwrite")


def run(arguments: argparse.Namespace) -> int:
    """Score and print."""
    check_out(arguments.out, arguments.overwrite)
    pairs = _are_pairs(arguments)
    if pairs and arguments.column:
        raise UserError("--column is for sentences; of pairs say --good and --bad.")
    rows, places = _read(arguments, pairs)
    from bertkit.infer.model import load

    model = load(arguments.model, precision=arguments.precision).masked
    began = time.perf_counter()
    if pairs:
        result, records = _score_pairs(model, rows, places, arguments)
    else:
        result, records = _score_sentences(model, rows, places, arguments)
    seconds = time.perf_counter() - began
    result = {"model": model.name, **result, "seconds": seconds}
    result["sentences_per_second"] = len(rows) * (1 + pairs) / seconds
    if arguments.out is not None:
        _write(arguments.out, records)
    if arguments.json:
        shown = {} if pairs or arguments.out else {"rows": records}
        print(to_json({**result, **shown}))
    elif pairs:
        _show_pairs(result)
    else:
        _show_sentences(result, [] if arguments.out else records)
    if result["unknown"]:
        unknown = f"{result['unknown']:,} pieces are [UNK], words that the model does not know"
        print(f"bertkit: {unknown}; what it says of them means little.", file=sys.stderr)
    return 0


def _columns(arguments: argparse.Namespace, pairs: bool, ending: str) -> Columns:
    from bertkit.data.tables import Columns

    if pairs:
        return Columns(arguments.good or "good", arguments.bad or "bad", arguments.group)
    return Columns(arguments.column or ("1" if ending == ".txt" else "text"))


def _are_pairs(arguments: argparse.Namespace) -> bool:
    """Whether options say so, or else the first row of the first file."""
    from bertkit.data.tables import Columns, Row, iterate_rows

    if arguments.good or arguments.bad or arguments.group:
        return True
    if arguments.column or not arguments.files or not arguments.files[0].is_file():
        return False
    ending = ending_of(arguments.files[0], arguments.format)
    if ending == ".txt":
        return False
    try:
        first = next(iterate_rows(arguments.files[0], Columns("good", "bad"), ending=ending))
    except UserError:  # No such columns; what else is wrong with it will be said when it is read.
        return False
    return isinstance(first, Row)


def _read(arguments: argparse.Namespace, pairs: bool) -> tuple[list[Row], list[str]]:
    """All rows, and what messages call them.

    Raises:
        UserError: at the first row that cannot be read: a share of the good ones would not say so.
    """
    from bertkit.data.files import STANDARD_INPUT
    from bertkit.data.tables import place, read_rows

    rows: list[Row] = []
    places: list[str] = []
    for path in arguments.files or [STANDARD_INPUT]:
        ending = ending_of(path, arguments.format)
        for row in read_rows(path, _columns(arguments, pairs, ending), ending=ending):
            rows.append(row)
            places.append(place(path, row.line))
    return rows, places


def _score_sentences(
    model: MaskedModel, rows: list[Row], places: list[str], arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The result object, and a record for each row."""
    texts = [row.text for row in rows]
    found = _score(model, texts, places, arguments)
    records = [
        {"text": text, "score": score, "pieces": pieces, "score_per_piece": score / pieces}
        for text, score, pieces in zip(texts, found.scores.tolist(), found.pieces.tolist(), strict=True)
    ]
    result = {
        "sentences": len(rows),
        "pieces": int(found.pieces.sum()),
        "unknown": int(found.unknown.sum()),
        "score": float(found.scores.sum()),
        "perplexity": found.perplexity,
    }
    return result, records


def _score_pairs(
    model: MaskedModel, rows: list[Row], places: list[str], arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from bertkit.infer.score import preferences, summarise_pairs

    texts = [row.text for row in rows] + [row.pair or "" for row in rows]
    both = _score(model, texts, [*places, *places], arguments)
    good, bad = both[: len(rows)], both[len(rows) :]
    groups = [row.label or "" for row in rows] if arguments.group else None
    result = {**summarise_pairs(good, bad, groups), "unknown": int(both.unknown.sum())}
    columns = zip(
        rows,
        good.scores.tolist(),
        bad.scores.tolist(),
        good.pieces.tolist(),
        bad.pieces.tolist(),
        preferences(good, bad).tolist(),
        strict=True,
    )
    records = [
        {
            "good": row.text,
            "bad": row.pair,
            **({arguments.group: row.label} if arguments.group else {}),
            "good_score": good_score,
            "bad_score": bad_score,
            "good_pieces": good_pieces,
            "bad_pieces": bad_pieces,
            "points": points,
        }
        for row, good_score, bad_score, good_pieces, bad_pieces, points in columns
    ]
    return result, records


def _score(model: MaskedModel, texts: list[str], places: list[str], arguments: argparse.Namespace) -> Scores:
    from bertkit.infer.score import score

    with _bar(len(texts)) as progress:
        return score(model, texts, whole_words=arguments.whole_words, places=places, progress=progress)


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None] | None]:
    """Show on standard error how far it is, where a person sees it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("scoring", total=total)
        yield lambda count: progress.advance(task, count)


def _write(out: Path, records: list[dict[str, Any]]) -> None:
    from bertkit.checkpoint.atomic import replace_file

    with replace_file(out) as written, written.open("w", encoding="utf-8") as file:
        for record in records:
            print(to_json(record), file=file)


def _show_sentences(result: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """Score, score of a piece, and text, a line a sentence; all together on standard error."""
    for record in records:
        text = CONTROL.sub(" ", record["text"])
        print(f"{record['score']:.2f}\t{record['score_per_piece']:.2f}\t{text}")
    print(
        f"{result['sentences']:,} sentences of {result['pieces']:,} pieces: perplexity "
        f"{result['perplexity']:,.2f} a piece; {result['sentences_per_second']:,.0f} sentences/s",
        file=sys.stderr,
    )


def _show_pairs(result: dict[str, Any]) -> None:
    """A line a group, and one for all."""
    groups = result.get("groups", {})
    rows = {**{CONTROL.sub(" ", name): group for name, group in groups.items()}, "all": result}
    width = max(len(name) for name in (*rows, "group"))
    print(f"{'group':<{width}}  {'pairs':>7}  accuracy  95 % interval  ties")
    for name, row in rows.items():
        low, high = row["interval"]
        print(
            f"{name:<{width}}  {row['pairs']:>7,}  {100 * row['accuracy']:>8.2f}  "
            f"[{100 * low:5.2f}, {100 * high:5.2f}]  {row['ties']:>4,}"
        )
    if groups:
        print(f"{'mean of groups':<{width}}  {'':>7}  {100 * result['groups_mean']:>8.2f}")
