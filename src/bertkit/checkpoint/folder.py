"""The model folder: weights, config, vocabulary and labels together; the layout that transformers opens."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bertkit.checkpoint.architectures import assumed_head, promised, told_by_names
from bertkit.checkpoint.archive import opened
from bertkit.checkpoint.atomic import recover_folder, replace_folder
from bertkit.checkpoint.card import CARD_FILE, CARD_FORMAT, NOTE_KEYS, read_note
from bertkit.checkpoint.content import (
    POOLER,
    POSITIONS,
    Content,
    Parts,
    fill,
    lay_out,
    state_of,
    untrained,
    write_json,
)
from bertkit.checkpoint.hf import no_weights
from bertkit.checkpoint.layouts import choose_layout, naming_of, read_config, why_only_bertkit
from bertkit.checkpoint.locate import (
    FORMATS,
    HF,
    HUB_KEY,
    Format,
    find_model,
    format_of,
    hub_card,
    name_format,
)
from bertkit.checkpoint.names import LEFT_OVER, Naming, Tensors, drop_tied, modernise, name_bias, to_disk
from bertkit.checkpoint.sentence import MODULES_FILE, SentencePooling, encoder_folder, read_pooling
from bertkit.config.head import HeadConfig
from bertkit.config.model import ModelConfig
from bertkit.errors import UserError, listed, nearest
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead
from bertkit.model.pretraining import MaskedHead, PairHead
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary_files import ADDED_FILE, TOKENIZER_FILE, VOCABULARY_FILE, assumed_settings
from bertkit.version import __version__


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What a model folder holds but for its vocabulary, loaded.

    Attributes:
        path: the folder.
        encoder: with the weights of the folder, in evaluation mode.
        head: the head of a task, of any kind; None if the folder has none.
        masked: the head that predicts masked tokens; None if the folder has none.
        pair: the head that tells whether two segments belong together; None if the folder has none.
        card: what the writer noted: task, labels, metric, recipe and the like; empty for folders of others.
        new: modules that the folder has no weights for and that were freshly initialised.
        unused: tensors of the folder that no part of the model needs.
        ignored: tensors of the folder that are of a training: an optimiser's moments, a count of steps.
        stored: the number formats of the weights on disk, such as "float16"; in memory they are float32.
        assumed: what the folder does not say and was taken to be so: a sentence each.
    """

    path: Path
    encoder: Encoder
    card: dict[str, Any]
    head: ClassificationHead | None = None
    masked: MaskedHead | None = None
    pair: PairHead | None = None
    new: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def encoder_config(self) -> ModelConfig:
        """The options of the encoder."""
        return self.encoder.config

    @property
    def head_config(self) -> HeadConfig | None:
        """The options of the head, with the labels; None if there is no head."""
        return None if self.head is None else self.head.config


@dataclass(frozen=True, kw_only=True)
class ModelFolder(Weights):
    """What a model folder holds, loaded.

    Attributes:
        tokenizer: with the vocabulary that the weights belong to.
        pooling: how a folder of sentence-transformers makes one vector of a text; None for any other.
    """

    tokenizer: Tokenizer
    pooling: SentencePooling | None = None


