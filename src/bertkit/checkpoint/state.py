"""Training state on disk: weights, the optimiser's state, and how far the run is. One safetensors file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import nn

from bertkit.checkpoint.atomic import replace_file
from bertkit.checkpoint.hf import save_tensors
from bertkit.errors import UserError
from bertkit.model.optimisers import Optimiser

STATE_FORMAT = "2"


def save_state(path: Path, model: nn.Module, optimiser: Optimiser, progress: dict[str, Any]) -> None:
    """Write atomically: after a crash at any moment `path` holds the state of before or of now."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            if key in optimiser.saved:
                tensors[f"{key}.{name}"] = value
    metadata = {"format": STATE_FORMAT, "optimiser": optimiser.name, "progress": json.dumps(progress)}
    with replace_file(path) as temporary:
        save_tensors(temporary, tensors, metadata)


def load_state(path: Path, model: nn.Module, optimiser: Optimiser) -> dict[str, Any]:
    """Put weights and the optimiser's state back in place and return the progress saved with them.

    Raises:
        UserError: the file is missing, damaged, or of another model or optimiser.
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
    if metadata.get("format") != STATE_FORMAT:
        raise UserError(
            f"The training state {path} is of format {metadata.get('format')}, not {STATE_FORMAT}."
        )
    if (name := metadata.get("optimiser")) != optimiser.name:
        raise UserError(
            f"The training state {path} is of the optimiser {name!r}, and the recipe's is "
            f"{optimiser.name!r}; go on with the same one, or start again with --overwrite."
        )
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"The training state {path} belongs to a model of other sizes.") from None
    for name, parameter in model.named_parameters():
        moments = {key: tensors[f"{key}.{name}"] for key in optimiser.saved if f"{key}.{name}" in tensors}
        if moments:
            optimiser.state[parameter] = moments
    progress: dict[str, Any] = json.loads(metadata["progress"])
    return progress
