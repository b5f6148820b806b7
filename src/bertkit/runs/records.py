"""The files that a run leaves, read and written with care: what is wrong in them is said with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertkit.checkpoint.atomic import replace_file
from bertkit.errors import UserError
from bertkit.text.jsons import to_json

LARGEST = 3.5e38
"""Figures of a run are of float32: what is beyond its range was infinite."""
LARGEST_STEP = 2**53
DAMAGED = "the file is damaged, or of another version of bertkit"


@dataclass(frozen=True)
class Record:
    """A JSON object of a file, and where it stands, to be said of what is wrong in it.

    Every method raises `UserError` where the value is of another type than the one asked for.
    """

    values: Mapping[str, Any]
    place: str

    def fault(self, what: str) -> UserError:
        """The sentence about what is wrong."""
        return UserError(f"{self.place}: {what}; {DAMAGED}.")

    def number(self, key: str, default: float | None = None) -> float:
        """A figure; NaN where it was no number. Without a `default` it must be there."""
        if key not in self.values:
            if default is None:
                raise self.fault(f"{key!r} is missing")
            return default
        return self._number(key, self.values[key])

    def whole(self, key: str) -> int:
        """A count of steps, rows or tokens."""
        value = self.number(key)
        if not 0 <= value <= LARGEST_STEP or value != int(value):
            raise self.fault(f"{key!r} is {self.values[key]!r}, and not a count")
        return int(value)

    def text(self, key: str, default: str | None = None) -> str:
        """A text. Without a `default` it must be there."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise self.fault(f"{key!r} is {_short(value)}, and not a text")
        return value

    def has(self, key: str) -> bool:
        """Whether it is there, and is not null."""
        return self.values.get(key) is not None

    def numbers(self, key: str) -> list[float]:
        """A list of figures."""
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.fault(f"{key!r} is {_short(value)}, and not a list")
        return [self._number(key, item) for item in value]

    def interval(self, key: str) -> tuple[float, float]:
        """Two figures, the lower one first."""
        found = self.numbers(key)
        if len(found) != 2:
            raise self.fault(f"{key!r} has {len(found)} figures instead of two")
        return found[0], found[1]

    def part(self, key: str) -> Record:
        """An object in this one."""
        return Record(self._object(key, self.values.get(key)), f"{self.place}, {key}")

    def parts(self, key: str) -> list[Record]:
        """A list of objects in this one."""
        value = self.values.get(key)
        if not isinstance(value, list):
            raise self.fault(f"{key!r} is {_short(value)}, and not a list")
        return [Record(self._object(key, item), f"{self.place}, {key}") for item in value]

    def figures(self, key: str) -> dict[str, float]:
        """An object of figures by name; an empty one where it is not there."""
        if not self.has(key):
            return {}
        part = self.part(key)
        return {name: part.number(name) for name in part.values}

    def _object(self, key: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fault(f"{key!r} is {_short(value)}, and not an object")
        return value

    def _number(self, key: str, value: Any) -> float:
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fault(f"{key!r} is {_short(value)}, and not a number")
        return number(value)


def number(value: float | None) -> float:
    """What a log says of a figure; NaN where it was no number."""
    return float(value) if value is not None and abs(value) <= LARGEST else math.nan


def read_records(path: Path) -> Iterator[Record]:
    """The records of a log, one by one, each with its file and line.

    Raises:
        UserError: the log cannot be read, or a line is no JSON object. A last line without an end is what a
            crash cut off, or is just being written; it is left out.
    """
    try:
        with path.open("rb") as file:
            for count, line in enumerate(file, start=1):
                if line.endswith(b"\n"):
                    yield Record(_parsed(line, f"{path}, line {count}"), f"{path}, line {count}")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None


def read_object(path: Path) -> Record | None:
    """The JSON object in a file; None where there is no such file.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    return Record(_parsed(data, str(path)), str(path))


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write `value` atomically, readable by people and by every parser; see `to_json`."""
    with replace_file(path) as temporary:
        temporary.write_text(to_json(value, indent=1) + "\n", encoding="utf-8")


def _parsed(data: bytes, place: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise UserError(f"{place} is not JSON ({why}); {DAMAGED}.") from None
    if not isinstance(value, dict):
        raise UserError(f"{place} is {_short(value)}, and not a JSON object; {DAMAGED}.")
    return value


def _short(value: Any) -> str:
    if value is None:
        return "missing"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
