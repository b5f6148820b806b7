"""From a recipe to the labelled rows of a run: texts, vocabulary, sequences, baselines, facts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bertkit.checkpoint.folder import ModelFolder, read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.config.head import HEAD_KINDS, HeadConfig
from bertkit.config.model import ModelConfig, changed_preset
from bertkit.config.reading import check_positions
from bertkit.data.packed import Sequences
from bertkit.errors import UserError, nearest
from bertkit.model.encoder import Encoder
from bertkit.model.heads import ClassificationHead, Classifier
from bertkit.model.losses import LAST_LAYERS
from bertkit.recipe import ModelRecipe, Recipe, VocabularyRecipe
from bertkit.tasks.encoded import Encoded
from bertkit.tasks.examples import Examples, OddRows, Targets, notes, odd_rows
from bertkit.tasks.kind import HeadOutputs, Kind, Scale, Scoring
from bertkit.tasks.kinds import KINDS
from bertkit.tasks.load import ReadSplits, load_splits
from bertkit.tasks.metrics import FloatArray
from bertkit.tasks.registry import find_task
from bertkit.tasks.task import Split, Task
from bertkit.text.tokenizer import Tokenizer
from bertkit.text.vocabulary import VocabularyOptions, learn, size_for
from bertkit.train.listener import Facts


@dataclass(frozen=True)
class Prepared:
    """Everything that the seeds of one run share.

    `weights` are what the rows of each class count for in what is minimised, [C], in the loss or, where
    `sampled`, by how often they come; None: all the same.
    """

    task: Task
    labels: tuple[str, ...]
    train: Examples
    dev: Examples
    test: Examples | None
    tokenizer: Tokenizer
    model: ModelConfig
    start: Path | None
    train_encoded: Encoded
    dev_encoded: Encoded
    scoring: Scoring
    weights: FloatArray | None
    sampled: bool
    baselines: dict[str, Any]
    odd: OddRows
    facts: Facts

    @property
    def train_sequences(self) -> Sequences:
        """What the steps of training are made of: see `Encoded.units`."""
        return self.train_encoded.units

    @property
    def dev_sequences(self) -> Sequences:
        """The same of dev."""
        return self.dev_encoded.units

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What the run reads."""
        parts = [self.train, self.dev, *([] if self.test is None else [self.test])]
        return (*(part.path for part in parts), *([] if self.start is None else [self.start]))

    @property
    def parts(self) -> dict[Split, Examples]:
        """The rows by split."""
        parts: dict[Split, Examples] = {"train": self.train, "dev": self.dev}
        return parts if self.test is None else {**parts, "test": self.test}

    @property
    def row_fingerprints(self) -> dict[str, str]:
        """Of the rows to score on, by split: by them `evaluate` knows them again."""
        parts = {"dev": self.dev} | ({} if self.test is None else {"test": self.test})
        return {
            split: rows.fingerprint(self.kind.told(rows.known, self.labels)) for split, rows in parts.items()
        }

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the encoded rows, their labels, the vocabulary and the test rows, in hexadecimal."""
        digest = hashlib.sha256(self.tokenizer.fingerprint.encode())
        for encoded, targets in (
            (self.train_encoded, self.train.known),
            (self.dev_encoded, self.dev.known),
        ):
            sequences = encoded.sequences
            arrays: list[npt.NDArray[Any]] = [sequences.ids, sequences.starts, sequences.second]
            if sequences.windows is not None:
                arrays.append(sequences.windows.firsts)
            for array in (*arrays, targets.values, *([] if targets.one_each else [targets.starts])):
                digest.update(array.tobytes())
        # These are encoded when they are scored.
        digest.update(self.row_fingerprints.get("test", "").encode())
        return digest.hexdigest()

    @property
    def kind(self) -> Kind:
        """What the rows ask for."""
        return KINDS[self.task.kind]

    @property
    def blind(self) -> float:
        """The score of the baseline that reads no text."""
        return float(self.baselines[self.kind.baselines[0].name]["score"])

    @cached_property
    def scale(self) -> Scale:
        """Of numbers that are standardised to be learned."""
        return Scale() if self.kind.scale is None else self.kind.scale(self.train.known)

    @property
    def floor(self) -> float:
        """The loss of who knows how the targets of training are spread, and nothing else."""
        return self.kind.floor(self.train_encoded, self.scale, self.labels, self.weights)

    @property
    def loss_weights(self) -> FloatArray | None:
        """Of the classes in the loss of a row, [C]; None: all the same."""
        return None if self.sampled else self.weights

    def dev_loss(self, outputs: HeadOutputs) -> float:
        """Mean loss of dev, of what the head says, with the weights of training: so the two compare."""
        losses = self.kind.losses(self.dev_encoded, outputs, self.scale)
        weights = None if self.weights is None else self.weights[self.dev.known.values]
        return float(np.average(losses, weights=weights))

    def floor_of(self, units: npt.NDArray[np.int64]) -> float:
        """The floor of some of the units of training."""
        some = self.train_encoded.only(units)
        return self.kind.floor(some, self.scale, self.labels, self.loss_weights)

    @cached_property
    def row_weights(self) -> torch.Tensor | None:
        """Of each training row in the loss, float32 [N]; None: all the same."""
        weights = self.loss_weights
        return None if weights is None else torch.from_numpy(weights[self.train.known.values]).float()

    @cached_property
    def train_targets(self) -> Targets:
        """What is learned of each unit of training."""
        learned = self.train_encoded.learned
        if self.kind.scale is None:
            return learned
        return replace(learned, values=self.scale.inside(learned.values))


def prepare(recipe: Recipe, read: ReadSplits = load_splits) -> Prepared:
    """Get the data by `read`, get or learn the vocabulary, encode, and score the baselines.

    Raises:
        UserError: bad data, an unknown task, preset or option, a vocabulary that does not fit the model.
    """
    task = find_task(recipe.task)
    start = find_model(recipe.model.start)
    kind = KINDS[task.kind]
    if recipe.training.temperature and not kind.classes:
        raise UserError(
            "training: a temperature is of the probabilities of classes, and a task of the kind "
            f"{kind.name!r} has none; leave it out."
        )
    _check_softening(recipe, kind)
    rows, labels = read(task)
    train, dev, test = rows["train"], rows["dev"], rows.get("test")
    tokenizer, config = _starting_point(recipe, start, train)
    check_positions(recipe.batch.reading, config)
    if recipe.head.pooling == "pooler" and not config.pooler:
        raise UserError(
            f"The model {recipe.model.start!r} has no pooler; say how to pool: --set head.pooling=mean"
        )
    # Of a whole file, so that it is the same whichever rows are set aside.
    told = [part.known.values for part in rows.values() if part.path == train.path]
    positive = kind.positive(task.positive, Targets.single(np.concatenate(told)), labels)
    scoring = kind.scoring(labels, task.metric, positive)
    weighted = "balanced" if recipe.batch.sampling == "balanced" else recipe.training.class_weights
    weights = None if weighted == "none" else kind.weights(weighted, train.known, labels)
    encoded = [kind.encode(tokenizer, rows, recipe.batch.reading, labels) for rows in (train, dev)]
    odd = odd_rows(train, dev)
    return Prepared(
        task=task,
        labels=labels,
        train=train,
        dev=dev,
        test=test,
        tokenizer=tokenizer,
        model=config,
        start=start,
        train_encoded=encoded[0],
        dev_encoded=encoded[1],
        scoring=scoring,
        weights=weights,
        sampled=recipe.batch.sampling == "balanced",
        baselines=scoring.baselines(train, dev),
        odd=odd,
        facts=_facts(recipe, task, labels, train, dev, test, odd, encoded[0].sequences, tokenizer),
    )


def _check_softening(recipe: Recipe, kind: Kind) -> None:
    asked = recipe.training.label_smoothing or recipe.training.focal
    if asked and (not LAST_LAYERS[kind.name].softens or recipe.head.loss == "sigmoid"):
        raise UserError(
            "training: label_smoothing and focal are of the cross-entropy of classes (softmax), and this "
            "head has another loss; leave them out."
        )


def build_classifier(prepared: Prepared, recipe: Recipe) -> Classifier:
    """A new classifier at its starting point: fresh weights, or those of the model folder with a new head.

    A folder's own classification head stays where it is the one asked for, labels and options alike. A frozen
    encoder wants no gradients.
    """
    kind = prepared.kind.name
    labels = prepared.labels if HEAD_KINDS[kind].labels else ()
    head_config = HeadConfig(labels=labels, kind=kind, **asdict(recipe.head))
    head = None
    if prepared.start is None:
        encoder = Encoder(prepared.model)
    else:
        folder = read_start(prepared.start, recipe.model)
        encoder = folder.encoder
        if folder.head is not None and folder.head.config == head_config:
            scale = prepared.scale
            head = folder.head.rescaled(1 / scale.deviation, -scale.mean / scale.deviation)
        if recipe.model.reinit_layers:
            encoder.renew(recipe.model.reinit_layers)
    if recipe.model.freeze:
        encoder.requires_grad_(False)
    return Classifier(encoder, head or _new_head(head_config, prepared))


def _new_head(config: HeadConfig, prepared: Prepared) -> ClassificationHead:
    head, prior = ClassificationHead(config, prepared.model), prepared.kind.prior
    if prior is not None:
        with torch.no_grad():
            head.output.bias.copy_(torch.from_numpy(prior(prepared.train.known, prepared.labels)))
    return head


def _starting_point(recipe: Recipe, start: Path | None, train: Examples) -> tuple[Tokenizer, ModelConfig]:
    if start is not None:
        if recipe.vocabulary != VocabularyRecipe():
            raise UserError(
                f"The trained model {recipe.model.start} has its own vocabulary; leave out options of one."
            )
        folder = read_start(start, recipe.model)
        return folder.tokenizer, folder.encoder_config
    texts = list(train.all_texts)
    tokenizer = fresh_tokenizer(recipe.vocabulary, texts, sum(map(len, texts)))
    if "vocabulary_size" in recipe.model.options:
        raise UserError("The size of the model's vocabulary is that of its tokenizer: set vocabulary.size.")
    config = changed_preset(
        recipe.model.start,
        {
            "max_positions": recipe.batch.reading.longest,
            **recipe.model.options,
            "vocabulary_size": tokenizer.size,
        },
    )
    return tokenizer, config


def fresh_tokenizer(spec: VocabularyRecipe, texts: Iterable[str], characters: int) -> Tokenizer:
    """The tokenizer of fresh weights: of a vocabulary file, or learned from texts of so many characters.

    Raises:
        UserError: there is no such file or it is no vocabulary, or there is no word in the texts.
    """
    if spec.file:
        return Tokenizer.from_vocabulary(Path(spec.file), **spec.cleaning)
    said: dict[str, Any] = {name: value for name, value in spec.cleaning.items() if value is not None}
    options = VocabularyOptions(
        size=spec.size or size_for(characters),
        algorithm=spec.algorithm,
        min_frequency=spec.min_frequency or None,
        alphabet=spec.alphabet or None,
        alphabet_coverage=spec.alphabet_coverage,
        **said,
    )
    return Tokenizer.from_vocabulary(learn(texts, options), **options.cleaning)


def read_start(start: Path, recipe: ModelRecipe) -> ModelFolder:
    """Read the folder with the recipe's dropouts; nothing else of a trained encoder can be changed.

    Attention dropout is 0 unless the recipe asks for it, whatever the folder was trained with: with it the
    fused attention kernels of a CPU cannot be used.
    """
    allowed = {"hidden_dropout", "attention_dropout"}
    for key in recipe.options:
        if key not in allowed:
            raise UserError(
                f"The option {key!r} of a trained model cannot be changed.{nearest(key, sorted(allowed))}"
            )
    return read_model_folder(start, options={"attention_dropout": 0.0, **recipe.options})


def _targets_told(recipe: Recipe, words: tuple[str, str]) -> tuple[str, str]:
    """The header's line about the targets, with what makes up for their shares."""
    heading, told = words
    if recipe.training.class_weights != "none":
        told += f"; class weights {recipe.training.class_weights}"
    if recipe.batch.sampling != "natural":
        told += f"; {recipe.batch.sampling} batches"
    return heading, told


def _facts(
    recipe: Recipe,
    task: Task,
    labels: tuple[str, ...],
    train: Examples,
    dev: Examples,
    test: Examples | None,
    odd: OddRows,
    sequences: Sequences,
    tokenizer: Tokenizer,
) -> Facts:
    lengths, parts = sequences.lengths, (train, dev, test)
    of_kind = (note for rows in parts if rows is not None for note in KINDS[task.kind].notes(rows, labels))
    return Facts(
        task=task.name,
        model=recipe.model.start,
        train_rows=len(train.texts),
        dev_rows=len(dev.texts),
        targets=_targets_told(recipe, KINDS[task.kind].words(train.known, labels)),
        median_length=int(np.median(lengths)),
        longest=int(lengths.max()),
        windows=len(sequences.second) if recipe.batch.window else 0,
        padding_saved=float(1 - lengths.sum() / (len(sequences.second) * recipe.batch.reading.longest)),
        truncated=sequences.truncated,
        duplicates=len(odd.duplicates),
        leaks=len(odd.leaks),
        vocabulary_size=tokenizer.size,
        notes=tuple(dict.fromkeys([*notes(*parts), *of_kind])),
    )
