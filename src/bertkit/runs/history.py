"""What a run went through, as plain records: read from its folder, and judged by the checks of runs.

A figure that a log does not tell is NaN, and so is one that was no number; `broke` tells the two apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bertkit.recipe import PretrainRecipe, Recipe, TrainingRecipe
from bertkit.recipe.parts import Phase
from bertkit.runs.restarts import Restart
from bertkit.tasks.kind import Kind
from bertkit.tasks.kinds import ALL_METRICS

if TYPE_CHECKING:
    from typing_extensions import TypeIs

RecipeOf = TypeVar("RecipeOf", bound=Recipe | PretrainRecipe, covariant=True)
NAN = math.nan
HEALTH = "health"
"""The event of the records of looks at a run while it trains."""
ENOUGH_STEPS = 30
"""Fewer say nothing of where a run goes."""
NEWEST = 0.01
"""Share of the newest step in the training loss of a pretraining, once there are a hundred."""
THROUGH = 0.85
"""Share of the unigram entropy below which a loss can't be that of token frequencies alone, or of them and
the nearest neighbours."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """One look at a run, after update `step` (from 1). In its record, what was not measured is left out.

    Layers are named as in `health.look`, from the bottom to the top: "embeddings", "layer 1" ... "layer L",
    "pooler" (where it is trained), "head". What is of inputs is measured in evaluation mode on a few dev
    rows, of a pretraining run on a little held-out text.

    Attributes:
        step: updates made.
        epoch: of a fine-tuning run: passes over the training rows.
        fraction: of a pretraining run: share of it that was done before this update.
        learning_rate: of this update.
        smoothed_loss: of training, nats: the mean over about the last twenty steps.
        baseline_loss: loss in nats of one who knows the shares of the labels and nothing of the inputs; of a
            pretraining run, who knows how often each token occurs.
        heldout_gap: dev loss less training loss, nats, of the newest evaluation.
        gradient_norms: by layer, before clipping.
        update_ratios: by layer: length of this update over that of the weights; about 1e-3 is usual.
        cls_spread: how far the `[CLS]` vectors that leave the encoder differ between inputs, 0 to 1: see
            `health.look.spread`. 0: the model can't tell inputs apart.
        probability_spread: how far predictions differ between inputs, 0 to 1: mean share of an
            input's probability that lies elsewhere than in the mean prediction; of a pretraining run, between
            masked tokens.
        majority_share: share of the inputs (masked tokens) that get the most frequent answer.
        attention_entropy: "layer 1" ... "layer L": entropy of the attention of all heads as a share of the
            most there can be: 1 looks everywhere alike, 0 at one token alone.
        dead_units: share of units that no input moves: "layer 1" ... "layer L", feed-forward units whose
            activation is off for all tokens; "pooler", units within 0.01 of -1 or 1 for all inputs; "head",
            units of its hidden layer that are off for all inputs.
    """

    step: int
    epoch: float | None = None
    fraction: float | None = None
    learning_rate: float | None = None
    smoothed_loss: float | None = None
    baseline_loss: float | None = None
    heldout_gap: float | None = None
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    update_ratios: Mapping[str, float] = field(default_factory=dict)
    cls_spread: float | None = None
    probability_spread: float | None = None
    majority_share: float | None = None
    attention_entropy: Mapping[str, float] = field(default_factory=dict)
    dead_units: Mapping[str, float] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """What was measured, by name, with `step`."""
        return {name: value for name, value in asdict(self).items() if value is not None and value != {}}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Health:
        """Of a line of `metrics.jsonl`, whose other fields are passed over."""
        known = {spec.name for spec in fields(cls)}
        return cls(**{name: value for name, value in record.items() if name in known})


@dataclass(frozen=True, slots=True)
class Step:
    """One update. `place` is how far the run was after it: epochs done, or the share of a pretraining.

    `loss` is in nats, of pretraining that of the masked tokens.
    """

    step: int
    place: float
    loss: float
    learning_rate: float = NAN
    gradient_norm: float = NAN
    tokens_per_second: float = NAN


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Dev rows or held-out text scored. What does not apply, or is not told, is NaN.

    Attributes:
        step: updates made.
        place: as that of a `Step`.
        loss: nats; of pretraining that of the masked tokens.
        train_loss: mean over the steps since the evaluation before.
        score: of the task's own metric, between `low` and `high`.
        higher: whether higher scores are the better ones.
        accuracy: share of held-out masked tokens that were restored.
        pair_accuracy: share of held-out pairs that were told right.
        pairs: how many there were.
    """

    step: int
    loss: float
    place: float = NAN
    train_loss: float = NAN
    score: float = NAN
    low: float = NAN
    high: float = NAN
    higher: bool = True
    accuracy: float = NAN
    pair_accuracy: float = NAN
    pairs: float = NAN

    @property
    def value(self) -> float:
        """The score, the higher the better."""
        return self.score if self.higher else -self.score


