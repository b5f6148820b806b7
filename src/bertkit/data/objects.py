"""JSON of many values: a list, or one behind the other, laid out in lines in any way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

from bertkit.data.files import undecoded
from bertkit.errors import UserError

# What stands around the values of a list.
_BETWEEN = re.compile(r"[\s,\[\]]*")


def json_values(lines: Iterable[tuple[int, str]], path: Path) -> Iterator[tuple[int, Any]]:
    """Each value, in linear time, with its number from 1.

    Args:
        lines: of the file, with their numbers.
        path: the file, for messages.

    Raises:
        UserError: what is no JSON, is cut short, or holds bytes that are not UTF-8.
    """
    decoder, numbers = json.JSONDecoder(), count(1)
    waiting: list[str] = []
    size = enough = 0
    # A last line of its own ends what waits.
    for number, line in chain(lines, [(0, "")]):
        if problem := undecoded(line):
            raise UserError(f"{path}, line {number}: {problem}")
        waiting.append(line)
        size += len(line)
        if size < enough and number:
            continue
        text, at = "\n".join(waiting), 0
        while (at := _between(text, at)) < len(text):
            try:
                value, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError) as error:
                if not number:
                    where = f"{path}, row {next(numbers)}"
                    raise UserError(f"{where}: not JSON, or cut short ({error}); mend the file.") from None
                break
            yield next(numbers), value
        waiting = [text[at:]] if at < len(text) else []
        # A value of many lines is tried again when it is twice as long: so all are read in linear time.
        size = len(text) - at
        enough = 2 * size


def _between(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    assert found is not None
    return found.end()
