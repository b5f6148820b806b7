"""What a machine computes with: the number format (weights are always float32), clock, memory and speed."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

import torch

from bertkit.config.model import Precision

Computing = Literal["fp32", "bf16"]

BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Names that Linux gives to native bfloat16 arithmetic: of x86 the first two, of ARM the last."""

CPUINFO = Path("/proc/cpuinfo")
OWN_MEMORY = Path("/proc/self/statm")
MEMORY = Path("/proc/meminfo")
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
"""Of a container: what it may use, and what it uses."""

LARGE = (2_048, 2_048, 2_048)
"""Rows, inputs and outputs of a product that no overhead slows down."""

_DTYPES: dict[Computing, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
# Long enough for the clock.
_BLOCK_SECONDS = 0.01
_LEAST_BLOCKS = 3
_MOST_BLOCKS = 100


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


@dataclass(frozen=True)
class Compute:
    """Where and in which number format a model computes; weights are float32 always.

    Attributes:
        precision: of matrix products and attention.
        device: by torch's name.
    """

    precision: Computing = "fp32"
    device: str = "cpu"

    @classmethod
    def choose(cls, asked: Precision) -> Compute:
        """What `--precision` means on this machine: "auto" is bf16 where it is native, else fp32."""
        if asked == "auto":
            return cls("bf16" if native_bf16() else "fp32")
        return cls(asked)

    def autocast(self) -> AbstractContextManager[object]:
        """Context in which matrix products and attention run in the precision.

        With bf16, PyTorch casts the inputs of linear layers and attention; the residual stream, layer norms,
        softmax of the loss and the loss itself stay in float32, because the embeddings start it in float32
        and the sum of the two formats is float32. Weights, their gradients and the optimiser are float32.
        """
        return torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16")


FLOAT32 = Compute()


def in_float32(tensor: torch.Tensor) -> AbstractContextManager[object]:
    """Context in which what is computed beside `tensor` is not cast, whatever the context around it does."""
    return torch.autocast(tensor.device.type, enabled=False)


def flush_denormals() -> None:
    """Let numbers below 1.2e-38 be zero: a collapsed model is full of them, and each costs a slow path.

    The setting belongs to the calling thread, and a worker thread takes over that of the thread that
    starts it: call this before the first parallel operation.
    """
    torch.set_flush_denormal(True)


def clock() -> float:
    """Seconds that this thread has computed: those in which others have the core tell nothing of a trial."""
    return time.thread_time()


def resident_memory() -> int:
    """Bytes of memory that this process has now; 0 where the system does not tell."""
    if not OWN_MEMORY.is_file():
        return 0
    return int(OWN_MEMORY.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_memory() -> int | None:
    """Bytes that may still be used, by the machine and by the container; None where neither tells."""
    found = []
    if MEMORY.is_file():
        for line in MEMORY.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1_024)
    if all(path.is_file() for path in LIMITS):
        most, used = (path.read_text(encoding="ascii").strip() for path in LIMITS)
        if most.isdecimal():
            found.append(int(most) - int(used))
    return min(found) if found else None


def gemm_rate(compute: Compute, shape: tuple[int, int, int] = LARGE, *, budget: float = 0.3) -> float:
    """Operations a second of a product `[m, k] x [k, n]`, as a linear layer computes it: the fastest of many.

    The fastest, because others on the machine only ever make it slower.

    Args:
        compute: where, and the format of input, weight and output.
        shape: m, k and n.
        budget: seconds to spend, about; slow products are run a few times whatever they take.
    """
    m, k, n = shape
    input_mk = torch.randn(m, k, device=compute.device).to(_DTYPES[compute.precision])
    weight_nk = torch.randn(n, k, device=compute.device).to(_DTYPES[compute.precision])

    def seconds(calls: int) -> float:
        begin = time.perf_counter()
        for _ in range(calls):
            torch.nn.functional.linear(input_mk, weight_nk)
        return time.perf_counter() - begin

    with torch.inference_mode():
        seconds(1)  # the first call prepares the kernel
        once = seconds(1)
        calls = ceil(_BLOCK_SECONDS / once)
        blocks = min(max(_LEAST_BLOCKS, int(budget / (calls * once))), _MOST_BLOCKS)
        fastest = min(seconds(calls) for _ in range(blocks))
    return 2 * m * k * n * calls / fastest
