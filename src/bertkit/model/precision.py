"""In which number format the model computes. Weights are float32 always."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch

from bertkit.config.model import Precision

Computing = Literal["fp32", "bf16"]

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names that Linux gives to native bfloat16 arithmetic: of x86 the first two, of ARM the last."""

CPUINFO = Path("/proc/cpuinfo")


def native_bf16(cpuinfo: Path = CPUINFO) -> bool:
    """Whether the processor multiplies bfloat16 in hardware.

    Read from the processor's flags; where the system does not tell them the answer is no. Emulated
    bfloat16 is many times slower than float32, so this is never guessed.
    """
    if not cpuinfo.is_file():
        return False
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return not BF16_FLAGS.isdisjoint(value.split())
    return False


def choose_precision(asked: Precision) -> Computing:
    """What `--precision` means on this machine: "auto" is bf16 where it is native, else fp32."""
    if asked == "auto":
        return "bf16" if native_bf16() else "fp32"
    return asked


def autocast(precision: Computing) -> AbstractContextManager[object]:
    """Context in which matrix products and attention run in `precision`.

    With bf16, PyTorch casts the inputs of linear layers and attention; the residual stream, layer norms,
    softmax of the loss and the loss itself stay in float32, because the embeddings start it in float32
    and the sum of the two formats is float32. Weights, their gradients and the optimiser are float32.
    """
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


def flush_denormals() -> None:
    """Let numbers below 1.2e-38 be zero: a collapsed model is full of them, and each costs a slow path.

    The setting belongs to the calling thread, and a worker thread takes over that of the thread that
    starts it: call this before the first parallel operation.
    """
    torch.set_flush_denormal(True)
