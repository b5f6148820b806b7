"""Text to tokens: megabytes a second and core of `bertkit prepare`, beside the `datasets` way.

The other way is the usual one: `load_dataset`, `map` with a fast tokenizer in batches over two processes, and
the tokens saved; without sentences, held-out documents, duplicates or a journal. Both begin from the same
file of documents, use two processes, and leave their tokens on the disk. Without `datasets` installed
(`pip install datasets`) only bertkit is measured.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from common import VOCABULARY, corpus, emit, emit_machine, seconds

PROCESSES = 2
PEER = """
import sys
from datasets import load_dataset
from transformers import BertTokenizerFast
text, vocabulary, out, processes = sys.argv[1:]
tokenizer = BertTokenizerFast(vocabulary)
def cut(batch):
    return tokenizer(batch["text"], add_special_tokens=False, return_attention_mask=False,
                     return_token_type_ids=False)
rows = load_dataset("json", data_files=text, split="train", cache_dir=out + "-cache")
rows.map(cut, batched=True, num_proc=int(processes), remove_columns=rows.column_names).save_to_disk(out)
"""


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=30, help="of text to cut")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    arguments = parser.parse_args()
    files = corpus()
    emit_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        megabytes = _take(files, folder / "text.jsonl", arguments.megabytes)
        out = folder / "out"
        options = ["--vocab", str(VOCABULARY), "-o", str(out), "--overwrite", "--workers", str(PROCESSES)]
        commands = {
            "bertkit": ["-m", "bertkit", "prepare", str(folder / "text.jsonl"), *options],
            "datasets": ["-c", PEER, str(folder / "text.jsonl"), str(VOCABULARY), str(out), str(PROCESSES)],
        }
        if find_spec("datasets") is None:
            print("prepare.py: datasets is not installed; only bertkit is measured", file=sys.stderr)
            del commands["datasets"]
        _measure(commands, out, megabytes, arguments.rounds)


def _take(files: list[Path], path: Path, megabytes: float) -> float:
    """Write documents of all files in turns until there is enough text; returns how many megabytes it is."""
    size = 0
    with ExitStack() as stack, path.open("w", encoding="utf-8") as file:
        streams = [stack.enter_context(gzip.open(source, "rt", encoding="utf-8")) for source in files]
        for lines in zip(*streams, strict=False):
            for line in lines:
                text = json.loads(line)["text"]
                size += len(text.encode())
                file.write(json.dumps({"text": text}) + "\n")
            if size >= megabytes * 1e6:
                break
    return size / 1e6


def _measure(commands: dict[str, list[str]], out: Path, megabytes: float, rounds: int) -> None:
    """Let all take turns, and print the best of each: processor time is what a busy machine changes least."""
    wall = {name: [] for name in commands}
    cores = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(f"{out}-cache", ignore_errors=True)
            before = _processor_seconds()
            run = [sys.executable, *command]
            wall[name].append(seconds(lambda run=run: subprocess.run(run, check=True, capture_output=True)))
            cores[name].append(_processor_seconds() - before)
    for name in commands:
        emit(
            f"prepare with {name}",
            megabytes / min(cores[name]),
            "MB/s a core",
            wall_megabytes_a_second=round(megabytes / min(wall[name]), 2),
            processor_seconds=[round(value, 2) for value in cores[name]],
            megabytes=round(megabytes, 1),
            processes=PROCESSES,
        )


def _processor_seconds() -> float:
    """Of all processes that this one started and that have ended, theirs counted too."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
