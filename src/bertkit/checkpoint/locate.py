"""What MODEL may be on the command line, and where its folder is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from bertkit.checkpoint.archive import is_archive
from bertkit.checkpoint.atomic import recover_folder
from bertkit.checkpoint.formats import format_of
from bertkit.checkpoint.hub import fetch
from bertkit.config.presets import PRESETS
from bertkit.errors import UserError, nearest

PACKAGE_PREFIX = "pkg:"
HUB_PREFIX = "hf:"


def find_model(name: str) -> Path | None:
    """The model folder that `name` means, or None for the fresh weights of a preset.

    `name` is a preset, a model folder of any format or a zip archive with one, a run folder (its best model),
    `hf:OWNER/NAME[@REVISION]`: a model of the Hugging Face hub, or `pkg:PACKAGE/FOLDER`: a folder inside an
    installed Python package, which is looked up but not imported.

    Raises:
        UserError: it is none of these; the nearest preset is offered.
    """
    if name.startswith(PACKAGE_PREFIX):
        return _in_package(name)
    if name.startswith(HUB_PREFIX):
        return fetch(name.removeprefix(HUB_PREFIX))
    if name in PRESETS:
        return None
    folder = Path(name)
    for interrupted in (folder, folder / "model"):
        recover_folder(interrupted)
    for place in (folder, folder / "model"):
        if format_of(place) or is_archive(place):
            return place
    if folder.is_dir():
        raise UserError(
            f"{folder} is no model folder and no finished run: it has no config.json and no model/."
        )
    if folder.exists():
        raise UserError(
            f"{folder} is a file; a model is a folder with config.json and model.safetensors, "
            "or a zip archive of one."
        )
    raise UserError(f"There is no preset and no folder named {name!r}.{nearest(name, list(PRESETS))}")


def _in_package(name: str) -> Path:
    package, _, inside = name.removeprefix(PACKAGE_PREFIX).partition("/")
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{name}: the Python package {package!r} is not installed here; install it with pip.")
    folder = Path(spec.submodule_search_locations[0]) / inside
    if not format_of(folder):
        raise UserError(f"{name}: the package {package!r} has no model folder {inside!r}.")
    return folder
