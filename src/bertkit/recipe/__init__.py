"""Recipes: everything about one run, as frozen values and as a TOML file."""

from bertkit.recipe.base import BaseRecipe, from_table
from bertkit.recipe.finetune import (
    Alike,
    BatchRecipe,
    Header,
    HeadRecipe,
    Recipe,
    TaskRecipe,
    TrainingRecipe,
    VocabularyAlgorithm,
    VocabularyRecipe,
)
from bertkit.recipe.parts import OWN_RATES, ModelRecipe, OptimiserName, OptimiserRecipe, RunRecipe, Schedule
from bertkit.recipe.pretrain import (
    CorpusRecipe,
    ObjectiveRecipe,
    PretrainBatchRecipe,
    PretrainRecipe,
    PretrainTrainingRecipe,
)

__all__ = [
    "OWN_RATES",
    "Alike",
    "BaseRecipe",
    "BatchRecipe",
    "CorpusRecipe",
    "HeadRecipe",
    "Header",
    "ModelRecipe",
    "ObjectiveRecipe",
    "OptimiserName",
    "OptimiserRecipe",
    "PretrainBatchRecipe",
    "PretrainRecipe",
    "PretrainTrainingRecipe",
    "Recipe",
    "RunRecipe",
    "Schedule",
    "TaskRecipe",
    "TrainingRecipe",
    "VocabularyAlgorithm",
    "VocabularyRecipe",
    "from_table",
]
