"""Folders of sentence-transformers: where the encoder is, and how its states become one vector a text.

`modules.json` lists the steps, each a class of the library with a folder of its own: the encoder, a pooling,
and perhaps a normalisation. Anything else, such as a dense layer, bertkit does not compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertkit.errors import UserError, quoted
from bertkit.text.jsons import read_json, read_value
from bertkit.text.vocabulary_files import SETTINGS_FILE

MODULES_FILE = "modules.json"
LENGTH_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"

LEGACY_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Keys of `1_Pooling/config.json` before sentence-transformers 6, and its `pooling_mode` of today; in the
order in which the vectors of several are laid end to end."""

ENCODERS = ("Transformer", "BERT")
"""Last names of the classes that hold the encoder; the second is of 2019."""


@dataclass(frozen=True)
class SentencePooling:
    """How a folder of sentence-transformers makes one vector of a text.

    Attributes:
        modes: "cls", "mean", "max" or others of sentence-transformers' `pooling_mode`; the vectors of several
            are laid end to end. At least one.
        normalise: divide each vector by its length.
        max_length: tokens of a text at most, `[CLS]` and `[SEP]` counted; None: as many as the model has
            positions for.
        dimensions: of each vector, so normalised or not, only the first so many are kept; None: all.
        beyond: names of further modules, and of changes to the text, which bertkit does not compute: the
            vectors are not the folder's without them.
    """

    modes: tuple[str, ...]
    normalise: bool = False
    max_length: int | None = None
    dimensions: int | None = None
    beyond: tuple[str, ...] = ()


def encoder_folder(folder: Path) -> Path:
    """Where the encoder's files are: in `folder` itself, or in the one inside it that `modules.json` names.

    Raises:
        UserError: `modules.json` is damaged, or names a folder outside.
    """
    return next((path for kind, path in _modules(folder) if kind in ENCODERS), folder)


def read_pooling(folder: Path, lowercase: bool) -> SentencePooling | None:
    """How the folder, whose tokenizer makes `lowercase` or not, pools.

    None if it is not one of sentence-transformers, or does not pool.

    Raises:
        UserError: its files are damaged, or name files outside.
    """
    modes: tuple[str, ...] = ()
    normalise, beyond, max_length = False, [], None
    for kind, path in _modules(folder):
        if kind in ENCODERS:
            max_length = _max_length(path)
            beyond += _before_the_encoder(folder, path, lowercase)
        elif kind == "Pooling" and not modes:
            modes = _modes(path / "config.json")
        elif kind == "Normalize" and modes:
            normalise = True
        elif kind != "Dropout":  # which does nothing outside of training
            beyond.append(kind)
    if not modes:
        return None
    return SentencePooling(modes, normalise, max_length, _dimensions(folder), tuple(beyond))


def _modules(folder: Path) -> list[tuple[str, Path]]:
    """The last name of each step's class, and its folder."""
    file = folder / MODULES_FILE
    if not file.is_file():
        return []
    content = read_value(file)
    found = []
    for module in content if isinstance(content, list) else [None]:
        kind, path = (module.get(key) for key in ("type", "path")) if isinstance(module, dict) else (None, 0)
        if not isinstance(kind, str) or not isinstance(path, str):
            raise UserError(f"{file} must be a list of modules, each with 'type' and 'path'.")
        if not path.isprintable() or "/" in path or "\\" in path or path == "..":
            raise UserError(f"{file} names the folder {quoted(path)}, which is not inside: nothing was read.")
        found.append((kind.rpartition(".")[2], folder / path))
    return found


def _modes(file: Path) -> tuple[str, ...]:
    content = read_json(file)
    said: Any = content.get("pooling_mode")
    if said is None:
        said = [mode for key, mode in LEGACY_MODES.items() if content.get(key)] or "mean"
    modes = (said,) if isinstance(said, str) else tuple(said) if isinstance(said, list) else ()
    if not modes or not all(mode in LEGACY_MODES.values() for mode in modes):
        raise UserError(
            f"{file}: pooling_mode must be of {', '.join(LEGACY_MODES.values())}, not {quoted(said)}."
        )
    return modes


def _before_the_encoder(folder: Path, encoder: Path, lowercase: bool) -> list[str]:
    """What is done to a text before it is cut into tokens: lower case, and a prompt put before it."""
    found = []
    if (encoder / LENGTH_FILE).is_file():
        said = read_json(encoder / LENGTH_FILE).get("do_lower_case")
        if not isinstance(said, bool | None):
            raise UserError(
                f"{encoder / LENGTH_FILE}: do_lower_case must be true or false, not {quoted(said)}."
            )
        found += ["do_lower_case"] * (said is True and not lowercase)
    if (folder / PROMPTS_FILE).is_file():
        name = read_json(folder / PROMPTS_FILE).get("default_prompt_name")
        found += [f"the prompt {quoted(name)}"] if name is not None else []
    return found


def _dimensions(folder: Path) -> int | None:
    """What sentence-transformers has as `truncate_dim`."""
    file = folder / PROMPTS_FILE
    found = read_json(file).get("truncate_dim") if file.is_file() else None
    if found is not None and (type(found) is not int or found < 1):
        raise UserError(f"{file}: truncate_dim must be a whole number of at least 1, not {quoted(found)}.")
    return found


def _max_length(folder: Path) -> int | None:
    """The length that inputs are cut to. The library's own has the last word, even if the tokenizer's is less
    (measured with sentence-transformers 5); today's folders have the tokenizer's alone.
    """
    for name, key in ((LENGTH_FILE, "max_seq_length"), (SETTINGS_FILE, "model_max_length")):
        file = folder / name
        length = read_json(file).get(key) if file.is_file() else None
        if length is None:
            continue
        if isinstance(length, bool) or not isinstance(length, int | float) or not length >= 3:
            raise UserError(f"{file}: {key} must be a whole number of at least 3, not {quoted(length)}.")
        # transformers writes 10 ** 30 for no limit.
        return int(length) if length < 10**9 else None
    return None
