"""The model folder: weights, config, vocabulary and labels together; the layout that transformers opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bertkit import __version__
from bertkit.checkpoint.atomic import recover_folder, replace_folder
from bertkit.checkpoint.content import Content, read_json, write_json
from bertkit.checkpoint.formats import FORMATS, format_of
from bertkit.checkpoint.layouts import BEYOND_BERT, bert_can_say, read_config, write_bert, write_own
from bertkit.checkpoint.names import (
    Naming,
    bert_naming,
    drop_tied,
    from_disk,
    is_harmless,
    own_naming,
    to_disk,
)
from bertkit.config import HeadConfig, ModelConfig
from bertkit.errors import UserError
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead
from bertkit.model.initialisation import initialise
from bertkit.model.pretraining import MaskedHead, PairHead
from bertkit.text.tokenizer import Tokenizer

CARD_FILE = "bertkit.json"

FORMAT = 1
"""Version of what `bertkit.json` means; a reader refuses a later one than its own."""

NOTE_KEYS = ("format", "bertkit", "vocabulary", "model")
"""Keys of `bertkit.json` that the folder itself needs; the others are the card."""

POSITIONS = "encoder.embeddings.positions.weight"
POOLER = ("encoder.pooler.weight", "encoder.pooler.bias")
MASKED, PAIR = "masked.transform.weight", "pair.output.weight"
"""The tensors that tell whether a folder has a masked head, and a pair head."""

Parts = dict[str, nn.Module]
"""The modules of a model by the first part of their tensors' names: encoder, head, masked, pair."""


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds, loaded.

    Attributes:
        path: the folder.
        encoder: with the weights of the folder, in evaluation mode.
        head: the classification head; None if the folder has none.
        masked: the head that predicts masked pieces; None if the folder has none.
        pair: the head that tells whether two segments belong together; None if the folder has none.
        tokenizer: with the vocabulary that the weights belong to.
        card: what the writer noted: task, labels, metric, recipe and the like; empty for folders of others.
        new: modules that the folder has no weights for and that were freshly initialised.
        unused: tensors of the folder that no part of the model needs.
    """

    path: Path
    encoder: Encoder
    head: ClassificationHead | None
    masked: MaskedHead | None
    pair: PairHead | None
    tokenizer: Tokenizer
    card: dict[str, Any]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    @property
    def encoder_config(self) -> ModelConfig:
        """The options of the encoder."""
        return self.encoder.config

    @property
    def head_config(self) -> HeadConfig | None:
        """The options of the head, with the labels; None if there is no head."""
        return None if self.head is None else self.head.config


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

    Raises:
        UserError: `path` exists and `overwrite` is false.
    """
    model, head_config = encoder.config, None if head is None else head.config
    assert model.vocabulary_size == tokenizer.size, "the vocabulary is not the encoder's"
    assert head is None or (masked is None and pair is None), "no layout holds a classifier beside these"
    state = _state(_parts(encoder, head, masked, pair))
    if masked is not None and pair is None:  # As in BertForMaskedLM: nothing has trained the pooler.
        state = {name: tensor for name, tensor in state.items() if name not in POOLER}
    note: dict[str, Any] = {"format": FORMAT, "bertkit": __version__, "vocabulary": tokenizer.fingerprint}
    if bert_can_say(model, head_config):
        heads = {"masked": masked is not None, "pair": pair is not None}
        config = write_bert(model, head_config, tokenizer.pad_id, **heads)
        note["model"] = {key: getattr(model, key) for key in BEYOND_BERT}
        if encoder.embeddings.fixed_positions is not None:
            state[POSITIONS] = encoder.embeddings.fixed_positions
        bare = head is None and masked is None and pair is None
        naming: Naming = bert_naming("" if bare else "bert.")
    else:
        config = write_own(model, head_config)
        naming = own_naming
    assert card.keys().isdisjoint(NOTE_KEYS), "the card says again what the folder says itself"
    with replace_folder(path, overwrite) as temporary:
        FORMATS[0].write(temporary, config, to_disk(state, naming))
        write_json(temporary / CARD_FILE, {**note, **card})
        tokenizer.save(temporary, max_length=model.max_positions)


