"""How long a person waits for `bertkit --help`, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys

from common import emit, emit_machine, interleaved

PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import bertkit": ["-c", "import bertkit"],
    "bertkit --help": ["-m", "bertkit", "--help"],
}


def main() -> None:
    """Print every figure."""
    emit_machine()

    def start(arguments: list[str]) -> None:
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)

    runs = {name: lambda arguments=arguments: start(arguments) for name, arguments in PROGRAMS.items()}
    for name, median in interleaved(runs, rounds=21, warmups=2).items():
        emit("startup", median, "s", command=name)


if __name__ == "__main__":
    main()
