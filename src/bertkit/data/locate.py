"""Where the files of a named data set are on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bertkit.errors import UserError


def cache_folder() -> Path:
    """The folder of what bertkit keeps for later: `$XDG_CACHE_HOME/bertkit`, or `~/.cache/bertkit`."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "bertkit"


def locate(name: str, files: Sequence[str], how_to_get: str, folder: str | Path | None = None) -> Path:
    """The folder with all `files` of the data set `name`.

    Looked at in this order: `folder` and nothing else where it is given; `$BERTKIT_DATA/<name>`; the cache.

    Args:
        name: of the data set, and of its folder.
        files: what must be in the folder.
        how_to_get: the steps that put it there, for a person to follow; `{folder}` is where.
        folder: an explicit place.

    Raises:
        UserError: not all files are there; it tells where was looked and how to get them.
    """
    data = os.environ.get("BERTKIT_DATA")
    places = [Path(data) / name] if data else []
    places = [Path(folder)] if folder else [*places, cache_folder() / name]
    missing = {place: [file for file in files if not (place / file).is_file()] for place in places}
    for place in places:
        if not missing[place]:
            return place
    looked = "; ".join(f"{place} (without {', '.join(missing[place])})" for place in places)
    hint = "" if data or folder else " BERTKIT_DATA is not set."
    raise UserError(
        f"The data set {name!r} was not found. Looked in: {looked}.{hint} "
        f"To get it: {how_to_get.format(folder=places[0])}"
    )