@dataclass(frozen=True)
class Outcome:
    """What came of one seed that is done; see `runs.result.SeedResult`."""

    score: float
    status: str
    best_epoch: float
    seconds: float


@dataclass(frozen=True)
class Track:
    """One model that was trained: a seed, or all of a run. All but `restarts` is of the last attempt.

    Attributes:
        seed: its number; None of the only one, whose files are the run's own.
        steps: made.
        evaluations: of pretraining the first one is before the first step.
        health: looks at the model while it trained.
        floors: baseline losses in nats, as logged: of token frequencies ("unigram") and of uniform
            guessing ("uniform").
        broke: the step in which, or after which, the model was first seen to give no numbers any more.
        restarts: after collapses.
        outcome: None while it is not done.
        tokens: read, as far as the log tells.
        gemm_shares: of each step, its share of the rate of large matrix products; 0 where it is not known.
    """

    seed: int | None = None
    steps: Sequence[Step] = ()
    evaluations: Sequence[Evaluation] = ()
    health: Sequence[Health] = ()
    floors: Mapping[str, float] = field(default_factory=dict)
    broke: Step | None = None
    restarts: Sequence[Restart] = ()
    outcome: Outcome | None = None
    tokens: int = 0
    gemm_shares: Sequence[float] = ()

    @property
    def begun(self) -> bool:
        """Whether its log tells anything."""
        return bool(self.steps or self.evaluations or self.health or self.broke)

    @property
    def last_step(self) -> int:
        """Updates made, as far as the log tells."""
        return self.steps[-1].step if self.steps else 0

    @property
    def place(self) -> float:
        """How far it is, as a `Step` tells it."""
        return self.steps[-1].place if self.steps else 0.0

    @property
    def broken(self) -> bool:
        """Whether the newest loss of dev rows or held-out text is no number."""
        return bool(self.evaluations) and not math.isfinite(self.evaluations[-1].loss)


@dataclass(frozen=True)
class BaselineScore:
    """What a baseline scores on the same rows; `title` and `words` are as `tasks.kind.Baseline` has them."""

    score: float
    title: str
    words: str


@dataclass(frozen=True)
class Scores:
    """What all seeds came to together, of a run that is done.

    Attributes:
        metric: the task's own.
        score: of all seeds; its interval is from `low` to `high`.
        rows: that were scored.
        blind: the baseline that reads no text; None where it is not told.
        rival: the first one that reads them; None where there is none, as without rows to learn from.
        positive: of two labels the one whose F1 is told; "" of others.
        beside: see `tasks.kinds.macro_beside`.
    """

    metric: str
    score: float
    low: float
    high: float
    rows: int
    blind: BaselineScore | None = None
    rival: BaselineScore | None = None
    positive: str = ""
    beside: str = ""

    @classmethod
    def of(
        cls,
        kind: Kind,
        metric: str,
        score: float,
        interval: tuple[float, float],
        rows: int,
        baselines: Mapping[str, float],
        positive: str = "",
    ) -> Scores:
        """Those of a kind of task, of whose baselines, by name, the first is blind, the next its rival."""
        known = [
            BaselineScore(baselines[each.name], each.title, each.words) if each.name in baselines else None
            for each in kind.baselines
        ]
        blind, rival = [*known, None, None][:2]
        return cls(metric, score, *interval, rows, blind, rival, positive)

    @property
    def higher(self) -> bool:
        """Whether higher scores are the better ones."""
        return ALL_METRICS[self.metric].higher

    def beats(self, baseline: BaselineScore) -> bool:
        """Whether all of the interval is better than what a baseline scores."""
        return ALL_METRICS[self.metric].beats((self.low, self.high), baseline.score)

    def reaches(self, baseline: BaselineScore) -> bool:
        """Whether the score is better than what a baseline scores."""
        return ALL_METRICS[self.metric].better(self.score, baseline.score)

    @property
    def learned(self) -> bool | None:
        """Whether a fine-tuning learned: its interval is better than the score of the baseline that is blind.

        None where that baseline is not known.
        """
        return None if self.blind is None else self.beats(self.blind)


@dataclass(frozen=True)
class ClassFound:
    """Of a class how many dev `rows` it has, how many are `found`, and as what most others are predicted."""

    label: str
    rows: int
    found: int
    taken_for: str = ""
    taken: int = 0