def write_model_folder(
    path: Path,
    encoder: Encoder,
    head: ClassificationHead | None,
    tokenizer: Tokenizer,
    card: Mapping[str, Any],
    overwrite: bool = False,
    *,
    masked: MaskedHead | None = None,
    pair: PairHead | None = None,
    new: Collection[str] = (),
    format: Format = HF,
) -> None:
    """Write a model folder, atomically: after a crash `path` holds what it held or the new model.

    Args:
        path: the folder to make.
        encoder: its weights are written in float32; a pooler that no head here needs is left out.
        head: written with it, with its labels; None for a bare or a pretrained encoder.
        tokenizer: the one the encoder was trained with.
        card: what `bertkit.json` is to note besides, as JSON values.
        overwrite: replace what stands at `path`.
        masked: written with it where the encoder was pretrained; not beside `head`.
        pair: likewise.
        new: the modules that nothing has trained, as `ModelFolder.new` names them; left out.
        format: the one to write, of `FORMATS`.

    Raises:
        UserError: `path` exists and `overwrite` is false, or the format cannot say what the model is.
    """
    model, head_config = encoder.config, None if head is None else head.config
    assert model.vocabulary_size == tokenizer.size, "the vocabulary is not the encoder's"
    assert head is None or (masked is None and pair is None), "no layout holds a classifier beside these"
    found = {"encoder": encoder, "head": head, "masked": masked, "pair": pair}
    parts: Parts = {name: module for name, module in found.items() if module is not None}
    left_out = {*untrained(parts), *(POOLER if "pooler" in new else ())}
    state = {name: tensor for name, tensor in state_of(parts).items() if name not in left_out}
    note = {"format": CARD_FORMAT, "bertkit": __version__, "vocabulary": tokenizer.fingerprint}
    config, beyond, naming = choose_layout(model, head_config, parts, tokenizer)
    if beyond is not None:
        note["model"] = {key: getattr(model, key) for key in beyond}
        if encoder.embeddings.fixed_positions is not None:
            state[POSITIONS] = encoder.embeddings.fixed_positions
    assert card.keys().isdisjoint(NOTE_KEYS), "the card says again what the folder says itself"
    with replace_folder(path, overwrite) as temporary:
        format.write(temporary, config, to_disk(state, naming))
        write_json(temporary / CARD_FILE, {**note, **card})
        tokenizer.save(temporary, max_length=model.max_positions)


