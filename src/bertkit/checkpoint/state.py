"""Training state on disk: weights, the optimiser's moments, and how far the run is. One safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from bertkit.checkpoint.atomic import replace_file
from bertkit.checkpoint.tensors import save_tensors
from bertkit.errors import UserError

FORMAT = "1"
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""What Adam and its relatives remember of each parameter."""


def save_state(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    """Write atomically: after a crash at any moment `path` holds the state of before or of now."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            if key in MOMENTS:  # The rest is what an optimiser computes anew in each step.
                tensors[f"{key}.{name}"] = value
    metadata = {"format": FORMAT, "progress": json.dumps(progress)}
    with replace_file(path) as temporary:
        save_tensors(temporary, tensors, metadata)


def load_state(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Put the saved weights and moments back in place and return the progress that was saved with them.

    Raises:
        UserError: the file is missing, damaged, or of another model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise UserError(f"There is no training state at {path} to resume from.") from None
    except SafetensorError as error:
        raise UserError(
            f"The training state {path} is damaged ({error}); start again with --overwrite."
        ) from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"The training state {path} is of format {metadata.get('format')}, not {FORMAT}.")
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"The training state {path} belongs to a model of other sizes.") from None
    for name, parameter in model.named_parameters():
        moments = {key: tensors[f"{key}.{name}"] for key in MOMENTS if f"{key}.{name}" in tensors}
        if moments:
            optimiser.state[parameter] = moments
    progress: dict[str, Any] = json.loads(metadata["progress"])
    return progress
