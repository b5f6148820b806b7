"""JSON: the one place where files of strangers are read, and how all that programs read is written."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from bertkit.errors import UserError, check_pointer, shown

LONGEST_JSON = 1 << 26
"""Bytes. Of a model with 100,000 labels, `config.json` has about a tenth of it; `tokenizer.json` of one with
a million tokens about half."""


def read_value(path: Path) -> Any:
    """What a JSON file holds; its size is looked at before it is read.

    Raises:
        UserError: there is no such file, or it is no JSON, or holds what is no text.
    """
    try:
        if path.stat().st_size > LONGEST_JSON:
            raise UserError(f"{path} has {path.stat().st_size:,} bytes: it is not what its name says.")
        check_pointer(path)
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        if r"\ud" in text.lower():  # Half of a pair of these is no text, and cannot be written.
            json.dumps(content, ensure_ascii=False).encode()
    except FileNotFoundError:
        raise UserError(f"{path.parent} is no model folder: it has no {path.name}.") from None
    except NotADirectoryError:
        raise UserError(f"{path.parent} is a file; a model is a folder with {path.name}.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder, not a file: copy the model again from its source.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({shown(str(error))}): copy it again from its source.") from None
    return content


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        UserError: there is no such file, or it is no JSON object.
    """
    content = read_value(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object: copy it again from its source.")
    return content


def to_json(value: Any, indent: int | None = None) -> str:
    """The text of a value, for every parser: a float that is no number, or infinite, is null."""
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
