"""Say how likely a model finds sentences, and which of two it prefers.

A sentence's score is its pseudo-log-likelihood: each token is masked in turn, and the log-probabilities
that the model gives to them are summed. Of minimal pairs, rows with an acceptable sentence and one that is
not, the share is told in which the acceptable one has the higher score; a tie counts as half.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertkit.cli.arguments import add_shared, check_out, ending_of, source, text_options
from bertkit.cli.streams import tell
from bertkit.errors import CONTROL, UserError
from bertkit.text.jsons import to_json

if TYPE_CHECKING:
    from bertkit.data.tables import Row
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
        help="while a token is masked, mask those behind it in its word too (Kauf and Ivanova 2023)",
    )
    add_shared(parser, "--format", "--separator", "--encoding", "--precision", "--json")
    add("-o", "--out", type=Path, metavar="FILE", help="write each row with its scores, as JSON lines")
    add_shared(parser, "--overwrite")


def run(arguments: argparse.Namespace) -> int:
    """Score and print."""
    check_out(arguments.out, arguments.overwrite)
    pairs = _are_pairs(arguments)
    if pairs and arguments.column:
        raise UserError("--column is for sentences; of pairs say --good and --bad.")
    rows, places = _read(arguments, pairs)
    from bertkit.checkpoint.atomic import replace_file
    from bertkit.infer.model import load
    from bertkit.infer.score import score
    from bertkit.show.display import RowsDisplay

    model = load(arguments.model, precision=arguments.precision).masked
    began = time.perf_counter()
    texts = [row.text for row in rows] + [row.pair or "" for row in rows if pairs]
    with RowsDisplay("scoring") as progress:
        places *= 1 + pairs
        scores = score(model, texts, whole_words=arguments.whole_words, places=places, progress=progress)
    result, records = _pairs(rows, scores, arguments.group) if pairs else _sentences(rows, scores)
    seconds = time.perf_counter() - began
    result = {"model": model.name, **result, "seconds": seconds}
    result["sentences_per_second"] = len(texts) / seconds
    if arguments.out is not None:
        with replace_file(arguments.out) as written, written.open("w", encoding="utf-8") as file:
            for record in records:
                print(to_json(record), file=file)
    if arguments.json:
        shown = {} if pairs or arguments.out else {"rows": records}
        print(to_json({**result, **shown}))
    elif pairs:
        _show_pairs(result)
    else:
        _show_sentences(result, [] if arguments.out else records)
    if result["unknown"]:
        unknown = f"{result['unknown']:,} tokens are [UNK], words that the model does not know"
        tell(f"{unknown}; what it says of them means little.")
    return 0


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
        how = text_options(arguments)
        first = next(iterate_rows(arguments.files[0], Columns("good", "bad"), ending=ending, **how))
    except UserError:  # No such columns; what else is wrong with it will be said when it is read.
        return False
    return isinstance(first, Row)


def _read(arguments: argparse.Namespace, pairs: bool) -> tuple[list[Row], list[str]]:
    """All rows, and what messages call them.

    Raises:
        UserError: at the first row that cannot be read: a share of the good ones would not say so.
    """
    from bertkit.data.files import STANDARD_INPUT
    from bertkit.data.tables import Columns, place, read_rows

    found: list[tuple[Row, str]] = []
    for path in arguments.files or [STANDARD_INPUT]:
        ending = ending_of(path, arguments.format)
        columns = Columns(arguments.column or ("1" if ending == ".txt" else "text"))
        if pairs:
            columns = Columns(arguments.good or "good", arguments.bad or "bad", arguments.group)
        rows = read_rows(path, columns, ending=ending, **text_options(arguments))
        found += [(row, place(path, row.line)) for row in rows]
    return [row for row, _ in found], [words for _, words in found]


Told = tuple[dict[str, Any], list[dict[str, Any]]]
"""The result object, and a record for each row."""


def _sentences(rows: list[Row], found: Scores) -> Told:
    records = [
        {"text": row.text, "score": score, "tokens": tokens, "score_per_token": score / tokens}
        for row, score, tokens in zip(rows, found.scores.tolist(), found.tokens.tolist(), strict=True)
    ]
    result = {
        "sentences": len(rows),
        "tokens": int(found.tokens.sum()),
        "unknown": int(found.unknown.sum()),
        "score": float(found.scores.sum()),
        "perplexity": found.perplexity,
    }
    return result, records


def _pairs(rows: list[Row], both: Scores, group: str | None) -> Told:
    from bertkit.infer.score import preferences, summarise_pairs

    good, bad = both[: len(rows)], both[len(rows) :]
    groups = [row.label or "" for row in rows] if group else None
    result = {**summarise_pairs(good, bad, groups), "unknown": int(both.unknown.sum())}
    figures = {
        "good_score": good.scores,
        "bad_score": bad.scores,
        "good_tokens": good.tokens,
        "bad_tokens": bad.tokens,
        "points": preferences(good, bad),
    }
    lines = zip(*(figure.tolist() for figure in figures.values()), strict=True)
    records = [
        {
            "good": row.text,
            "bad": row.pair,
            **({group: row.label} if group else {}),
            **dict(zip(figures, line, strict=True)),
        }
        for row, line in zip(rows, lines, strict=True)
    ]
    return result, records


def _show_sentences(result: dict[str, Any], records: list[dict[str, Any]]) -> None:
    """Score, score of a token, and text, a line a sentence; all together on standard error."""
    for record in records:
        text = CONTROL.sub(" ", record["text"])
        print(f"{record['score']:.2f}\t{record['score_per_token']:.2f}\t{text}")
    print(
        f"{result['sentences']:,} sentences of {result['tokens']:,} tokens: perplexity "
        f"{result['perplexity']:,.2f} a token; {result['sentences_per_second']:,.0f} sentences/s",
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
