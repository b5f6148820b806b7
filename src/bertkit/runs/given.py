"""Rows that a Python program holds, whichever library made them, and the file that they become."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError, quoted
from bertkit.runs.folder import ROWS, check_free, recipe_text
from bertkit.runs.lock import hold
from bertkit.text.jsons import to_json

PAIR_OF = ("text", "label")
"""The columns of rows that are plain (text, label)."""
MISSING_IN_PANDAS = ("NAType", "NaTType")
"""Types of what stands there for nothing, besides NaN."""


def is_rows(given: object) -> bool:
    """Whether it is rows, and not the name of something or nothing."""
    return given is not None and not isinstance(given, str | Path | float | int)


def rows_in(given: Any) -> Iterator[dict[str, Any]]:
    """The rows of a table by column, with cells as JSON has them.

    Args:
        given: a data frame of pandas or polars, a table of Arrow, a `datasets.Dataset`, columns by name, or
            rows one after another: mappings, or (text, label).

    Raises:
        UserError: it is nothing of these, or a row of it is not.
    """
    names = _class_names(given)
    for number, row in enumerate(_iterated(given), 1):
        if isinstance(row, Sequence) and not isinstance(row, str | bytes) and len(row) == len(PAIR_OF):
            row = dict(zip(PAIR_OF, row, strict=True))
        if not isinstance(row, Mapping):
            raise UserError(
                f"Row {number} is {quoted(row)}; a row is a dict such as {{'text': ..., 'label': ...}}."
            )
        yield {str(name): _cell(value, names.get(str(name))) for name, value in row.items()}


def _iterated(given: Any) -> Iterable[Any]:
    # None of these libraries is imported: a data frame says by its methods what it is.
    if hasattr(given, "to_dicts"):  # polars
        return given.to_dicts()  # type: ignore[no-any-return]
    if hasattr(given, "to_pylist"):  # pyarrow
        return given.to_pylist()  # type: ignore[no-any-return]
    if hasattr(given, "iloc") and hasattr(given, "columns"):  # pandas
        return given.to_dict("records")  # type: ignore[no-any-return]
    if isinstance(given, Mapping):
        plain = {name: column for name, column in given.items() if not isinstance(column, str | Mapping)}
        lengths = {name: len(column) for name, column in plain.items() if hasattr(column, "__len__")}
        if len(lengths) < len(given) or len(set(lengths.values())) != 1:
            told = ", ".join(f"{name}: {lengths.get(name, 'no list')}" for name in list(given)[:5])
            raise UserError(f"A dict of rows has a list for each column, all of one length, and not {told}.")
        return (dict(zip(given, cells, strict=True)) for cells in zip(*given.values(), strict=True))
    if isinstance(given, Iterable):
        return given
    raise UserError(
        f"{type(given).__name__} is no table: give a path, a data frame, a list of dicts, or a Dataset."
    )


def _class_names(given: Any) -> dict[str, Sequence[str]]:
    """Of a `datasets.Dataset` the names of labels that it holds as numbers, or lists of these, by column."""
    features = getattr(given, "features", None)
    if not isinstance(features, Mapping):
        return {}
    each: dict[str, Any] = {n: getattr(feature, "feature", feature) for n, feature in features.items()}
    return {name: feature.names for name, feature in each.items() if hasattr(feature, "names")}


def _cell(value: Any, names: Sequence[str] | None) -> Any:
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # A number of NumPy.
        value = value.item()
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return names[value]
    missing = value is None or type(value).__name__ in MISSING_IN_PANDAS
    if missing or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, Mapping):
        return {str(key): _cell(each, None) for key, each in value.items()}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):  # An array of NumPy, as pandas has it.
        return [_cell(each, names) for each in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def names_of(parts: Mapping[str, Any]) -> dict[str, str]:
    """Files and shares of rows, 0.2 or "20%", as a recipe has them; what is empty or rows is left out."""
    return {
        name: f"{100 * given:g}%" if isinstance(given, int | float) else str(given)
        for name, given in parts.items()
        if not is_rows(given) and given is not None and given != ""
    }


@contextmanager
def rows_kept(
    out: Path, parts: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> Iterator[dict[str, str]]:
    """Keep the rows of a program in the folder of a run: their paths, by what they are for.

    Those that the run does not name when the block ends, or that no run is made of, are gone.

    Args:
        out: the run folder.
        parts: rows; what is none is left out.
        resume: continue the run that is there.
        overwrite: replace it.

    Raises:
        UserError: see `rows_in`; or a run cannot be made there.
    """
    held = {name: given for name, given in parts.items() if is_rows(given)}
    if held and not resume:
        check_free(out, overwrite=overwrite)
    paths: dict[str, Path] = {}
    try:
        for name, given in held.items():
            paths[name] = keep_rows(given, out / ROWS, name)
        yield {name: str(path) for name, path in paths.items()}
    finally:
        recipe = recipe_text(out)
        for path in paths.values():
            if path.parent.name not in recipe:
                shutil.rmtree(path.parent, ignore_errors=True)
        if held and not recipe:
            with suppress(OSError, UserError):  # There is something else, or somebody.
                (out / ROWS).rmdir()
                with hold(out, "tidies"):
                    pass  # Its lock is gone when it has.
                out.rmdir()


def keep_rows(given: Any, folder: Path, name: str) -> Path:
    """Write rows as JSON lines, unless they are there: the same rows have the same path, `HASH/NAME.jsonl`.

    Args:
        given: see `rows_in`.
        folder: made where it is missing.
        name: what they are for, such as "train".

    Raises:
        UserError: see `rows_in`; or there is none.
    """
    lines = [to_json(row) for row in rows_in(given)]
    if not lines:
        raise UserError(f"There are no rows in {name}.")
    try:
        content = "".join(f"{line}\n" for line in lines).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"The rows of {name} hold what is no text: {quoted(error.object[error.start])}."
        ) from None
    path = folder / hashlib.sha256(content).hexdigest()[:12] / f"{name}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as temporary:
            temporary.write_bytes(content)
    return path
