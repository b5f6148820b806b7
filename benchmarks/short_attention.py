"""torch's fused attention in bf16 beside float32 with casts, by length: without and with a backward pass."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import scaled_dot_product_attention

from common import emit, emit_machine, interleaved

SHAPES = (
    (32, 12, 20, 32),
    (8, 12, 64, 32),
    (8, 12, 128, 32),
    (4, 12, 256, 32),
    (4, 12, 384, 32),
    (4, 12, 128, 64),
)
"""Sequences, heads, tokens and the size of a head."""


def attend(shape: tuple[int, ...], *, cast: bool, backward: bool) -> Callable[[], None]:
    """One call of the kernel on bf16 tensors, computed as they are or cast to float32."""
    query, key, value = (torch.randn(shape, dtype=torch.bfloat16, requires_grad=backward) for _ in range(3))
    gradient = torch.randn(shape, dtype=torch.bfloat16)

    def call() -> None:
        parts = [part.float() if cast else part for part in (query, key, value)]
        found = scaled_dot_product_attention(*parts).to(query.dtype)
        if backward:
            found.backward(gradient)

    return call


def main() -> None:
    """Print every figure."""
    emit_machine()
    torch.set_num_threads(1)
    for shape in SHAPES:
        for backward in (False, True):
            times = interleaved(
                {
                    "bf16": attend(shape, cast=False, backward=backward),
                    "float32": attend(shape, cast=True, backward=backward),
                },
                rounds=15,
            )
            what = "forward and backward" if backward else "forward"
            for system, seconds in times.items():
                emit(what, seconds * 1e3, "ms", shape=shape, system=system)
            emit(what, times["bf16"] / times["float32"], "times float32", shape=shape)


if __name__ == "__main__":
    main()
