"""A vocabulary of 30,000 tokens from the whole corpus: seconds and peak memory of the command itself.

It is one run, for it is long. The command is a process of its own, so that its peak is not this one's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

from common import corpus, emit, emit_machine

SIZE = 30_000


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", default="wordpiece", help="wordpiece or topdown")
    parser.add_argument("--size", type=int, default=SIZE, help="tokens to ask for")
    arguments = parser.parse_args()
    files = corpus()
    emit_machine()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-m", "bertkit", "vocab", *files, "--size", str(arguments.size)]
        options = ["--algorithm", arguments.algorithm, "-o", f"{temporary}/vocab.txt", "--json"]
        answer = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE).stdout
    result = json.loads(answer)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    emit(
        "vocabulary",
        result["seconds"],
        "s",
        peak_gb=round(peak / 1e9, 2),
        # On a busy machine (`load_before`) wall time says little; processor time hardly changes.
        processor_seconds=round(used.ru_utime + used.ru_stime, 1),
        load_before=round(load, 1),
        **{
            name: result[name]
            for name in ("algorithm", "size", "texts", "words", "distinct_words", "held_out")
        },
    )


if __name__ == "__main__":
    main()