def read_model_folder(path: Path, options: Mapping[str, Any] | None = None) -> ModelFolder:
    """Read a model folder of any format, of sentence-transformers', or a zip archive of one.

    It is checked whole before anything runs. One tensor of a head is enough for all of it to be asked for; so
    is an `architectures` that promises one.

    Args:
        path: the folder or the archive.
        options: fields of `ModelConfig` to change, such as dropouts.

    Raises:
        UserError: a file is missing or damaged, or the parts do not belong together, or the model is of a
            kind that bertkit does not compute.
    """
    recover_folder(path)
    with opened(path) as folder:
        return replace(_read(folder, options or {}), path=path)


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a model folder, or of an archive of one.

    Raises:
        UserError: there is none.
    """
    with opened(path) as folder:
        return Tokenizer.from_folder(encoder_folder(folder))


def read_available(path: Path) -> tuple[Weights, list[str]]:
    """What there is of a model, of its config at least, and a sentence on each part that is missing.

    Without weights the modules have only shapes. With a vocabulary it is a `ModelFolder`.

    Raises:
        UserError: there is no config, a file is damaged, or the parts do not belong together.
    """
    recover_folder(path)
    missing = []
    with opened(path) as folder:
        inner, content, note = _open(folder)
        if content.weights_file.is_file():
            weights = _read_weights(folder, content, note, {})
        else:
            missing.append(no_weights(inner))
            weights = _outline(folder, content, note)
        if any((inner / name).is_file() for name in (TOKENIZER_FILE, VOCABULARY_FILE)):
            weights = _joined(folder, inner, weights, *_read_tokenizer(inner, weights.encoder_config, note))
        else:
            missing.append(f"{inner} has no {VOCABULARY_FILE}: without it the model cannot read text.")
    return replace(weights, path=path), missing


def _open(path: Path) -> tuple[Path, Content, dict[str, Any]]:
    """The folder of the encoder, what it holds, and the note on it."""
    inner = encoder_folder(path)
    return inner, (format_of(path) or HF).open(path), read_note(inner)


def _outline(path: Path, content: Content, note: Mapping[str, Any]) -> Weights:
    """The parts that the config alone speaks of, as shapes."""
    model, head = _configs(content, note, {})
    if model.layers > MOST_LAYERS:
        raise UserError(f"{content.config_file}: {model.layers:,} layers are more than any model has.")
    parts = lay_out(model, head, (), naming_of(content.config.get("model_type", "bert"), (), head))
    return Weights(path=path, **parts, card=_card(path, note))  # type: ignore[arg-type]


def _joined(path: Path, inner: Path, weights: Weights, tokenizer: Tokenizer, spare: int) -> ModelFolder:
    assumed = assumed_settings(inner)
    if spare:
        told = f"that the last {spare} rows of the model are of no token, for the vocabulary has none"
        assumed = (*assumed, told)
    return ModelFolder(
        **{**vars(weights), "assumed": (*assumed, *weights.assumed)},
        tokenizer=tokenizer,
        pooling=read_pooling(path, tokenizer.lowercase),
    )


def _card(path: Path, note: Mapping[str, Any]) -> dict[str, Any]:
    card = {key: value for key, value in note.items() if key not in (*NOTE_KEYS, HUB_KEY)}
    return card | hub_card(path)


def _read(path: Path, options: Mapping[str, Any]) -> ModelFolder:
    inner, content, note = _open(path)
    # Before the weights, which are large.
    found = _read_tokenizer(inner, _configs(content, note, options)[0], note)
    return _joined(path, inner, _read_weights(path, content, note, options), *found)


def _read_weights(
    path: Path, content: Content, note: Mapping[str, Any], options: Mapping[str, Any]
) -> Weights:
    model, head_config = _configs(content, note, options)
    assumed: list[str] = []
    tensors = content.load()
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    tensors = modernise(tensors)
    if told := told_by_names(content.config, tensors):
        content = replace(content, config={**content.config, "architectures": [told]})
        model, head_config = _configs(content, note, options)
        assumed.append(f"that the model is a {told}, from the names of its tensors: no architectures says so")
    naming = naming_of(content.config.get("model_type", "bert"), tensors, head_config)
    if model.layers > len(tensors):  # Laying out takes time for each, although no memory.
        raise UserError(
            f"{content.weights_file} has {len(tensors)} tensors, too few for the {model.layers} layers that "
            f"{content.config_file.name} says the model has."
        )
    parts = _lay_out(content, model, head_config, tensors, naming)
    new = fill(content, parts, tensors, naming)
    unused = tuple(sorted(tensors))
    # What a head of pretraining left beside a fine-tuned one may be there, too.
    beside = () if head_config is None else ("cls.",)
    others = [name for name in unused if not name.startswith(beside)]
    if strangers := [name for name in others if not LEFT_OVER.fullmatch(name)]:
        raise UserError(
            f"{content.weights_file}: the model of {content.config_file.name} has no part named "
            f"{listed(strangers)}."
        )
    return Weights(
        path=path,
        **parts,  # type: ignore[arg-type]
        card=_card(path, note),
        new=new,
        unused=unused,
        ignored=content.ignored,
        stored=tuple(sorted(str(kind).removeprefix("torch.") for kind in kinds)),
        assumed=(*assumed, *assumed_head(content.config)),
    )


def _configs(
    content: Content, note: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[ModelConfig, HeadConfig | None]:
    """The options of encoder and head, which go together; complaints name the file."""
    try:
        model, head = read_config(content.config, note.get("model", {}))
        model = replace(model, **options)
        if head is not None:
            head.pooled_size(model)
    except UserError as error:
        raise UserError(f"{content.config_file}: {error}") from None
    return model, head


def _lay_out(
    content: Content, model: ModelConfig, head: HeadConfig | None, tensors: Tensors, naming: Naming
) -> Parts:
    """The parts that the config and the names of `tensors`, which lose second copies, speak of."""
    if head is None:
        name_bias(tensors)
    own = drop_tied(tensors)
    if own and head is None:
        raise UserError(
            f"{content.weights_file}: its decoder ({listed(own)}) is a table of its own, which bertkit does "
            "not have: its masked head shares the encoder's. Save the encoder alone, as transformers' "
            "BertModel does."
        )
    parts = lay_out(model, head, tensors, naming)
    if absent := [name for name in promised(content.config) if name not in parts]:
        raise UserError(
            f"{content.weights_file} has no tensor of the {' and the '.join(absent)} head that "
            f"{content.config_file.name} promises with {content.config['architectures'][0]}; if the encoder "
            "is all there is, remove architectures there."
        )
    return parts


def _read_tokenizer(path: Path, model: ModelConfig, note: Mapping[str, Any]) -> tuple[Tokenizer, int]:
    """The tokenizer, and how many rows the model has beyond its tokens."""
    tokenizer = Tokenizer.from_folder(path)
    differs = (
        f"{path}: the vocabulary has {tokenizer.size} tokens and the model {model.vocabulary_size}: it is "
        "another model's"
    )
    spare = model.vocabulary_size - tokenizer.size
    if 0 < spare < MOST_SPARE and model.vocabulary_size % SPARE_MULTIPLE == 0:
        tokenizer = tokenizer.extended(model.vocabulary_size)
    elif spare > 0:
        raise UserError(
            f"{differs}, or {spare:,} tokens were added and their file is missing ({ADDED_FILE}, or "
            f"{TOKENIZER_FILE}). Copy all the files of the tokenizer from where the model was trained."
        )
    if tokenizer.size > model.vocabulary_size:
        raise UserError(f"{differs}. Copy the vocabulary from where this model was trained.")
    if note.get("vocabulary", tokenizer.fingerprint) != tokenizer.fingerprint:
        raise UserError(
            f"{path}: the vocabulary is not the one the model was trained with (its fingerprint is not that "
            f"of {CARD_FILE}): its tokens would mean nothing to the model. Copy the right one there."
        )
    return tokenizer, max(0, spare)


MOST_LAYERS = 1_000
"""Of a model without weights, whose number of tensors would tell."""

MOST_SPARE, SPARE_MULTIPLE = 128, 8
"""Rows of a model that no token has: fewer than so many, to fill up the last of so many, as quick kernels
need it. NVIDIA's BERTs have 30,528 rows for 30,522 tokens."""

