"""What this machine can do at most: matrix products in fp32 and bf16, and copying memory.

A training step cannot take less than its arithmetic at the first rate plus the optimiser's bytes at the
second.
"""

from __future__ import annotations

from typing import get_args

import torch

from bertkit.model.compute import LARGE, Compute, Computing, gemm_rate
from common import emit, emit_machine, median_seconds

# [tokens, in] x [in, out] of one step: all-MiniLM-L6-v2 at 370 tokens (a batch of 32 CoLA sentences), and
# the article's sizes. The last of each is a weight's gradient, [in, tokens] x [tokens, out].
STEPS = {
    "minilm": [(370, 384, 1152), (370, 384, 384), (370, 384, 1536), (370, 1536, 384), (384, 370, 1536)],
    "blog": [(370, 512, 1536), (370, 512, 512), (370, 512, 1024), (370, 1024, 512), (512, 370, 1024)],
}
COPIED = 400_000_000  # bytes: more than any cache holds


def copy_bandwidth() -> float:
    """Bytes a second, read and written, of copying a tensor that no cache holds."""
    source = torch.ones(COPIED // 4)
    target = torch.empty_like(source)
    return 2 * COPIED / median_seconds(lambda: target.copy_(source), rounds=7, warmups=2)


def main() -> None:
    """Print every figure."""
    emit_machine()
    for precision in get_args(Computing):
        rate = gemm_rate(Compute(precision), budget=1.0)
        emit("gemm", rate / 1e9, "GFLOP/s", precision=precision, shape=LARGE)
        for model, shapes in STEPS.items():
            for shape in shapes:
                rate = gemm_rate(Compute(precision), shape)
                emit("gemm", rate / 1e9, "GFLOP/s", precision=precision, shape=shape, model=model)
    emit("copy", copy_bandwidth() / 1e9, "GB/s")


if __name__ == "__main__":
    main()
