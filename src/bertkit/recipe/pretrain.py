"""A recipe of a pretraining run, and which kind of recipe a file is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from bertkit.config.model import PRESETS
from bertkit.errors import UserError, check_at_least, check_choice
from bertkit.recipe.base import BaseRecipe, What, read_table
from bertkit.recipe.finetune import Recipe, VocabularyRecipe
from bertkit.recipe.parts import ModelRecipe, OptimiserRecipe, RunRecipe

Pairs = Literal["nsp", "sop", "none"]
MaskingPolicy = Literal["token", "whole-word", "span"]
Layout = Literal["auto", "files", "blank", "lines"]
"""How the documents of plain text are told apart: one a file, by blank lines, or one a line.

`auto` is what `data.corpus.settle_layout` says of all files; else it looks at the first 2**20 characters of
each: where a blank line parts two others there, blank lines do it everywhere in that file; else each line is
a document.
"""


@dataclass(frozen=True, kw_only=True)
class CorpusRecipe:
    """What is read: a folder that `bertkit prepare` made, or `texts`, of which the run makes one.

    `texts` are files, folders and patterns; `documents` says how plain text is told apart, `column` where the
    text of a table is (empty: "text"), and `heldout` the share of the documents to hold out (0: by the amount
    of text). The section `vocabulary` is of `texts` and of fresh weights.
    """

    shards: str = ""
    texts: tuple[str, ...] = ()
    documents: Layout = "auto"
    column: str = ""
    heldout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("corpus", "documents", self.documents, Layout)
        check_at_least("corpus", "heldout", self.heldout, 0)


@dataclass(frozen=True, kw_only=True)
class ObjectiveRecipe:
    """What is learned (Devlin et al. 2018, section 3.1 and appendix A.2).

    `pairs` is the second objective; `short_share` of the sequences are filled to a random shorter length.
    `rate` is the share of tokens that are chosen; of these `mask_share` become `[MASK]`, `random_share` a
    random token, and the rest stays. With `fixed_masks` n > 0 each sequence of a corpus gets n masks that
    are used in turn, one an epoch, as in the original program; 0 is a new mask every time.
    """

    pairs: Pairs = "nsp"
    short_share: float = 0.1
    masking: MaskingPolicy = "token"
    rate: float = 0.15
    mask_share: float = 0.8
    random_share: float = 0.1
    fixed_masks: int = 0

    def __post_init__(self) -> None:
        check_choice("objective", "pairs", self.pairs, Pairs)
        check_choice("objective", "masking", self.masking, MaskingPolicy)
        check_at_least("objective", "fixed_masks", self.fixed_masks, 0)
        for name in ("short_share", "rate", "mask_share", "random_share"):
            check_at_least("objective", name, getattr(self, name), 0)
            if getattr(self, name) > 1:
                raise UserError(f"objective: {name} is a share of at most 1, not {getattr(self, name)!r}.")
        if self.rate == 0:
            raise UserError("objective: rate must be above 0, or there is nothing to learn.")
        if self.mask_share + self.random_share > 1:
            raise UserError("objective: mask_share and random_share together are more than 1.")


@dataclass(frozen=True, kw_only=True)
class PretrainBatchRecipe:
    """How text becomes steps.

    A step has about `tokens` tokens in all, over all processes; it is computed in parts of about
    `at_once` tokens (0: as one), whose gradients add up. Sequences have up to `length` tokens and, for the
    last `long_share` of the schedule, up to `long_length` (the paper: 128, and 512 for the last tenth).
    """

    tokens: int = 4_096
    at_once: int = 0
    length: int = 128
    long_length: int = 512
    long_share: float = 0.0

    def __post_init__(self) -> None:
        check_at_least("batch", "length", self.length, 8)
        check_at_least("batch", "long_length", self.long_length, 8)
        check_at_least("batch", "tokens", self.tokens, self.length)
        check_at_least("batch", "at_once", self.at_once, 0)
        check_at_least("batch", "long_share", self.long_share, 0)
        if self.long_share > 1:
            raise UserError(f"batch: long_share is a share of at most 1, not {self.long_share!r}.")
        if self.long_share and self.tokens < self.long_length:
            raise UserError(
                f"batch: a step of {self.tokens} tokens has no room for one of {self.long_length}."
            )

    @property
    def longest(self) -> int:
        """The most tokens that a sequence of the run may have."""
        return max(self.length, self.long_length) if self.long_share else self.length


@dataclass(frozen=True, kw_only=True)
class PretrainTrainingRecipe(RunRecipe):
    """How long, and how often the run is scored and saved; see `RunRecipe`.

    The run has `steps` updates, or fits into its `budget`, or follows the learning rates in the log of the
    run folder `replay`: exactly one of the three. `evaluations` are spread evenly over the run and score
    about `heldout_tokens` tokens of held-out text each; the model that is kept is the last one, also where
    `patience` ended the run. The newest `keep` checkpoints stay. The run stops where the training loss,
    smoothed, rises by `spike` nats over its lowest; 0 is never. A run that collapses does not go on with a
    loss that is no number or has risen; it begins again from the last good checkpoint.
    """

    replay: str = ""
    evaluations: int = 20
    heldout_tokens: int = 65_536
    keep: int = 2
    spike: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least("training", "spike", self.spike, 0)
        for name in ("evaluations", "keep"):
            check_at_least("training", name, getattr(self, name), 1)
        check_at_least("training", "heldout_tokens", self.heldout_tokens, 0)
        if sum(map(bool, (self.steps, self.budget, self.replay))) > 1:
            raise UserError("training: give one of steps, budget and replay.")
        if self.patience and not self.heldout_tokens:
            raise UserError("training: patience needs held-out text; set heldout_tokens above 0.")


@dataclass(frozen=True, kw_only=True)
class PretrainRecipe(BaseRecipe):
    """Everything about one pretraining run."""

    PLACES = frozenset({("corpus", "shards")})
    ABOUT = ("corpus", "shards")
    SUBJECT = ("shards", "texts")
    OF_TEXT = ("corpus.", "vocabulary.", "model.start")

    corpus: CorpusRecipe = CorpusRecipe()
    vocabulary: VocabularyRecipe = field(default_factory=lambda: VocabularyRecipe(size=0))
    model: ModelRecipe = ModelRecipe()
    objective: ObjectiveRecipe = ObjectiveRecipe()
    batch: PretrainBatchRecipe = PretrainBatchRecipe()
    optimiser: OptimiserRecipe = OptimiserRecipe()
    training: PretrainTrainingRecipe = PretrainTrainingRecipe()

    def about(self, what: What) -> Self:
        """A copy that learns from a folder of shards, or from several texts; see `CorpusRecipe`."""
        if not what or isinstance(what, str | Path):
            return self if not what else self.with_changes({"corpus": {"shards": str(what), "texts": ()}})
        return self.with_changes({"corpus": {"shards": "", "texts": tuple(map(str, what))}})

    def __post_init__(self) -> None:
        if self.model.freeze:
            raise UserError("model: freeze is for fine-tuning; a frozen encoder cannot be pretrained.")


def recipe_for_text(model: str) -> str:
    """The recipe of bertkit's for text of somebody's own: of fresh weights, or to go on from a trained model.

    Args:
        model: where the weights come from; empty for the recipe's preset.
    """
    return "own-text" if not model or model in PRESETS else "going-on"


def kind_of_recipe(path: Path) -> type[Recipe] | type[PretrainRecipe]:
    """The kind that knows more of the file's keys; that of fine-tuning where both know as many.

    Raises:
        UserError: no such file, or not TOML.
    """
    table = read_table(path, "recipe")
    pretraining = _known(PretrainRecipe(), table) > _known(Recipe(), table)
    return PretrainRecipe if pretraining else Recipe


def _known(recipe: Recipe | PretrainRecipe, table: dict[str, Any]) -> int:
    keys = {(part.name, key.name) for part in fields(recipe) for key in fields(getattr(recipe, part.name))}
    sections = {part.name for part in fields(recipe)}
    inner = {(name, key) for name, part in table.items() if isinstance(part, dict) for key in part}
    return len(keys & inner) + len(sections & table.keys())