@dataclass(frozen=True)
class RunHistory(Generic[RecipeOf]):
    """A run of either phase, done or not.

    Attributes:
        recipe: what it was to do, with what the restarts of all its seeds changed alike.
        tracks: the models that have begun, by seed.
        scores: of a fine-tuning that is done.
        by_class: of one whose rows have labels, by the model that is kept.
        floor: the loss in nats of one who knows how the answers are spread and nothing of the inputs: the
            entropy of the training labels' shares, or that of token frequencies. None where it is not told.
        uniform: of pretraining: the loss of one who knows nothing; None where it is not told.
        settings: what the restarts changed in `recipe`, by `section.key`.
        finished: it came to its end.
        best_seed: whose model is kept; None where that is not known yet, or there is one model.
        stopped: why it was stopped, or "".
        through_at: of pretraining: the step by which the loss had left the unigram plateau; None:
            it has not.
        long_from: the step from which sequences were long, None where they never were.
        epochs: how often a pretraining went through its text, NaN where the run does not tell.
        seconds: wall time of a pretraining, NaN where the run does not tell.
        known: False of logs without their recipe, which somebody sent: `recipe` then is the usual one, and
            nothing is judged by it.
    """

    recipe: RecipeOf
    tracks: Sequence[Track] = ()
    scores: Scores | None = None
    floor: float | None = None
    by_class: Sequence[ClassFound] = ()
    uniform: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    finished: bool = False
    best_seed: int | None = None
    stopped: str = ""
    through_at: int | None = None
    long_from: int | None = None
    epochs: float = NAN
    seconds: float = NAN
    known: bool = True

    @property
    def phase(self) -> Phase:
        """Which command makes such a run."""
        return phase_of(self.recipe)

    @property
    def fresh(self) -> bool:
        """Whether it began with fresh weights."""
        return self.recipe.model.fresh

    @property
    def learned(self) -> bool | None:
        """Whether it learned as far as is known: see `Scores.learned`; a pretraining, to use the context.

        None where nothing tells.
        """
        if self.phase == "pretrain":
            return self.through_at is not None
        return None if self.scores is None else self.scores.learned

    @property
    def track(self) -> Track:
        """The model that is kept; before there is one the newest; an empty one where none has begun."""
        kept = [track for track in self.tracks if self.best_seed in (None, track.seed) and track.begun]
        return kept[-1] if kept else Track()

    @property
    def train_loss(self) -> float:
        """Of the last epochs of all seeds, their mean; NaN where the logs do not tell it."""
        return mean([last_train_loss(track.evaluations) for track in self.tracks])

    def planned(self, track: Track) -> int:
        """Updates that a model was to get; 0 where nothing tells."""
        training = self.recipe.training
        if training.budget and track.outcome is not None:
            return track.last_step
        if (
            training.budget
            or not isinstance(training, TrainingRecipe)
            or not track.steps
            or not track.place > 0
        ):
            return training.steps
        whole = round(track.last_step / track.place * training.epochs)
        return min(whole, training.steps or whole)

    def share_done(self, track: Track) -> float:
        """How much of its updates a model has got, 0 to 1; 1 if it is done."""
        pretraining = self.phase == "pretrain"
        if track.outcome is not None or (pretraining and self.finished):
            return 1.0
        if pretraining and track.steps and math.isfinite(track.place):
            return min(1.0, max(0.0, track.place))
        planned = self.planned(track)
        return min(1.0, track.last_step / planned) if planned else 0.0


History = RunHistory[Recipe] | RunHistory[PretrainRecipe]


def is_finetuning(run: History) -> TypeIs[RunHistory[Recipe]]:
    """Whether a run learned from labelled rows."""
    return run.phase == "finetune"


def phase_of(recipe: Recipe | PretrainRecipe) -> Phase:
    """Which command takes such a recipe."""
    return "pretrain" if isinstance(recipe, PretrainRecipe) else "finetune"


def left_plateau(losses: Iterable[tuple[int, float]], unigram: float) -> int | None:
    """The first step whose loss can't be that of token frequencies alone; None where there is none.

    Args:
        losses: steps and losses in nats, in order.
        unigram: the loss of predicting token frequencies.
    """
    return next((step for step, loss in losses if loss < THROUGH * unigram), None)


def smoothed(steps: Sequence[Step]) -> list[tuple[int, float]]:
    """The training loss of a pretraining by step, over about the last hundred of them."""
    found, level = [], 0.0
    for count, step in enumerate(steps, start=1):
        level += max(NEWEST, 1 / count) * (step.loss - level)
        found.append((step.step, level))
    return found


def last_train_loss(evaluations: Sequence[Evaluation]) -> float:
    """Mean training loss of a seed's last epoch that was scored; NaN where its log does not tell it."""
    return evaluations[-1].train_loss if evaluations else NAN


def numbers(values: Sequence[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if math.isfinite(value)]


def mean(values: Sequence[float]) -> float:
    """Mean of those that are numbers; NaN without any."""
    found = numbers(values)
    return sum(found) / len(found) if found else NAN


def median(values: Sequence[float]) -> float:
    """Median of those that are numbers; NaN without any."""
    found = sorted(numbers(values))
    if not found:
        return NAN
    middle = len(found) // 2
    return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2
