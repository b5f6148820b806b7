"""The format of a model folder, as transformers lays it out and its ancestors did, or sentence-transformers.

`config.json` and `model.safetensors` are what is written; `bert_config.json`, and weights in every file that
holds tensors by name (`WEIGHTS`), are read too.
"""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bertkit.checkpoint.content import Content, write_json
from bertkit.checkpoint.foreign import what_else
from bertkit.checkpoint.names import Tensors
from bertkit.checkpoint.sentence import encoder_folder
from bertkit.errors import UserError, check_pointer, damaged, listed, quoted, shown
from bertkit.text.jsons import read_json


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    """Write `tensors` to `path` as safetensors.

    Raises:
        OSError: the system refuses, as for a full disk. The library tells this only in its message.
    """
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata)
    except SafetensorError as error:
        if found := re.search(r"os error (\d+)", str(error)):
            number = int(found[1])
            raise OSError(number, os.strerror(number), str(path)) from error
        raise


WEIGHTS_FILE = "model.safetensors"
"""What bertkit writes."""

NEEDS_CODE = ("GLOBAL ", "allowlisted", "must be imported")
"""What `torch.load` says of a pickle that is whole and asks for more than tensors."""

MOST_VIEWS = 2
"""How often the numbers of a pickle may be counted: tied weights are one storage under two names."""

SAVE_TENSORS = "save the model's state_dict() there."


def first_file(folder: Path, names: Iterable[str]) -> Path:
    """The first of these files that is in `folder`; where none is, the place of the first."""
    files = [folder / name for name in names]
    return next((file for file in files if file.is_file()), files[0])


def _read_safetensors(file: Path) -> Tensors:
    check_pointer(file)
    try:
        tensors: Tensors = load_file(file)
    except SafetensorError as error:
        raise damaged(file, str(error)) from None
    return tensors


def _read_pickle(file: Path) -> Tensors:
    """A file of `torch.save`, read without running anything of it."""
    check_pointer(file)
    zipped = zipfile.is_zipfile(file)
    if zipped:
        _check_archive(file)
    try:
        if zipped:
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        else:  # Files from before 2020 are no archives, and cannot be mapped.
            with _Bounded(io.FileIO(file)) as source:
                content = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not any(words in str(error) for words in NEEDS_CODE):
            raise damaged(file) from None
        raise UserError(
            f"{file} holds more than tensors: reading it would run code of whoever wrote it, so bertkit does "
            "not. If you trust them, save the tensors alone, with safetensors.torch.save_file(torch.load("
            f"{file.name!r}, weights_only=False), {WEIGHTS_FILE!r}), where there is nothing to lose."
        ) from None
    except MemoryError:
        raise
    except Exception:  # A damaged pickle may make the library raise anything.
        raise damaged(file) from None
    return _only_tensors(file, content)


class _Bounded(io.BufferedReader):
    """A file that is never asked for more than it has left: for that much, memory would be taken first."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _check_archive(file: Path) -> None:
    """Refuse an archive that unpacks to more than it is, for torch.save compresses nothing, and one whose
    checksums are wrong, which `torch.load` does not look at.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            honest = all(
                member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size
                for member in archive.infolist()
            )
            size = sum(member.file_size for member in archive.infolist())
            sound = honest and size <= file.stat().st_size and archive.testzip() is None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError):
        raise damaged(file) from None
    if not sound:
        raise damaged(file)


def _only_tensors(file: Path, content: Any) -> Tensors:
    """The table of tensors in what a pickle holds.

    Refused are tensors that are more than the file: views that repeat few numbers, and those without any.
    """
    # Checkpoints of training scripts have the weights under one of these names.
    for key in ("state_dict", "model_state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no table of tensors ({type(content).__name__}): {SAVE_TENSORS}")
    strangers = [
        shown(name)
        for name, value in content.items()
        if not isinstance(name, str) or not isinstance(value, torch.Tensor)
    ]
    if strangers:
        raise UserError(f"{file} holds no table of tensors ({listed(strangers, most=3)}): {SAVE_TENSORS}")
    for name, tensor in content.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu":
            raise UserError(
                f"{file} holds {shown(name)} in a form of its own ({tensor.layout}, on {tensor.device}), not "
                f"number by number: {SAVE_TENSORS}"
            )
    size = sum(tensor.numel() * tensor.element_size() for tensor in content.values())
    if size > MOST_VIEWS * file.stat().st_size:
        raise UserError(
            f"{file} has {file.stat().st_size:,} bytes and its tensors would take {size:,}, for they repeat "
            "few numbers: it is made to fill a memory."
        )
    return content


def _read_shards(read: Callable[[Path], Tensors], file: Path) -> Tensors:
    """What an index names, each of whose shards `read` reads."""
    places = read_json(file).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise UserError(f"{file}: 'weight_map' must say in which file each tensor is.")
    tensors: Tensors = {}
    for name in dict.fromkeys(places.values()):
        if not name.isprintable() or "/" in name or "\\" in name or name in ("", ".", ".."):
            raise UserError(
                f"{file} names the file {quoted(name)}, which is not beside it: nothing was read."
            )
        if not (file.parent / name).is_file():
            raise UserError(f"{file.parent} has no {name}, which {file.name} names: copy it there too.")
        for tensor_name, tensor in read(file.parent / name).items():
            if places.get(tensor_name) != name:
                raise UserError(f"{file.parent / name} holds {tensor_name}, which {file.name} denies.")
            tensors[tensor_name] = tensor
    if absent := [name for name in places if name not in tensors]:
        raise UserError(
            f"{file.parent / places[absent[0]]} lacks {listed(absent)}, which {file.name} puts there: "
            "copy the files again, together."
        )
    return tensors


WEIGHTS: dict[str, Callable[[Path], Tensors]] = {
    WEIGHTS_FILE: _read_safetensors,
    "model.safetensors.index.json": partial(_read_shards, _read_safetensors),
    "pytorch_model.bin": _read_pickle,
    "pytorch_model.bin.index.json": partial(_read_shards, _read_pickle),
}
"""The file that a folder's weights are in, or begin in, and its reader; the first that is there is read."""


CONFIG_FILE = "config.json"
OLD_CONFIG_FILE = "bert_config.json"
"""Where Google's programs, and pytorch_pretrained_bert of 2018, have a model's sizes."""


def is_hf(folder: Path) -> bool:
    """Whether `folder` holds a model in this format."""
    place = encoder_folder(folder)
    old = (place / OLD_CONFIG_FILE).is_file() and first_file(place, WEIGHTS).is_file()
    return old or (place / CONFIG_FILE).is_file()


def no_weights(folder: Path) -> str:
    """The sentence about a folder that lacks them."""
    what = what_else(folder) or " Copy it there from where the model was trained."
    return f"{folder} has no {WEIGHTS_FILE}.{what}"


def open_hf(folder: Path) -> Content:
    """What the folder holds.

    Raises:
        UserError: `config.json` is missing or damaged; on loading, likewise the weights, or a pickle holds
            more than tensors.
    """
    place = encoder_folder(folder)
    file = first_file(place, (CONFIG_FILE, OLD_CONFIG_FILE))
    weights = first_file(place, WEIGHTS)

    def load() -> Tensors:
        if not weights.is_file():
            raise UserError(no_weights(place))
        return WEIGHTS[weights.name](weights)

    return Content(read_json(file), file, weights, load)


def write_hf(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> None:
    """Write the config and the weights into `folder`."""
    save_tensors(folder / WEIGHTS_FILE, dict(tensors), {"format": "pt"})
    write_json(folder / CONFIG_FILE, config)
