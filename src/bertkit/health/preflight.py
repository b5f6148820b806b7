"""What is measured before a run: plain numbers, which checks read and files keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

from bertkit.health.audit import Audit
from bertkit.recipe.parts import Phase

Ended = Literal["learnt", "steps", "time", "diverged", "stopped", "cliff"]
"""Why a trial ended: all is learnt, all steps are made, time is up, a loss is no number, the signal has
stopped, the loss rose."""

SECONDS = 20.0
"""For the trials together, at most, where nobody says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What of the recipe the checks read; `steps` of one seed, `reach` is the sum of all its rates.

    `own_rows` are a user's own files.
    """

    phase: Phase
    model: str
    fresh: bool
    optimiser: str
    lr: float
    warmup: float
    clip: float
    steps: int
    reach: float
    norm: str
    positions: str
    embedding_norm: bool
    position_scale: float
    initialiser_range: float
    layers: int
    hidden_size: int
    max_length: int
    max_positions: int
    at_once: int
    pad_to: int = 0
    shuffle: bool = True
    frozen: bool = False
    learns_vocabulary: bool = False
    own_rows: bool = False
    metric: str = ""
    budget_minutes: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Reads:
    """What checks of tokens read of how sequences are made, where there is no run: see `Asked`.

    Nearly all models of BERT's kind have so many positions.
    """

    max_length: int
    max_positions: int = 512
    phase: Phase = "finetune"
    fresh: bool = False
    learns_vocabulary: bool = False


@dataclass(frozen=True, kw_only=True)
class RowMeasures:
    """Labelled rows of any kind, and in which order they come.

    Attributes:
        train_rows: rows to learn from.
        dev_rows: rows to score on.
        baseline_loss: the loss of who knows how the labels are spread and nothing else, in the loss's unit.
        lines: lines of train with the first few rows of what is found by row.
        batch_dispersion: how much the labels of the first epoch's batches vary from batch to batch, as a
            multiple of what random order gives: about 1, and the size of a batch where labels come sorted.
        file_dispersion: the same of batches cut from the file as it stands.
        neighbours_alike: mean share of tokens that a row of train has in common with the next one.
        strangers_alike: the same of two rows at random.
    """

    of: ClassVar[str] = "rows"
    train_rows: int
    dev_rows: int
    baseline_loss: float
    lines: dict[str, list[int]]
    batch_dispersion: float
    file_dispersion: float
    neighbours_alike: float
    strangers_alike: float


@dataclass(frozen=True, kw_only=True)
class ClassMeasures(RowMeasures):
    """Rows of which each has one of a few labels.

    Attributes:
        counts: rows of each label in train.
        dev_counts: the same of dev.
        majority_label: the commonest in train, see `tasks.classify.majority_of`.
        majority_score: of always answering it, in the task's metric, on dev.
        majority_accuracy: the same in accuracy.
        positive: of two labels the one whose F1 is told.
        one_label: share of the first epoch's batches in which all rows have one label.
        one_label_by_chance: the share to expect of rows in random order.
    """

    of: ClassVar[str] = "classes"
    counts: dict[str, int]
    dev_counts: dict[str, int]
    majority_label: str
    majority_score: float
    majority_accuracy: float
    one_label: float
    one_label_by_chance: float
    positive: str = ""

    @property
    def shares(self) -> dict[str, float]:
        """Share of each label in train."""
        return {label: count / self.train_rows for label, count in self.counts.items()}


@dataclass(frozen=True, kw_only=True)
class NumberMeasures(RowMeasures):
    """Rows of which each has a number.

    Attributes:
        mean: of train.
        deviation: the same's standard deviation.
        least: of train.
        greatest: of train.
        dev_mean: of dev.
        mean_score: of always answering the mean of train, in the task's metric, on dev.
        far_share: share of the variance of train that its furthest hundredth makes.
    """

    of: ClassVar[str] = "numbers"
    mean: float
    deviation: float
    least: float
    greatest: float
    dev_mean: float
    mean_score: float
    far_share: float


@dataclass(frozen=True, kw_only=True)
class TokenMeasures:
    """What the tokenizer made of the texts.

    Attributes:
        tokens: of the text, pads and special tokens left out.
        padding: share of pads that a batch padded to `max_length` would have.
        visible_pads: share of the tokens that are pads and are seen by the attention of others.
        truncated: share of the sequences that lost tokens to the length limit.
        unknown: share of the text's tokens that are `[UNK]`.
        unknown_words: the commonest words that are.
        tokens_a_word: tokens over words.
        vocabulary_size: V.
        cased_tokens: share of the vocabulary's tokens that have a capital letter.
        capitals: share of the letters of the texts that are capitals.
        lowercase: whether the tokenizer makes letters small.
    """

    tokens: int
    padding: float
    visible_pads: float
    truncated: float
    unknown: float
    unknown_words: list[str]
    tokens_a_word: float
    vocabulary_size: int
    cased_tokens: float
    capitals: float
    lowercase: bool


@dataclass(frozen=True, kw_only=True)
class StartMeasures:
    """The model before its first update, on the first batch or as much of it as is quick.

    Attributes:
        rows: sequences.
        tokens: of them together.
        loss: in nats.
        uniform: loss of who knows nothing: ln C, or ln V (and ln 2 more with pairs).
        gradient_norms: of each layer, from the bottom to the top.
        cls_spread: of the `[CLS]` vectors behind each layer, see `layers.spread`.
        token_size: root mean square of the embeddings of the batch's tokens.
        position_size: the same of what is added for their positions; None where nothing is.
        segment_size: the same of their segments.
        attention_to_pads: share of the attention of `[CLS]` that goes to pads, a mean over layers and heads.
    """

    rows: int
    tokens: int
    loss: float
    uniform: float
    gradient_norms: dict[str, float]
    cls_spread: dict[str, float]
    token_size: float
    position_size: float | None
    segment_size: float
    attention_to_pads: float = 0.0


@dataclass(frozen=True, kw_only=True)
class OverfitTrial:
    """A copy of the model is given the same few sequences at every step, without dropout.

    Attributes:
        rows: sequences.
        tokens: of them together.
        baseline_loss: of who knows the shares of the labels (or tokens) of these and nothing else.
        rate: the learning rate, after the recipe's share of warm-up.
        limit: steps asked for.
        losses: before each update.
        ended: why.
        gradient_norms: at the end.
        cls_spread: at the end.
        stops_at: the lowest layer behind which inputs have become alike while the gradient died, by the end;
            None where the signal passes.
        calmer: the same again at a tenth of the learning rate, where this was not learnt.
    """

    rows: int
    tokens: int
    baseline_loss: float
    rate: float
    limit: int
    losses: list[float]
    ended: Ended
    gradient_norms: dict[str, float]
    cls_spread: dict[str, float]
    stops_at: str | None = None
    calmer: OverfitTrial | None = None


@dataclass(frozen=True, kw_only=True)
class RangeTest:
    """A copy of the model is trained on the same few sequences at exponentially growing rates (Smith 2017).

    Attributes:
        rates: of each update.
        losses: before each update.
        smoothed: of these.
        falls_at: the rate at which the smoothed loss had clearly begun to fall; None if it never did.
        reach: sum of the rates up to there: about how far Adam has moved each weight.
        cliff: the rate at which it rose again; None if it did not.
        ended: why.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    falls_at: float | None
    reach: float | None
    cliff: float | None
    ended: Ended


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What the run will take; bytes, seconds.

    `activations` are what the largest batch keeps for its backward pass; `base` is the process before the
    model; `available` is None where the system does not say. `steps` and `seconds` are of all seeds.
    """

    parameters: int
    weights: int
    gradients: int
    moments: int
    activations: int
    base: int
    available: int | None
    seconds_a_step: float
    steps: int
    seconds: float

    @property
    def peak(self) -> int:
        """Greatest memory of the process, estimated."""
        return self.base + self.weights + self.gradients + self.moments + self.activations


@dataclass(frozen=True, kw_only=True)
class CorpusMeasures:
    """Text for pretraining, against what the run will read of it; `epochs` is how often."""

    documents: int
    train_tokens: int
    heldout_tokens: int
    tokens_a_step: int
    epochs: float
    unigram: float


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What is known of rows without a run; without a tokenizer nothing of tokens."""

    audit: Audit
    asked: Reads | None = None
    tokens: TokenMeasures | None = None

    def to_json(self) -> dict[str, Any]:
        """As `bertkit data check --json` prints it under `measures`."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """All of it. What was not measured is None: the trials and the cost at the quiet start of a run."""

    asked: Asked
    start: StartMeasures
    tokens: TokenMeasures
    rows: RowMeasures | None = None
    audit: Audit | None = None
    corpus: CorpusMeasures | None = None
    overfit_trial: OverfitTrial | None = None
    range_test: RangeTest | None = None
    cost: Cost | None = None

    @property
    def of(self) -> tuple[str, ...]:
        """What the run is of: its phase, and what its rows have."""
        return (self.asked.phase,) if self.rows is None else (self.asked.phase, self.rows.of)

    @property
    def labelled(self) -> RowMeasures:
        """The rows of a fine-tuning, which always has them."""
        assert self.rows is not None, "a pretraining has no labelled rows"
        return self.rows

    @property
    def classes(self) -> ClassMeasures:
        """The rows of one whose rows have labels."""
        assert isinstance(self.rows, ClassMeasures), "its rows have no classes"
        return self.rows

    @property
    def numbers(self) -> NumberMeasures:
        """The rows of one whose rows have numbers."""
        assert isinstance(self.rows, NumberMeasures), "its rows have no numbers"
        return self.rows

    def to_json(self) -> dict[str, Any]:
        """As `bertkit doctor --json` prints it under `measures`."""
        return asdict(self)
