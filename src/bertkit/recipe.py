"""A recipe: everything about one fine-tuning run, as frozen values and as a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_origin, get_type_hints

from bertkit.config import Loss, Pooling, Precision, check_at_least, check_choice
from bertkit.errors import UserError, nearest

Header = Literal["auto", "yes", "no"]
Kind = Literal["classify"]
VocabularyAlgorithm = Literal["wordpiece", "topdown"]
Schedule = Literal["linear", "constant"]
Alike = Literal["sequences", "pieces"]
OptimiserName = Literal["adamw", "adam"]


@dataclass(frozen=True, kw_only=True)
class TaskRecipe:
    """What is learned: a named task (and, optionally, where its folder is), or the user's own files."""

    name: str = ""
    folder: str = ""
    train: str = ""
    dev: str = ""
    text: str = ""
    pair: str = ""
    label: str = ""
    header: Header = "auto"
    kind: Kind = "classify"
    metric: str = ""

    def __post_init__(self) -> None:
        check_choice("task", "header", self.header, Header)
        check_choice("task", "kind", self.kind, Kind)


@dataclass(frozen=True, kw_only=True)
class ModelRecipe:
    """Where the weights come from: a preset (fresh weights) or a model folder, and changes to its options."""

    start: str = "mini"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VocabularyRecipe:
    """For fresh weights: a vocabulary file, or how to learn one from the training texts.

    `min_frequency` 0 is the algorithm's own, in `text.vocabulary.MIN_FREQUENCY`.
    """

    file: str = ""
    algorithm: VocabularyAlgorithm = "wordpiece"
    size: int = 4_000
    min_frequency: int = 0
    lowercase: bool = True

    def __post_init__(self) -> None:
        check_choice("vocabulary", "algorithm", self.algorithm, VocabularyAlgorithm)
        check_at_least("vocabulary", "size", self.size, 10)
        check_at_least("vocabulary", "min_frequency", self.min_frequency, 0)


@dataclass(frozen=True, kw_only=True)
class HeadRecipe:
    """The head, but for its labels, which the data give. See `config.HeadConfig`."""

    pooling: Pooling = "pooler"
    hidden_size: int = 0
    loss: Loss = "softmax"
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True)
class BatchRecipe:
    """How examples become batches.

    With `by_length` sequences of like length go together. `alike` says what batches have the same number of:
    "sequences", so that every row weighs the same, or "pieces", so that every step takes the same time and
    memory and `sequences` is their mean number. `pad_to` > 0 appends visible `[PAD]` pieces up to that
    length: the article's fault, kept as an option so that it can be shown.
    """

    sequences: int = 32
    max_length: int = 128
    pad_to: int = 0
    shuffle: bool = True
    by_length: bool = True
    alike: Alike = "sequences"

    def __post_init__(self) -> None:
        check_choice("batch", "alike", self.alike, Alike)
        check_at_least("batch", "sequences", self.sequences, 1)
        check_at_least("batch", "max_length", self.max_length, 3)
        check_at_least("batch", "pad_to", self.pad_to, 0)
        if self.pad_to > self.max_length:
            raise UserError(f"batch: pad_to {self.pad_to} is beyond max_length {self.max_length}.")
        if self.by_length and not self.shuffle:
            raise UserError("batch: by_length = true needs shuffle = true; file order has no length groups.")


@dataclass(frozen=True, kw_only=True)
class OptimiserRecipe:
    """AdamW (decay off for biases and norms) or plain Adam; `clip` 0 is no clipping; `warmup` is a share."""

    name: OptimiserName = "adamw"
    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.01
    clip: float = 1.0
    warmup: float = 0.1
    schedule: Schedule = "linear"

    def __post_init__(self) -> None:
        check_choice("optimiser", "name", self.name, OptimiserName)
        check_choice("optimiser", "schedule", self.schedule, Schedule)
        for name in ("lr", "beta1", "beta2", "eps", "weight_decay", "clip", "warmup"):
            check_at_least("optimiser", name, getattr(self, name), 0)
        for name in ("beta1", "beta2", "warmup"):
            if getattr(self, name) >= 1:
                raise UserError(f"optimiser: {name} must be below 1, not {getattr(self, name)!r}.")
        if self.name == "adam" and self.weight_decay:
            raise UserError(
                "optimiser: 'adam' has no weight decay here; set weight_decay = 0 or use 'adamw'."
            )


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """How long, from which seeds, and how often the run is saved.

    `steps` > 0 ends the run after so many steps if `epochs` has more; the schedule spans what is run.
    `patience` > 0 stops after so many epochs without a better dev score. `save_every` is in minutes.
    """

    epochs: int = 3
    steps: int = 0
    patience: int = 0
    seed: int = 0
    seeds: int = 1
    precision: Precision = "auto"
    save_every: float = 5.0

    def __post_init__(self) -> None:
        check_choice("training", "precision", self.precision, Precision)
        check_at_least("training", "epochs", self.epochs, 1)
        check_at_least("training", "seeds", self.seeds, 1)
        for name in ("steps", "patience", "seed", "save_every"):
            check_at_least("training", name, getattr(self, name), 0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about one fine-tuning run."""

    task: TaskRecipe = TaskRecipe()
    model: ModelRecipe = ModelRecipe()
    vocabulary: VocabularyRecipe = VocabularyRecipe()
    head: HeadRecipe = HeadRecipe()
    batch: BatchRecipe = BatchRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    training: TrainingRecipe = TrainingRecipe()

    def with_changes(self, changes: Mapping[str, Mapping[str, Any]]) -> Recipe:
        """A copy in which `{section: {key: value}}` replaces what was there.

        Raises:
            UserError: an unknown section or key (the nearest is offered), or a value of another type.
        """
        table = asdict(self)
        for section, part in changes.items():
            table[section] = {**table.get(section, {}), **part}
        return from_table(Recipe, table, "")

    def to_toml(self) -> str:
        """The recipe as TOML text that `Recipe.from_toml` reads back equal."""
        import tomli_w

        return tomli_w.dumps(asdict(self))

    @classmethod
    def from_toml(cls, path: Path) -> Recipe:
        """Read a recipe.

        Raises:
            UserError: no such file, not TOML, an unknown key (the nearest is offered), a value out of range.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"There is no recipe at {path}.") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"{path} cannot be read as TOML: {error}.") from None
        try:
            return from_table(cls, table, "")
        except UserError as error:
            raise UserError(f"{path}: {error}") from None


T = TypeVar("T")


def from_table(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `kind` from a TOML table; types are checked, nothing is converted but int to float.

    Raises:
        UserError: an unknown key or a value of another type, with the key's full name.
    """
    hints = get_type_hints(kind)
    known = {spec.name: spec for spec in fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}{key}"
        if key not in known:
            raise UserError(f"There is no recipe key {name!r}.{nearest(key, list(known))}")
        values[key] = _checked(hints[key], value, name)
    missing = [n for n, s in known.items() if n not in values and s.default is s.default_factory is MISSING]
    if missing:
        raise UserError(f"The recipe key {where}{missing[0]} is missing.")
    return kind(**values)


def _checked(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise UserError(f"The recipe key {name!r} is a table, not {value!r}.")
        return from_table(hint, value, f"{name}.")
    origin = get_origin(hint)
    if origin is Literal:
        check_choice("recipe", name, value, hint)
        return value
    expected = Mapping if origin is not None else hint
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        kind = "table" if expected is Mapping else expected.__name__
        raise UserError(f"The recipe key {name!r} is of type {kind}, and {value!r} is not.")
    return value
