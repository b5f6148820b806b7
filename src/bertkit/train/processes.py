"""Several processes that share each step, started by torchrun; one alone is the case of count 1.

Gradients are summed over processes, not averaged: each process's loss is already its share of the step's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed, nn

WAIT = timedelta(minutes=30)
"""How long a process waits for the others before it takes them for lost: an evaluation must fit into it."""
LONG_WAIT = timedelta(days=30)
"""How long it waits for what the first one does alone, which may be cutting any amount of text."""


class ProcessLost(RuntimeError):
    """Another process of the run is gone, so no step can be finished."""


class NotStarted(ProcessLost):
    """Another process of the run ended before the first step; it has said why."""


class Processes:
    """One process among those of a run.

    Attributes:
        rank: this one's number, from 0; the one of rank 0 writes.
        count: how many there are.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank = rank
        self.count = count

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def add_gradients(
        self, parameters: Sequence[nn.Parameter], loss: float, tokens: int, interrupted: bool
    ) -> tuple[float, float, bool]:
        """Sum the gradients of all processes, in place, and what goes with them.

        Args:
            parameters: the same in all processes; one without a gradient counts as zero where another
                process has one of it.
            loss: this process's share.
            tokens: that it computed.
            interrupted: whether a signal came here.

        Returns:
            The sum of the losses, that of the tokens, and whether a signal came to any process.
        """
        if self.count == 1:
            return loss, tokens, interrupted
        given = [float(parameter.grad is not None) for parameter in parameters]
        tail = torch.tensor([loss, tokens, float(interrupted), *given], dtype=torch.float64)
        self.add(tail)
        for parameter, count in zip(parameters, tail[3:].tolist(), strict=True):
            if count and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return float(tail[0]), float(tail[1]), bool(tail[2])
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self.add(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return float(tail[0]), float(tail[1]), bool(tail[2])

    def add(self, tensor: torch.Tensor, group: distributed.ProcessGroup | None = None) -> None:
        """Sum `tensor` over all processes, in place, in a `group` that waits as long as is its own.

        Raises:
            ProcessLost: one of them is gone.
        """
        if self.count == 1:
            return
        try:
            distributed.all_reduce(tensor, group=group)
        except RuntimeError as error:
            raise ProcessLost(
                f"Another process of this run is gone ({str(error).splitlines()[0]})."
            ) from error

    def wait(self) -> None:
        """Wait until all processes are here; those that are gone are not waited for."""
        with suppress(ProcessLost):
            self.total(0.0)

    def after_first(self, work: Callable[[], None]) -> None:
        """Let the first process do some work, however long it takes, for which the others wait.

        Raises:
            NotStarted: the first process is gone; where its work failed, it has said why.
        """
        if self.count == 1:
            work()
            return
        # Made before the work, since processes also wait for one another to make it.
        group = distributed.new_group(timeout=LONG_WAIT)
        if self.first:
            work()
        try:
            self.add(torch.zeros(1), group)
        except ProcessLost as error:
            raise NotStarted(str(error)) from None
        distributed.destroy_process_group(group)

    def total(self, number: float) -> float:
        """The sum of what all processes give."""
        sums = torch.tensor([number], dtype=torch.float64)
        self.add(sums)
        return float(sums[0])

    def together(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What all processes have computed, of any shape: each has 0 where another one has a number."""
        if self.count > 1:
            self.add(torch.from_numpy(numbers))
        return numbers

    def agree(self, number: float) -> float:
        """The number that the first process gives."""
        return self.total(number if self.first else 0.0)


ALONE = Processes()


def join_processes(environment: Mapping[str, str] = os.environ) -> Processes:
    """The place of this process among those that torchrun started; alone without torchrun."""
    count = int(environment.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    if not distributed.is_initialized():
        # Tensors are on the CPU, also where a GPU is.
        distributed.init_process_group("gloo", timeout=WAIT)
    return Processes(distributed.get_rank(), count)


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the one that writes, known before it has joined the others."""
    return environment.get("RANK", "0") == "0"


def restarted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process again after a failure."""
    return int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def launcher(environment: Mapping[str, str] = os.environ) -> str:
    """Which torchrun started this process: the same for all that it starts on a machine; "" without one."""
    run = environment.get("TORCHELASTIC_RUN_ID")
    return f"{run} {os.getppid()}" if run else ""


def leave_processes() -> None:
    """Say goodbye to the other processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
