"""What the benchmarks share: one JSON line a figure, medians, fair turns, and what machine this is."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

# What bf16 and int8 arithmetic depend on; other processor flags do not change a figure here.
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")

ROOT = Path(__file__).resolve().parents[1]
RECIPES = ROOT / "recipes"
DATA = Path(os.environ.setdefault("BERTKIT_DATA", str(ROOT.parent / "shared" / "data")))
"""Real data, where the programs that are measured look for it, too."""
VOCABULARY = DATA / "vocab" / "bert-base-uncased-vocab.txt"


def corpus() -> list[Path]:
    """The files of real text; the program ends where there are none."""
    files = sorted((DATA / "corpus").glob("*.jsonl.gz"))
    if not files or not VOCABULARY.is_file():
        sys.exit(f"{sys.argv[0]}: {DATA} has no corpus/*.jsonl.gz or vocab/; set BERTKIT_DATA to real data")
    return files


def emit(figure: str, value: float, unit: str, **details: object) -> None:
    """Print one figure as one JSON line: its name, its value to four digits, its unit, what it depends on."""
    line = {"figure": figure, "value": float(f"{value:.4g}"), "unit": unit, **details}
    print(json.dumps(line), flush=True)


def emit_machine() -> None:
    """Print what the figures were measured on, as one JSON line."""
    print(json.dumps({"machine": machine()}), flush=True)


def machine() -> dict[str, object]:
    """Processor, its usable cores and arithmetic flags, and the versions that set the speed."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    has = set((fields.get("flags") or fields.get("features") or "").split())
    return {
        "processor": fields.get("model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in has],
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def interleaved(
    runs: Mapping[str, Callable[[], object]], rounds: int = 5, warmups: int = 1
) -> dict[str, float]:
    """Median seconds of each of `runs`, which take turns, so that a slow spell of the machine hits all alike.

    Args:
        runs: what to measure, by name.
        rounds: measured calls of each.
        warmups: calls of each before that, not measured.
    """
    for _ in range(warmups):
        for run in runs.values():
            run()
    measured: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            measured[name].append(seconds(run))
    return {name: statistics.median(times) for name, times in measured.items()}


def median_seconds(run: Callable[[], object], rounds: int = 5, warmups: int = 1) -> float:
    """Median seconds of `rounds` calls."""
    return interleaved({"": run}, rounds, warmups)[""]
