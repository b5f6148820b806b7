"""A recipe of a fine-tuning run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from bertkit.config.head import USUAL_DROPOUT, Combination, Loss, Pooling, TaskKind
from bertkit.config.reading import Reading, check_reading
from bertkit.errors import UserError, check_at_least, check_choice
from bertkit.recipe.base import AUTO, BaseRecipe, Choice, What
from bertkit.recipe.parts import ModelRecipe, OptimiserRecipe, RunRecipe

Header = Literal["auto", "yes", "no"]
VocabularyAlgorithm = Literal["wordpiece", "topdown"]
Alike = Literal["sequences", "tokens"]
Sampling = Literal["natural", "balanced"]
ClassWeights = Literal["none", "balanced", "sqrt"]
LabelAs = Literal["", "index", "number", "letter", "name", "text"]
PoolingAsked = Literal["", Pooling]
USUAL_DEV = "20%"
"""Of the rows of own files without dev rows."""

OF_ROWS = ("context",)
"""Keys of a task that say what a model reads of a row: they hold for all rows that it reads later."""
_FILES = ("text", "pair", "choices", "label", "label_separator", "label_as", "header", "separator", "labels")
OF_FILES = (*_FILES, *OF_ROWS)
"""Keys of a task that say how its files are read and hold for later files too. Not the encoding: one that was
right for other files makes wrong letters of UTF-8, and nothing would say so."""


@dataclass(frozen=True, kw_only=True)
class TaskRecipe:
    """What is learned: a named task (and, optionally, where its folder is), or the user's own files.

    `dev` and `test` are files, or shares of the rows of `train`, such as "20%"; `dev` may be a fold of them,
    such as "2/5", the second of five; of a run on own files without `dev` it is `USUAL_DEV`. Which rows those
    are hangs on `split_seed` and the texts alone. Columns and the kind that are not given are guessed from
    the rows of `train`.
    With `context` a sentence whose words have tags is read with so many of its document before and behind it.
    `positive` is of two labels the one whose F1 is told; "" the named task's own, or the rarer in training.
    `labels` are the labels of own files in the order of the classes, each with its name; none: those of the
    training rows. `title` is what a task of own files is called; "": as its first file.
    `choices` are the columns of the texts that one is to be chosen from, between commas, or one column of
    lists; `label_as` is how a label tells which one is right: "index" counts from 0, "number" from 1,
    "letter" is from A, "name" what the file calls the choice, "text" the choice itself; "" is what the file
    tells.
    `label` may name several columns, with commas between them, each of 0 and 1 for one label; where one
    column lists the labels of a row, `label_separator` stands between them.
    """

    name: str = ""
    folder: str = ""
    train: str = ""
    dev: str = ""
    test: str = ""
    split_seed: int = 0
    text: str = ""
    pair: str = ""
    choices: str = ""
    label: str = ""
    label_as: LabelAs = ""
    label_separator: str = ","
    header: Header = "auto"
    separator: str = ""
    encoding: str = ""
    skip_bad: bool = False
    context: int = 0
    kind: TaskKind = ""
    metric: str = ""
    positive: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    def __post_init__(self) -> None:
        if wrong := next((name for name in self.labels.values() if not isinstance(name, str)), None):
            raise UserError(f"task: a label's name is a text, not {wrong!r}.")
        check_choice("task", "header", self.header, Header)
        check_choice("task", "kind", self.kind, TaskKind)
        check_at_least("task", "context", self.context, 0)
        check_choice("task", "label_as", self.label_as, LabelAs)

    @property
    def named(self) -> bool | None:
        """Whether the first line of a table names its columns; None: as `iterate_rows` tells it."""
        return None if self.header == "auto" else self.header == "yes"


@dataclass(frozen=True, kw_only=True)
class VocabularyRecipe:
    """For fresh weights: a vocabulary file, or how to learn one from the training texts.

    `size` 0 is by the amount of text, see `text.vocabulary.size_for`; `min_frequency` 0 is the algorithm's
    own, in `text.vocabulary.ALGORITHMS`; `alphabet` 0 is chosen by `alphabet_coverage`, see
    `text.vocabulary.choose_alphabet`. How text is read, "auto" leaves to what the
    file says or its tokens need, and without a file to what BERT does.
    """

    file: str = ""
    algorithm: VocabularyAlgorithm = "wordpiece"
    size: int = 4_000
    min_frequency: int = 0
    lowercase: Choice = AUTO
    strip_accents: Choice = AUTO
    split_cjk: Choice = AUTO
    alphabet: int = 0
    alphabet_coverage: float = 0.9995

    def __post_init__(self) -> None:
        check_choice("vocabulary", "algorithm", self.algorithm, VocabularyAlgorithm)
        check_at_least("vocabulary", "size", self.size, 10 if self.size else 0)
        check_at_least("vocabulary", "min_frequency", self.min_frequency, 0)
        check_at_least("vocabulary", "alphabet", self.alphabet, 0)
        if not 0 < self.alphabet_coverage <= 1:
            raise UserError(f"vocabulary: alphabet_coverage is from 0 to 1, not {self.alphabet_coverage}.")

    @property
    def cleaning(self) -> dict[str, bool | None]:
        """How text is read before it is cut; None where nobody says."""
        said = {"lowercase": self.lowercase, "strip_accents": self.strip_accents, "split_cjk": self.split_cjk}
        return {name: value if isinstance(value, bool) else None for name, value in said.items()}


@dataclass(frozen=True, kw_only=True)
class ChosenModelRecipe(ModelRecipe):
    """`start` "" is "mini" for a named task, and for own files a pretrained model that is on this machine.

    Of a trained start, `reinit_layers` of the top layers get fresh weights, and the pooler too.
    """

    start: str = ""
    reinit_layers: int = 0

    def __post_init__(self) -> None:
        check_at_least("model", "reinit_layers", self.reinit_layers, 0)
        if self.reinit_layers and (self.freeze or self.fresh):
            what = "freeze keeps all layers as they are" if self.freeze else f"{self.start} is fresh anyway"
            raise UserError(f"model: {what}; leave reinit_layers out.")


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """The head, but for its kind and labels, which the data give. See `config.head.HeadConfig`.

    The pooling "" is that of the start: see `train.settle.usual_pooling`. The usual dropout is that of the
    kind of head.
    """

    pooling: PoolingAsked = ""
    layers: tuple[int, ...] = (-1,)
    combine: Combination = "sum"
    hidden_size: int = 0
    transform: bool = False
    loss: Loss = ""
    dropout: float = USUAL_DROPOUT


@dataclass(frozen=True, kw_only=True)
class BatchRecipe:
    """How examples become batches.

    With `by_length` sequences of like length go together. `alike` says what batches have the same number of:
    "sequences", so that every row weighs the same, or "tokens", so that every step takes the same time and
    memory and `sequences` is their mean number. `pad_to` > 0 appends visible `[PAD]` tokens up to that
    length: the article's fault, kept as an option so that it can be shown. With `window` > 0 a longer text is
    not cut to `max_length` but read in windows of so many tokens, at most `stride` apart (0: three quarters
    of a window): their pooled vectors are averaged. With `sampling` "balanced" an epoch has as many rows of
    each class, and as many in all as before: rows of small classes come several times, and of large ones some
    wait.
    """

    sequences: int = 32
    max_length: int = 128
    pad_to: int = 0
    window: int = 0
    stride: int = 0
    shuffle: bool = True
    by_length: bool = True
    alike: Alike = "sequences"
    sampling: Sampling = "natural"

    def __post_init__(self) -> None:
        check_choice("batch", "alike", self.alike, Alike)
        check_choice("batch", "sampling", self.sampling, Sampling)
        if self.sampling == "balanced" and not self.shuffle:
            raise UserError('batch: sampling = "balanced" needs shuffle = true; it draws its rows at random.')
        check_at_least("batch", "sequences", self.sequences, 1)
        check_reading("batch", self.max_length, self.pad_to, self.window, self.stride)
        if self.by_length and not self.shuffle:
            raise UserError("batch: by_length = true needs shuffle = true; file order has no length groups.")

    @property
    def reading(self) -> Reading:
        """How texts become sequences."""
        return Reading(max_length=self.max_length, pad_to=self.pad_to, window=self.window, stride=self.stride)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe(RunRecipe):
    """How long, from which seeds, and how often the run is saved; see `RunRecipe`.

    A seed goes through the training rows `epochs` times, and is scored after each; 0 is three times, or as
    often as makes about 150 updates (or `steps`). `steps` > 0 ends it after so many steps if `epochs` has
    more; the schedule spans what is run. With a `budget` neither counts, and
    the learning rate follows the clock. A seed that collapses goes on to its end unless `on_collapse` says
    otherwise. With `temperature` the model folder keeps the temperature that fits the dev rows, for those who
    ask the model: its probabilities then mean what they say more nearly, and its answers stay the same.
    `class_weights` are those of the rows of a class in the loss: "balanced" in inverse proportion to its
    rows, so that all classes weigh the same together, "sqrt" the square root of that.
    `label_smoothing` is the share of a target that is spread over all classes, and `focal` the power of 1 - p
    that a loss is multiplied by, p being the probability of the right class: see `model.losses.Softening`.
    """

    epochs: int = 0
    temperature: bool = False
    class_weights: ClassWeights = "none"
    label_smoothing: float = 0.0
    focal: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("training", "class_weights", self.class_weights, ClassWeights)
        for name in ("label_smoothing", "focal"):
            check_at_least("training", name, getattr(self, name), 0)
        if self.label_smoothing >= 1:
            raise UserError(f"training: label_smoothing must be below 1, not {self.label_smoothing!r}.")
        check_at_least("training", "epochs", self.epochs, 0)
        if self.steps and self.budget:
            raise UserError("training: give one of steps and budget.")


@dataclass(frozen=True, kw_only=True)
class Recipe(BaseRecipe):
    """Everything about one fine-tuning run."""

    ABOUT = ("task", "name")
    SUBJECT = ("name", "train")

    task: TaskRecipe = TaskRecipe()
    model: ChosenModelRecipe = ChosenModelRecipe()
    vocabulary: VocabularyRecipe = VocabularyRecipe()
    head: HeadRecipe = HeadRecipe()
    batch: BatchRecipe = BatchRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    training: TrainingRecipe = TrainingRecipe()

    def __post_init__(self) -> None:
        if self.batch.sampling == "balanced" and self.training.class_weights != "none":
            raise UserError(
                "Give either class weights (training.class_weights) or balanced batches (batch.sampling): "
                "both make up for the same shares of the classes."
            )

    def about(self, what: What) -> Self:
        """A copy that learns from `what`: a named task, or a file of rows."""
        return self.with_changes({"task": {"train": str(what)}}) if names_file(what) else super().about(what)


def names_file(what: What) -> bool:
    """Whether `what` is meant as a file (or a folder) of rows.

    The names of tasks have no dots or slashes, but those of the files that describe one.
    """
    return any(mark in str(what or "") for mark in "./\\") and not str(what).endswith(".toml")


def share_of(given: str) -> float:
    """The share that a text such as "20%", or a fold such as "2/5", stands for; 0 where it is none.

    Raises:
        UserError: it is none of that size.
    """
    if fold_of(given):
        return 1 / int(given.partition("/")[2])
    if not (match := re.fullmatch(r"(\d+(?:\.\d+)?) ?%", given.strip())):
        return 0.0
    if not 0 < float(match[1]) < 100:
        raise UserError(f"{given} is no share of the rows: it must be above 0 % and below 100 %.")
    return float(match[1]) / 100


def fold_of(given: str) -> int:
    """Which fold a text such as "2/5" stands for, the second of five; 0 where it is none.

    Raises:
        UserError: there is no such one.
    """
    if not (match := re.fullmatch(r"(\d+)/(\d+)", given.strip())):
        return 0
    number, folds = int(match[1]), int(match[2])
    if folds < 2 or not 1 <= number <= folds:
        raise UserError(f"{given} is no fold of the rows: of five folds they are 1/5 to 5/5.")
    return number