def read_model_folder(path: Path, options: Mapping[str, Any] | None = None) -> ModelFolder:
    """Read a model folder of any format, checked whole before anything runs.

    A masked head whose table of pieces is not the encoder's own is none of BERT's, and is left unused.

    Args:
        path: the folder.
        options: fields of `ModelConfig` to change, such as dropouts.

    Raises:
        UserError: a file is missing or damaged, or the parts do not belong together, or the model is of a
            kind that bertkit does not compute.
    """
    recover_folder(path)
    content = (format_of(path) or FORMATS[0]).open(path)
    note = _read_note(path)
    try:
        model, head_config = read_config(content.config, note.get("model", {}))
        model = replace(model, **(options or {}))
    except UserError as error:
        raise UserError(f"{content.config_file}: {error}") from None
    tokenizer = _read_tokenizer(path, model, note)
    tensors = content.load()
    naming: Naming = own_naming
    if content.config["model_type"] == "bert":
        naming = bert_naming("bert." if any(name.startswith("bert.") for name in tensors) else "")
    tied = drop_tied(tensors)
    with torch.device("meta"):
        encoder = Encoder(model)
        head = None if head_config is None else ClassificationHead(head_config, model)
        masked = MaskedHead(model) if head is None and tied and naming(MASKED)[0] in tensors else None
        pair = PairHead(model) if head is None and naming(PAIR)[0] in tensors else None
    parts = _parts(encoder, head, masked, pair)
    new = _fill(content, parts, tensors, naming)
    unused = tuple(sorted(tensors))
    for name in unused:
        if not is_harmless(name):
            raise UserError(
                f"{content.weights_file}: the model of {content.config_file.name} has no part named {name}."
            )
    for part in parts.values():
        part.eval()
    card = {key: value for key, value in note.items() if key not in NOTE_KEYS}
    return ModelFolder(path, encoder, head, masked, pair, tokenizer, card, new, unused)


def _read_note(path: Path) -> dict[str, Any]:
    """What `bertkit.json` says; a folder of transformers has none."""
    file = path / CARD_FILE
    note = read_json(file) if file.exists() else {"format": FORMAT}
    if note.get("format") != FORMAT:
        raise UserError(
            f"{file} is of format {note.get('format')!r} and this bertkit, {__version__}, reads format "
            f"{FORMAT}: install bertkit {note.get('bertkit', 'as new as the folder')}."
        )
    if not isinstance(note.get("model", {}), dict):
        raise UserError(f"{file}: 'model' must be an object with options.")
    return note


def _read_tokenizer(path: Path, model: ModelConfig, note: Mapping[str, Any]) -> Tokenizer:
    tokenizer = Tokenizer.from_folder(path)
    if tokenizer.size != model.vocabulary_size:
        raise UserError(
            f"{path}: the vocabulary has {tokenizer.size} pieces and the model {model.vocabulary_size}: "
            "it is another model's. Copy the vocabulary from where this model was trained."
        )
    if note.get("vocabulary", tokenizer.fingerprint) != tokenizer.fingerprint:
        raise UserError(
            f"{path}: the vocabulary is not the one the model was trained with (its fingerprint is not that "
            f"of {CARD_FILE}): its pieces would mean nothing to the model. Copy the right one there."
        )
    return tokenizer


def _fill(
    content: Content, parts: Parts, tensors: dict[str, torch.Tensor], naming: Naming
) -> tuple[str, ...]:
    """Give the parts of the model, which are on the meta device, their weights out of `tensors`.

    Returns:
        The modules that `tensors` has nothing for: the pooler, which only heads on `[CLS]` need, at most.
    """
    file, expected = content.weights_file, _state(parts)
    encoder = parts["encoder"]
    assert isinstance(encoder, Encoder)
    fixed = encoder.embeddings.fixed_positions
    if fixed is not None and naming is not own_naming:
        expected[POSITIONS] = fixed
    new: tuple[str, ...] = ()
    needed = "head" in parts or "pair" in parts
    if not needed and encoder.pooler is not None and naming(POOLER[0])[0] not in tensors:
        new = ("pooler",)
        encoder.pooler.to_empty(device="cpu")
        initialise(encoder.pooler, encoder.config)
        expected = {name: tensor for name, tensor in expected.items() if name not in POOLER}
    try:
        state = from_disk(tensors, expected, naming)
    except ValueError as error:
        raise UserError(f"{file}: {error}, as {content.config_file.name} describes the model.") from None
    for name, tensor in state.items():
        if not tensor.sum().isfinite():  # One pass, and none of the numbers can hide in a sum.
            raise UserError(f"{file} is damaged: {name} holds a number that is not finite.")
    if POSITIONS in state and fixed is not None and not torch.equal(state.pop(POSITIONS), fixed):
        raise UserError(f"{file}: the positions are not the sinusoids that {CARD_FILE} says they are.")
    for prefix, module in parts.items():
        own = {n.removeprefix(f"{prefix}."): t for n, t in state.items() if n.startswith(f"{prefix}.")}
        module.load_state_dict(own, strict=False, assign=True)
    return new


def _parts(
    encoder: Encoder, head: ClassificationHead | None, masked: MaskedHead | None, pair: PairHead | None
) -> Parts:
    """Those that are there."""
    found = {"encoder": encoder, "head": head, "masked": masked, "pair": pair}
    return {name: module for name, module in found.items() if module is not None}


def _state(parts: Parts) -> dict[str, torch.Tensor]:
    return {
        f"{prefix}.{name}": tensor
        for prefix, module in parts.items()
        for name, tensor in module.state_dict().items()
    }
