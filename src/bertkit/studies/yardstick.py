"""One measure for pretrainings whose own differ: the same held-out pieces, hidden from all alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bertkit.checkpoint.folder import read_model_folder
from bertkit.checkpoint.locate import find_model
from bertkit.data.shards import open_shards
from bertkit.errors import UserError
from bertkit.model.compute import FLOAT32
from bertkit.model.pretraining import Pretrainer
from bertkit.recipe import PretrainRecipe
from bertkit.recipe.pretrain import ObjectiveRecipe
from bertkit.train.masked import HELDOUT_AT_ONCE, Part, heldout_masks, parts_of, score

HELDOUT_PIECES = 32_768
"""Of held-out text, at most."""


@dataclass(frozen=True)
class Yardstick:
    """Held-out text, cut and masked once for all variants."""

    parts: tuple[Part, ...]

    def loss_of(self, run: Path) -> float:
        """Mean loss in nats of the pretrained model in `run` at the hidden pieces, in float32.

        Raises:
            UserError: the model cannot be read any more, or has no head for masked pieces.
        """
        path = find_model(str(run))
        assert path is not None, "a run is no preset"
        folder = read_model_folder(path)
        if folder.masked is None:
            raise UserError(f"{run} has no head for masked pieces.")
        model = Pretrainer(folder.encoder, folder.masked)
        return score(model, self.parts, FLOAT32)["mlm_loss"]


def yardstick_of(recipes: Sequence[PretrainRecipe]) -> Yardstick | None:
    """What the variants of a stage are measured with beside their own held-out losses.

    Their own are of one task where all mask alike; where not, all restore what the first one's masking hides,
    without pairs.

    Args:
        recipes: of each variant; the first one is what the others are compared with.

    Returns:
        None where their own losses compare already, or where their text or its cut differs, or is gone.
    """
    first = recipes[0]
    texts = {(recipe.corpus.shards, recipe.batch.length) for recipe in recipes}
    if len(texts) > 1 or len({_task(recipe) for recipe in recipes}) == 1:
        return None
    try:
        shards = open_shards(Path(first.corpus.shards))
        if not shards.of("heldout"):
            return None
        objective = replace(first.objective, pairs="none")
        masks = heldout_masks(shards, objective, HELDOUT_PIECES, first.batch.length)
        return Yardstick(tuple(parts_of(masks, HELDOUT_AT_ONCE)))
    except UserError:
        return None


def _task(recipe: PretrainRecipe) -> ObjectiveRecipe:
    """What held-out text asks of a model, which is always masked anew."""
    return replace(recipe.objective, fixed_masks=0)