ORIGIN_KEY = "converted"
"""What `bertkit.json` calls the origin of a converted model."""


def convert(model: str, out: Path, *, to: str, overwrite: bool = False) -> dict[str, Any]:
    """Write `model` anew, every weight in float32 and bit for bit as it was.

    Args:
        model: anything that holds trained weights.
        out: the folder to make.
        to: "hf" for a folder that transformers opens, "google" for a TensorFlow checkpoint.
        overwrite: replace what is at `out`.

    Returns:
        `model`, `folder`, `format`, `labels`, `left_out` (of the source: tensors that are in no part of the
        model, of other heads or an optimiser's; "modules.json" of a folder of sentence-transformers, whose
        pooling neither format can say), and `files` (name: bytes).

    Raises:
        UserError: there is no such model, it is damaged, the format cannot say what it is, or `out` exists.
        OSError: `out` cannot be written; what was there is still there.
    """
    format = next((row for row in FORMATS if row.name == to), None)
    if format is None:
        raise UserError(f"There is no format {to!r}.{nearest(to, [row.name for row in FORMATS])}")
    path = find_model(model)
    if path is None:
        raise UserError(f"{model} is a preset, a model without weights; there is nothing to convert.")
    if path.resolve().is_relative_to(out.resolve()):
        raise UserError(f"{out} is the model itself, or holds it; name another folder to write.")
    folder = read_model_folder(path)
    why = why_only_bertkit(folder.encoder_config, folder.head_config, pair=folder.pair is not None)
    if format is HF and why:
        raise UserError(f"{model}: {why}")
    card = {**folder.card, ORIGIN_KEY: {"from": model, "format": name_format(path)}}
    write_model_folder(
        out,
        folder.encoder,
        folder.head,
        folder.tokenizer,
        card,
        overwrite,
        masked=folder.masked,
        pair=folder.pair,
        new=folder.new,
        format=format,
    )
    return {
        "model": model,
        "folder": str(out),
        "format": format.name,
        "labels": None if folder.head_config is None else list(folder.head_config.labels),
        "left_out": sorted([*folder.unused, *folder.ignored, *([MODULES_FILE] if folder.pooling else [])]),
        "files": {file.name: file.stat().st_size for file in sorted(out.iterdir())},
    }
