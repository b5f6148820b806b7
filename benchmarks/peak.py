"""What this machine can do at most: matrix products in fp32 and bf16, and copying memory.

A training step cannot take less than its arithmetic at the first rate plus the optimiser's bytes at the
second.
"""

from __future__ import annotations

from math import ceil

import torch

from common import emit, emit_machine, median_seconds, seconds

# [pieces, in] x [in, out] of one step: all-MiniLM-L6-v2 at 370 pieces (a batch of 32 CoLA sentences), and
# the article's sizes. The last of each is a weight's gradient, [in, pieces] x [pieces, out].
STEPS = {
    "minilm": [(370, 384, 1152), (370, 384, 384), (370, 384, 1536), (370, 1536, 384), (384, 370, 1536)],
    "blog": [(370, 512, 1536), (370, 512, 512), (370, 512, 1024), (370, 1024, 512), (512, 370, 1024)],
}
LARGE = (2048, 2048, 2048)
COPIED = 400_000_000  # bytes: more than any cache holds


def gemm_rate(m: int, k: int, n: int, dtype: torch.dtype, budget: float = 1.0) -> float:
    """Floating-point operations a second of `[m, k] x [k, n]`, as a linear layer computes it.

    Args:
        m: rows of the input.
        k: its columns.
        n: columns of the output.
        dtype: of input, weight and output.
        budget: seconds to spend, about; slow products are run a few times whatever they take.
    """
    input_mk = torch.randn(m, k).to(dtype)
    weight_nk = torch.randn(n, k).to(dtype)

    def product() -> object:
        return torch.nn.functional.linear(input_mk, weight_nk)

    product()
    # A block of calls is long enough (10 ms) for the clock and short enough for a median of many.
    calls = ceil(0.01 / seconds(product))
    rounds = min(max(3, int(budget / 0.01)), 100)

    def block() -> None:
        for _ in range(calls):
            product()

    rounds = min(rounds, max(3, int(budget / seconds(block))))
    return 2 * m * k * n * calls / median_seconds(block, rounds, warmups=0)


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of copying a tensor that no cache holds."""
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    return 2 * COPIED / median_seconds(lambda: target.copy_(source), rounds=7, warmups=2)


def main() -> None:
    """Print every figure."""
    emit_machine()
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        emit("gemm", gemm_rate(*LARGE, dtype) / 1e9, "GFLOP/s", precision=name, shape=LARGE)
        for model, shapes in STEPS.items():
            for shape in shapes:
                rate = gemm_rate(*shape, dtype, budget=0.3)
                emit("gemm", rate / 1e9, "GFLOP/s", precision=name, shape=shape, model=model)
    emit("copy", copy_bandwidth() / 1e9, "GB/s")


if __name__ == "__main__":
    main()
